"""Critics: who sees what, and which rows are shared."""

from types import SimpleNamespace

import pytest
import torch

from components.episode_buffer import EpisodeBatch
from modules.agents.ff_agent import FFAgent
from modules.critics import REGISTRY
from modules.critics.central_q import CentralQ
from modules.critics.ppo_critic import PPOCritic, alive_from_avail
from run.assembly import build_scheme

N, STATE, OBS, A = 2, 4, 3, 3


def make_critic(name="ppo_critic", **changes):
    torch.manual_seed(0)
    scheme, _ = build_scheme({"state_shape": STATE, "obs_shape": OBS, "n_actions": A, "n_agents": N}, need_probs=False)
    keys = {"n_agents": N, "n_actions": A, "rnn_hidden_dim": 8, "hidden_layers": [8], "obs_last_action": False}
    return REGISTRY[name](scheme, SimpleNamespace(**{**keys, **changes}))


def inputs_of(critic, alive=((True, False),)):
    state = torch.arange(1.0, STATE + 1).expand(1, STATE)
    return critic.assemble(state, torch.full((1, N, OBS), 9.0), torch.tensor(alive))[0]


def test_the_dead_are_those_who_can_only_pass():
    avail = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    assert alive_from_avail(avail).tolist() == [False, True, True, True]


def test_state_and_id_with_death_mask():
    assert inputs_of(make_critic()).tolist() == [[1, 2, 3, 4, 1, 0], [0, 0, 0, 0, 0, 1]]


def test_own_observations_are_masked_too():
    rows = inputs_of(make_critic(critic_obs=True))
    assert rows.shape == (N, STATE + OBS + N)
    assert rows[0, STATE : STATE + OBS].tolist() == [9, 9, 9]
    assert rows[1, : STATE + OBS].abs().sum() == 0


def test_without_a_death_mask_the_dead_see_the_state():
    assert inputs_of(make_critic(critic_death_mask=False))[1, :STATE].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({"critic_agent_id": False, "critic_death_mask": False}, 1),
        ({"critic_agent_id": False}, N),
        ({"critic_death_mask": False}, N),
        ({"critic_agent_id": False, "critic_death_mask": False, "critic_obs": True}, N),
    ],
)
def test_one_row_where_nothing_tells_the_agents_apart(changes, rows):
    critic = make_critic(**changes)
    assert critic.n_rows == rows
    assert inputs_of(critic).shape[0] == rows


def test_a_missing_observation_is_an_error():
    with pytest.raises(ValueError, match="observations"):
        make_critic(critic_obs=True).assemble(torch.ones(1, STATE), None, torch.ones(1, N, dtype=torch.bool))


def test_stacked_frames_of_the_state_and_of_observations():
    critic, batch = make_critic(critic_obs=True, frame_stack=2), make_batch()
    batch.update({"obs": torch.randn(3, 5, N, OBS)})
    rows = critic.batch_inputs(batch)
    now, before = [[batch[key][:, t] for key in ("state", "obs")] for t in (3, 2)]
    states = torch.cat([now[0], before[0]], dim=-1).unsqueeze(1).expand(-1, N, -1)
    expected = torch.cat([states, now[1], before[1], torch.eye(N).expand(3, N, N)], dim=-1)
    assert torch.equal(rows[:, 3], expected)
    assert rows[:, 0, :, STATE : 2 * STATE].abs().sum() == 0
    assert critic(batch).shape == (3, 5, N, 1)


@pytest.mark.parametrize("name", ["ppo_critic_ns", "coma_critic", "centralv"])
def test_every_critic_stacks_frames(name):
    critic, batch = make_critic(name, frame_stack=3), make_batch()
    batch.update({"obs": torch.randn(3, 5, N, OBS)})
    values = critic(batch)
    changed = make_batch()
    changed.data.transition_data["state"][:, 1] += 1.0
    later = critic(changed, t=3)
    assert not torch.allclose(later, values[:, 3:4]), "the frame two steps ago counts"


@pytest.mark.parametrize("heads", [1, 2])
def test_values_of_a_batch_and_of_one_step_agree(heads):
    critic = make_critic(critic_heads=heads)
    assert isinstance(critic, PPOCritic)
    values = critic(make_batch())
    assert values.shape == (3, 5, N, heads)
    torch.testing.assert_close(critic(make_batch(), t=2), values[:, 2:3])


def test_the_plain_central_critic_gives_a_value_per_agent():
    critic = make_critic("centralv")
    values = critic(make_batch())
    assert values.shape == (3, 5, N, 1)
    assert not torch.equal(values[:, :, 0], values[:, :, 1])
    torch.testing.assert_close(critic(make_batch(), t=2), values[:, 2:3])


def make_batch():
    sizes = {"state_shape": STATE, "obs_shape": OBS, "n_actions": A, "n_agents": N}
    scheme, groups = build_scheme(sizes, need_probs=False)
    batch = EpisodeBatch(scheme, groups, 3, 5)
    generator = torch.Generator().manual_seed(1)
    batch.update({"state": torch.randn(3, 5, STATE, generator=generator), "avail_actions": torch.ones(3, 5, N, A)})
    return batch


def test_without_layers_a_memoryless_network_is_linear():
    keys = {"n_agents": N, "n_actions": A, "state_shape": STATE, "layer_norm": False}
    args = SimpleNamespace(**keys, hidden_layers=[], critic_layers=[], n_critics=2, rnn_hidden_dim=8)
    critic, agent = CentralQ(args), FFAgent(OBS, args)
    state, actions, obs = torch.randn(STATE), torch.randn(N, A), torch.randn(OBS)
    torch.testing.assert_close(critic(2 * state, 2 * actions), 2 * critic(state, actions))
    torch.testing.assert_close(agent(2 * obs, None)[0], 2 * agent(obs, None)[0])

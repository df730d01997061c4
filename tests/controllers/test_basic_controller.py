"""Controllers: inputs, hidden states, choice of actions, and PyMARL's interface."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from components.episode_buffer import EpisodeBatch
from components.transforms import OneHot
from controllers import REGISTRY
from controllers.basic_controller import BasicMAC
from modules.agents import REGISTRY as agent_REGISTRY
from utils.errors import UserError

B, T, N, A, OBS = 3, 5, 2, 4, 3
GROUPS = {"agents": N}


def scheme():
    return {
        "state": {"vshape": 2},
        "obs": {"vshape": OBS, "group": "agents"},
        "actions": {"vshape": (1,), "group": "agents", "dtype": torch.long},
        "avail_actions": {"vshape": (A,), "group": "agents", "dtype": torch.int},
        "reward": {"vshape": (1,)},
        "terminated": {"vshape": (1,), "dtype": torch.uint8},
    }


def make_args(**changes):
    keys = {
        "n_agents": N,
        "n_actions": A,
        "agent": "ppo_rnn",
        "rnn_hidden_dim": 6,
        "hidden_layers": [6],
        "policy_gain": 1.0,
        "obs_agent_id": True,
        "obs_last_action": True,
        "action_selector": "multinomial",
        "agent_output_type": "pi_logits",
        "seed": 1,
    }
    return SimpleNamespace(**{**keys, **changes})


def make_batch():
    generator = torch.Generator().manual_seed(3)
    batch = EpisodeBatch(scheme(), GROUPS, B, T, preprocess={"actions": ("actions_onehot", [OneHot(A)])})
    avail = torch.ones(B, T, N, A)
    avail[..., 0] = 0
    batch.update(
        {
            "obs": torch.randn(B, T, N, OBS, generator=generator),
            "avail_actions": avail,
            "actions": torch.randint(1, A, (B, T, N, 1), generator=generator),
        }
    )
    return batch


def make_mac(name="basic_mac", **changes):
    torch.manual_seed(0)
    return REGISTRY[name](scheme(), GROUPS, make_args(**changes))


def test_inputs_are_observation_last_action_and_id():
    mac, batch = make_mac(), make_batch()
    inputs = mac._build_inputs(batch, 2)
    assert inputs.shape == (B, N, OBS + A + N)
    assert torch.equal(inputs[..., :OBS], batch["obs"][:, 2])
    assert torch.equal(inputs[..., OBS : OBS + A], batch["actions_onehot"][:, 1])
    assert torch.equal(inputs[..., OBS + A :], torch.eye(N).expand(B, N, N))


def test_there_is_no_last_action_at_the_start():
    assert make_mac()._build_inputs(make_batch(), 0)[..., OBS : OBS + A].abs().sum() == 0


def test_stacked_observations_stand_where_the_observation_does():
    mac, batch = make_mac(frame_stack=3), make_batch()
    first, third = mac._build_inputs(batch, 0), mac._build_inputs(batch, 2)
    assert third.shape == (B, N, 3 * OBS + A + N) == (B, N, mac.input_shape)
    newest_first = torch.cat([batch["obs"][:, t] for t in (2, 1, 0)], dim=-1)
    assert torch.equal(third[..., : 3 * OBS], newest_first)
    assert torch.equal(first[..., :OBS], batch["obs"][:, 0])
    assert first[..., OBS : 3 * OBS].abs().sum() == 0


@pytest.mark.parametrize("changes", [{"obs_agent_id": False}, {"obs_last_action": False}])
def test_inputs_can_be_left_out(changes):
    mac = make_mac(**changes)
    assert mac._build_inputs(make_batch(), 1).shape[-1] == mac.input_shape < OBS + A + N


@pytest.mark.parametrize("frame_stack", [1, 3])
def test_inputs_of_all_steps_are_those_of_each(frame_stack):
    mac, batch = make_mac(frame_stack=frame_stack), make_batch()
    sequence = mac.sequence_inputs(batch)
    for t in range(T):
        assert torch.equal(sequence[:, t], mac._build_inputs(batch, t))


@pytest.mark.parametrize("agent", sorted(set(agent_REGISTRY) - {"attention"}))  # which needs SMAC's observations
@pytest.mark.parametrize("frame_stack", [1, 4])
def test_a_sequence_gives_what_its_steps_give(agent, frame_stack):
    mac, batch = make_mac(agent=agent, agent_output_type="q", frame_stack=frame_stack), make_batch()
    mac.init_hidden(B)
    steps = torch.stack([mac.forward(batch, t) for t in range(T)], dim=1)
    torch.testing.assert_close(mac.forward_sequence(batch), steps)


def test_forward_gives_probabilities_of_legal_actions():
    mac = make_mac()
    mac.init_hidden(B)
    probs = mac.forward(make_batch(), 0)
    torch.testing.assert_close(probs.sum(-1), torch.ones(B, N))
    assert (probs[..., 0] == 0).all()


@pytest.mark.parametrize("frame_stack", [1, 2])
def test_chosen_rows_act_as_they_would_among_all(frame_stack):
    batch = make_batch()
    everyone, some = (make_mac(frame_stack=frame_stack) for _ in range(2))
    for mac in (everyone, some):
        mac.init_hidden(B)
        mac.select_actions(batch, 0, 0, test_mode=True)
    expected = everyone.select_actions(batch, 1, 0, test_mode=True)
    chosen = some.select_actions(batch, 1, 0, bs=[0, 2], test_mode=True)
    assert torch.equal(chosen, expected[[0, 2]])
    torch.testing.assert_close(some.hidden_states[[0, 2]], everyone.hidden_states[[0, 2]])
    assert not torch.equal(some.hidden_states[1], everyone.hidden_states[1])


def test_actions_are_legal_and_reproducible():
    batch, draws = make_batch(), []
    for _ in range(2):
        mac = make_mac()
        mac.init_hidden(B)
        draws.append(torch.stack([mac.select_actions(batch, t, 0) for t in range(T)]))
    assert torch.equal(*draws)
    assert (draws[0] > 0).all()


def test_state_dict_continues_the_stream_of_draws():
    batch, mac = make_batch(), make_mac()
    mac.init_hidden(B)
    mac.select_actions(batch, 0, 0)
    saved = mac.state_dict()
    other = make_mac()
    other.load_state_dict(saved)
    for each in (mac, other):
        each.init_hidden(B)
    assert torch.equal(mac.select_actions(batch, 0, 0), other.select_actions(batch, 0, 0))


def test_models_are_saved_and_loaded(tmp_path):
    mac, other = make_mac(), make_mac()
    nn.init.zeros_(other.agent.head.weight)
    mac.save_models(tmp_path)
    other.load_models(tmp_path)
    assert torch.equal(mac.agent.head.weight, other.agent.head.weight)


class RowsAgent(nn.Module):
    """In PyMARL's manner: rows in, rows out, no idea of sequences."""

    def __init__(self, input_shape, args):
        super().__init__()
        self.rnn = nn.GRUCell(input_shape, args.n_actions)

    def init_hidden(self):
        return self.rnn.weight_hh.new_zeros(1, A)

    def forward(self, inputs, hidden_state):
        hidden = self.rnn(inputs, hidden_state.reshape(-1, A))
        return hidden, hidden


def test_an_agent_that_takes_rows_only_works_unchanged(monkeypatch):
    monkeypatch.setitem(agent_REGISTRY, "rows", RowsAgent)
    mac, batch = make_mac(agent="rows", agent_output_type="q"), make_batch()
    mac.init_hidden(B)
    steps = torch.stack([mac.forward(batch, t) for t in range(T)], dim=1)
    torch.testing.assert_close(mac.forward_sequence(batch), steps)


def test_a_controller_with_its_own_inputs_is_asked_for_them():
    class NoisyMAC(BasicMAC):
        def _build_inputs(self, batch, t):
            self.asked = True
            return super()._build_inputs(batch, t)

    torch.manual_seed(0)
    mac = NoisyMAC(scheme(), GROUPS, make_args())
    mac.init_hidden(B)
    assert mac.select_actions(make_batch(), 0, 0, bs=[1]).shape == (1, N)
    assert mac.asked


def test_n_mac_gives_raw_outputs_and_acts_like_basic_mac():
    keys = {"agent": "n_rnn", "agent_output_type": "q", "action_selector": "epsilon_greedy"}
    keys |= {"epsilon_start": 1.0, "epsilon_finish": 0.05, "epsilon_anneal_time": 10}
    basic, n_mac, batch = make_mac(**keys), make_mac("n_mac", **keys), make_batch()
    for mac in (basic, n_mac):
        mac.init_hidden(B)
    torch.testing.assert_close(basic.forward(batch, 0), n_mac.forward(batch, 0))
    actions = [mac.select_actions(batch, 1, 0, bs=[0, 1], test_mode=True) for mac in (basic, n_mac)]
    assert torch.equal(*actions)


def test_an_unknown_name_gets_a_hint():
    with pytest.raises(UserError, match="ppo_rnn"):
        make_mac(agent="ppo_rrn")


def test_a_share_of_the_episodes_is_played_greedily_from_beginning_to_end():
    mixed, greedy = make_mac(greedy_share=1 / 3), make_mac()
    batch, chosen = make_batch(), torch.zeros(B)
    for _ in range(60):
        agrees = torch.ones(B, dtype=torch.bool)
        for mac in (mixed, greedy):
            mac.init_hidden(B)
        for t in range(T):
            played = mixed.select_actions(batch, t, 0)
            agrees &= (played == greedy.select_actions(batch, t, 0, test_mode=True)).all(1)
        assert mixed._greedy.sum() == 1
        assert agrees[mixed._greedy].all()
        assert not agrees.all()
        chosen += mixed._greedy
    assert (chosen > 8).all()


def test_rows_that_begin_late_are_chosen_by_themselves_and_tests_choose_none():
    mac, batch = make_mac(greedy_share=1.0), make_batch()
    mac.init_hidden(B)
    mac.select_actions(batch, 0, 0, test_mode=True)
    assert len(mac._greedy) == 0
    mac.select_actions(batch, 0, 0, bs=[1])
    assert mac._greedy.tolist() == [False, True, False]
    mac.select_actions(batch, 1, 0, bs=[0, 1])
    assert mac._greedy.tolist() == [False, True, False]


def test_greedy_episodes_need_a_policy_that_samples():
    keys = {"agent": "n_rnn", "agent_output_type": "q", "action_selector": "epsilon_greedy"}
    keys |= {"epsilon_start": 1.0, "epsilon_finish": 0.05, "epsilon_anneal_time": 10}
    with pytest.raises(UserError, match="greedy_share"):
        make_mac(greedy_share=0.25, **keys)

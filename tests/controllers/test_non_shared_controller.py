"""One network per agent: parameters of their own, the same outputs step by step and at once."""

from types import SimpleNamespace

import pytest
import torch

from components.episode_buffer import EpisodeBatch
from controllers import REGISTRY
from run.assembly import build_scheme

N, A = 3, 4
SIZES = {"state_shape": 2, "obs_shape": 5, "n_actions": A, "n_agents": N}


def make(agent):
    args = SimpleNamespace(
        n_agents=N, n_actions=A, seed=1, agent=agent, rnn_hidden_dim=8, obs_agent_id=False, obs_last_action=True,
        action_selector="epsilon_greedy", agent_output_type="q", epsilon_start=0.0, epsilon_finish=0.0,
        epsilon_anneal_time=1,
    )  # fmt: skip
    scheme, groups = build_scheme(SIZES, need_probs=False)
    torch.manual_seed(0)
    batch = EpisodeBatch(scheme, groups, 2, 4)
    batch.update({"obs": torch.randn(2, 4, N, 5), "avail_actions": torch.ones(2, 4, N, A)}, ts=slice(0, 4))
    batch.update({"actions": torch.randint(A, (2, 4, N, 1))}, ts=slice(0, 4))
    return REGISTRY["non_shared_mac"](scheme, groups, args), batch


@torch.no_grad()
@pytest.mark.parametrize("agent", ["rnn", "n_rnn", "ff"])
def test_a_sequence_gives_what_its_steps_give(agent):
    mac, batch = make(agent)
    mac.init_hidden(2)
    steps = torch.stack([mac.forward(batch, t) for t in range(4)], 1)
    torch.testing.assert_close(mac.forward_sequence(batch), steps)


@torch.no_grad()
def test_agents_share_nothing():
    mac, batch = make("rnn")
    before = mac.forward_sequence(batch)
    for p in mac.agent.agents[1].parameters():
        p.add_(1.0)
    after = mac.forward_sequence(batch)
    changed = (before != after).flatten(0, 1).any(-1).any(0)
    assert changed.tolist() == [False, True, False]
    mac.init_hidden(2)
    assert mac.select_actions(batch, 0, 0, bs=[1], test_mode=True).shape == (1, N)

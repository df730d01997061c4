"""The agent that attends to units: who is not seen does not matter, order does not, steps equal sequences."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from learners.trust_region import kl_curvature
from modules.agents.attention_agent import AttentionAgent
from utils.errors import UserError

BLOCKS = {"before": 4, "enemy_rows": (3, 5), "ally_rows": (2, 6), "after": 1}
SIZE = 4 + 15 + 12 + 1 + 2


def make(**changes):
    keys = {"rnn_hidden_dim": 8, "n_actions": 7, "att_heads": 2, "env_info": {"obs_blocks": BLOCKS}, **changes}
    torch.manual_seed(0)
    return AttentionAgent(SIZE, SimpleNamespace(**keys))


@torch.no_grad()
def test_steps_give_what_the_sequence_gives():
    agent, inputs = make(), torch.randn(2, 3, 4, SIZE)
    hidden = torch.zeros(2, 4, 8)
    steps = []
    for t in range(3):
        output, hidden = agent(inputs[:, t], hidden)
        steps.append(output)
    outputs, last = agent.forward_sequence(inputs)
    torch.testing.assert_close(outputs, torch.stack(steps, 1))
    torch.testing.assert_close(last, hidden)


@torch.no_grad()
def test_the_order_of_enemies_does_not_matter_and_those_out_of_sight_are_not_looked_at():
    agent, inputs = make(), torch.randn(1, SIZE)
    turned = inputs.clone()
    turned[:, 4:19] = inputs[:, 4:19].view(1, 3, 5).flip(1).reshape(1, 15)
    torch.testing.assert_close(agent.look(inputs), agent.look(turned))
    inputs[:, 4:31] = 0.0
    alone = agent.look(inputs)
    assert torch.isfinite(alone).all()
    assert alone[:, 8:].abs().sum() == 0
    inputs[:, 9:14] = torch.randn(5)
    one = agent.look(inputs)[:, 8:]
    for p in (agent.ally.weight, agent.ally.bias):
        p.fill_(100.0)
    torch.testing.assert_close(agent.look(inputs)[:, 8:], one)


def test_the_curvature_of_attention_is_that_of_second_derivatives():
    agent, inputs = make().double(), torch.randn(2, SIZE, dtype=torch.float64)
    weight = agent.attention.in_proj_weight

    def log_probs():
        return agent.look(inputs).log_softmax(-1)

    vector, now = torch.randn_like(weight), log_probs().detach()
    with sdpa_kernel(SDPBackend.MATH):
        divergence = (now.exp() * (now - log_probs())).sum()
        (slope,) = torch.autograd.grad(divergence, weight, create_graph=True)
        (expected,) = torch.autograd.grad((slope * vector).sum(), weight)
    product = kl_curvature([weight], log_probs, torch.ones(2))(vector.flatten())
    torch.testing.assert_close(product.view_as(weight), expected)
    assert expected.abs().max() > 1e-6


def test_environments_without_blocks_are_refused():
    with pytest.raises(UserError, match=r"Use agent=rnn\."):
        make(env_info={})
    with pytest.raises(UserError, match="multiple of att_heads=3"):
        make(att_heads=3)

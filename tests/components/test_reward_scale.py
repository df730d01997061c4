"""Scaling of rewards: discounted sums by hand, padding, zero stays zero, states."""

import pytest
import torch

from components.reward_scale import RewardScale
from utils.rl_utils import build_returns_so_far

REWARDS = torch.tensor([[1.0, 2.0, 3.0], [5.0, 0.0, 0.0]]).unsqueeze(-1)
STEPS = torch.tensor([[True, True, True], [True, False, False]]).unsqueeze(-1)
SUMS = [1, 0.5 * 1 + 2, 0.25 * 1 + 0.5 * 2 + 3, 5]


def test_returns_so_far_are_discounted_sums_of_what_was():
    sums = build_returns_so_far(REWARDS, 0.5)
    assert sums[0, :, 0].tolist() == SUMS[:3]
    assert sums[1, :, 0].tolist() == [5, 2.5, 1.25]


def test_rewards_are_divided_by_the_deviation_of_the_sums_at_real_steps():
    scale = RewardScale(0.5)
    scale.update(REWARDS, STEPS)
    scaled = scale.scale(torch.tensor([0.0, 1.0, -2.0]))
    deviation = torch.tensor(SUMS).std(correction=0).item()
    assert scaled.tolist() == pytest.approx([0.0, 1 / deviation, -2 / deviation], rel=1e-3)


def test_the_statistics_run_over_all_batches():
    apart, together = RewardScale(0.5), RewardScale(0.5)
    for episode in (0, 1):
        apart.update(REWARDS[episode : episode + 1], STEPS[episode : episode + 1])
    together.update(REWARDS, STEPS)
    torch.testing.assert_close(apart.scale(REWARDS), together.scale(REWARDS))


def test_episodes_that_never_pay_leave_rewards_finite():
    scale = RewardScale(0.9)
    for _ in range(3):
        scale.update(torch.zeros(2, 5, 1), torch.ones(2, 5, 1))
    assert scale.scale(torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_a_state_is_taken_over():
    scale, other = RewardScale(0.5), RewardScale(0.5)
    scale.update(REWARDS, STEPS)
    other.load_state_dict(scale.state_dict())
    assert torch.equal(other.scale(REWARDS), scale.scale(REWARDS))

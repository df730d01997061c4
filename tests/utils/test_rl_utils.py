"""Returns and advantages against hand-made numbers, slow sums over episodes, and the identities that tie them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils import rl_utils
from utils.rl_utils import (
    build_gae_targets,
    build_nstep_returns,
    build_q_lambda_targets,
    build_target_q,
    build_td_lambda_targets,
)

GARBAGE = 1e9
"""What padding holds in these tests: it must not show in any result."""


class Episodes:
    """Random episodes of different lengths, some terminated, some truncated, padded with garbage to T steps."""

    def __init__(self, seed: int, n_agents: int = 1) -> None:
        self.rng = torch.Generator().manual_seed(seed)
        self.n, self.T = 4, 7
        self.lengths = torch.randint(1, self.T + 1, (self.n,), generator=self.rng).tolist()
        self.is_terminated = (torch.rand(self.n, generator=self.rng) < 0.5).tolist()
        steps = torch.arange(self.T).reshape(1, -1, 1)
        lengths = torch.tensor(self.lengths).reshape(-1, 1, 1)
        self.mask = (steps < lengths).double()
        self.terminated = (steps == lengths - 1).double() * torch.tensor(self.is_terminated).reshape(-1, 1, 1)
        self.rewards = self.padded(torch.randn(self.n, self.T, 1, generator=self.rng, dtype=torch.float64))
        self.values = self.frames(n_agents)

    def frames(self, n_agents: int = 1) -> torch.Tensor:
        """Values of all frames, [n, T + 1, n_agents]."""
        values = torch.randn(self.n, self.T + 1, n_agents, generator=self.rng, dtype=torch.float64)
        for row, length in enumerate(self.lengths):
            values[row, length + 1 :] = GARBAGE
        return values

    def padded(self, values: torch.Tensor) -> torch.Tensor:
        return torch.where(self.mask > 0, values, GARBAGE)

    def each(self):
        """(row, t, length, whether the last step terminates) of every real step."""
        for row, length in enumerate(self.lengths):
            for t in range(length):
                yield row, t, length, self.is_terminated[row]

    def next_value(self, row: int, t: int, values: torch.Tensor) -> torch.Tensor:
        is_end = self.is_terminated[row] and t == self.lengths[row] - 1
        return torch.zeros_like(values[row, 0]) if is_end else values[row, t + 1]


seeds = st.integers(0, 2**31)
fractions = st.floats(0, 1)


def test_gae_of_a_won_episode_by_hand():
    rewards, values = torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[0.5], [0.25], [7.0]]])
    mask, terminated = torch.ones(1, 2, 1), torch.tensor([[[0.0], [1.0]]])
    advantages, returns = build_gae_targets(rewards, mask, values, 0.5, 0.5, terminated)
    last = 2.0 - 0.25
    first = 1.0 + 0.5 * 0.25 - 0.5 + 0.25 * last
    assert advantages.flatten().tolist() == pytest.approx([first, last])
    assert returns.flatten().tolist() == pytest.approx([first + 0.5, 2.0])


def test_gae_of_a_truncated_episode_bootstraps_from_its_closing_frame():
    rewards, values = torch.tensor([[[1.0], [2.0], [GARBAGE]]]), torch.tensor([[[0.5], [0.25], [7.0], [GARBAGE]]])
    mask = torch.tensor([[[1.0], [1.0], [0.0]]])
    advantages, returns = build_gae_targets(rewards, mask, values, 0.5, 0.5, torch.zeros(1, 3, 1))
    last = 2.0 + 0.5 * 7.0 - 0.25
    assert advantages.flatten().tolist() == pytest.approx([1.0 + 0.125 - 0.5 + 0.25 * last, last, 0.0])
    assert returns[0, 2] == 0


def test_pymarl2_call_without_terminated_takes_the_end_of_the_mask_as_the_end():
    episodes = Episodes(3)
    episodes.is_terminated = [True] * episodes.n
    steps, lengths = torch.arange(episodes.T).reshape(1, -1, 1), torch.tensor(episodes.lengths).reshape(-1, 1, 1)
    terminated = (steps == lengths - 1).double()
    rewards, mask, values = episodes.rewards, episodes.mask, episodes.values
    for ours, theirs in zip(
        build_gae_targets(rewards, mask, values, 0.9, 0.8),
        build_gae_targets(rewards, mask, values, 0.9, 0.8, terminated),
    ):
        assert torch.equal(ours, theirs)


@settings(max_examples=50, deadline=None)
@given(seeds, fractions, fractions)
def test_gae_equals_the_sum_over_all_later_errors(seed, gamma, lambd):
    episodes = Episodes(seed, n_agents=2)
    advantages, returns = build_gae_targets(
        episodes.rewards, episodes.mask, episodes.values, gamma, lambd, episodes.terminated
    )
    expected = torch.zeros_like(advantages)
    for row, t, length, _ in episodes.each():
        for k in range(t, length):
            bootstrap = gamma * episodes.next_value(row, k, episodes.values)
            error = episodes.rewards[row, k] + bootstrap - episodes.values[row, k]
            expected[row, t] += (gamma * lambd) ** (k - t) * error
    assert torch.allclose(advantages, expected)
    assert torch.allclose(returns, (expected + episodes.values[:, :-1]) * episodes.mask)


@settings(max_examples=30, deadline=None)
@given(seeds, fractions)
def test_gae_with_lambda_1_plus_value_is_the_monte_carlo_return(seed, gamma):
    episodes = Episodes(seed)
    _, returns = build_gae_targets(episodes.rewards, episodes.mask, episodes.values, gamma, 1.0, episodes.terminated)
    for row, t, length, is_terminated in episodes.each():
        total = sum(gamma ** (k - t) * episodes.rewards[row, k] for k in range(t, length))
        if not is_terminated:
            total = total + gamma ** (length - t) * episodes.values[row, length]
        assert torch.allclose(returns[row, t], total)


@settings(max_examples=30, deadline=None)
@given(seeds, fractions)
def test_gae_with_lambda_0_is_the_one_step_error(seed, gamma):
    episodes = Episodes(seed)
    advantages, _ = build_gae_targets(episodes.rewards, episodes.mask, episodes.values, gamma, 0.0, episodes.terminated)
    for row, t, _, _ in episodes.each():
        bootstrap = gamma * episodes.next_value(row, t, episodes.values)
        assert torch.allclose(advantages[row, t], episodes.rewards[row, t] + bootstrap - episodes.values[row, t])


@settings(max_examples=30, deadline=None)
@given(seeds, fractions, fractions)
def test_td_lambda_satisfies_its_recursion(seed, gamma, td_lambda):
    episodes = Episodes(seed, n_agents=3)
    targets = build_td_lambda_targets(
        episodes.rewards, episodes.terminated, episodes.mask, episodes.values, 3, gamma, td_lambda
    )
    assert targets.shape == (episodes.n, episodes.T, 3)
    for row, t, length, _ in episodes.each():
        value = episodes.next_value(row, t, episodes.values)
        later = value if t == length - 1 else targets[row, t + 1]
        expected = episodes.rewards[row, t] + gamma * ((1 - td_lambda) * value + td_lambda * later)
        assert torch.allclose(targets[row, t], expected)
    assert targets[(episodes.mask == 0).expand_as(targets)].eq(0).all()


@settings(max_examples=30, deadline=None)
@given(seeds, fractions, fractions)
def test_q_lambda_satisfies_its_recursion(seed, gamma, td_lambda):
    episodes = Episodes(seed)
    expected_q, taken_q = episodes.values, episodes.frames()
    targets = build_q_lambda_targets(
        episodes.rewards, episodes.terminated, episodes.mask, expected_q, taken_q, gamma, td_lambda
    )
    for row, t, length, _ in episodes.each():
        value = episodes.next_value(row, t, expected_q)
        if t < length - 1:
            value = value + td_lambda * (targets[row, t + 1] - taken_q[row, t + 1])
        assert torch.allclose(targets[row, t], episodes.rewards[row, t] + gamma * value)


def test_q_lambda_leaves_the_true_values_of_a_policy_unchanged():
    """Two states in turn, two actions: Q of the uniform policy is the fixed point in expectation for every lambda."""
    gamma = 0.5
    rewards = torch.tensor([[1.0, 3.0], [0.0, 2.0]])
    # V = mean_a r(s, a) + gamma V': V_0 = 2 + V_1 / 2, V_1 = 1 + V_0 / 2.
    v = torch.tensor([10 / 3, 8 / 3])
    q = rewards + gamma * v.flip(0).unsqueeze(1)
    generator = torch.Generator().manual_seed(0)
    actions = torch.randint(2, (20_000, 6), generator=generator)
    states = (torch.arange(7) % 2).expand(20_000, 7)
    taken = q[states[:, :6], actions].unsqueeze(-1)
    targets = build_q_lambda_targets(
        rewards[states[:, :6], actions].unsqueeze(-1),
        torch.zeros_like(taken),
        torch.ones_like(taken),
        v[states].unsqueeze(-1),
        taken,
        gamma,
        0.8,
    )
    for action in (0, 1):
        assert targets[actions[:, 0] == action, 0].mean().item() == pytest.approx(q[0, action].item(), abs=0.02)


@settings(max_examples=30, deadline=None)
@given(seeds, fractions, st.integers(0, 9))
def test_nstep_returns_equal_their_definition(seed, gamma, n):
    episodes = Episodes(seed, n_agents=2)
    returns = build_nstep_returns(episodes.rewards, episodes.terminated, episodes.mask, episodes.values, gamma, n)
    for row, t, length, is_terminated in episodes.each():
        end = min(t + n, length)
        total = sum((gamma ** (k - t) * episodes.rewards[row, k] for k in range(t, end)), torch.zeros(2))
        if not (is_terminated and end == length):
            total = total + gamma ** (end - t) * episodes.values[row, end]
        assert torch.allclose(returns[row, t], total.double())
    assert returns[(episodes.mask == 0).expand_as(returns)].eq(0).all()


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 9))
def test_tree_backup_equals_its_sum(seed, n):
    episodes = Episodes(seed)
    gamma, lambd = 0.9, 0.8
    errors, target_q = episodes.padded(episodes.frames()[:, :-1]), episodes.padded(episodes.frames()[:, :-1])
    probs = torch.rand(episodes.n, episodes.T + 1, 1, generator=episodes.rng, dtype=torch.float64)
    targets = build_target_q(errors, target_q, probs, episodes.mask, gamma, lambd, n)
    for row, t, length, _ in episodes.each():
        expected, weight = target_q[row, t].clone(), 1.0
        for k in range(t, min(t + n, length)):
            weight = weight * (gamma * lambd * probs[row, k] if k > t else 1.0)
            expected += weight * errors[row, k]
        assert torch.allclose(targets[row, t], expected)


def test_padding_may_hold_nan():
    episodes = Episodes(5)
    episodes.rewards[episodes.mask == 0] = float("nan")
    advantages, returns = build_gae_targets(
        episodes.rewards, episodes.mask, episodes.values, 0.99, 0.95, episodes.terminated
    )
    assert torch.isfinite(advantages).all()
    assert torch.isfinite(returns).all()


def test_shapes_of_pymarl2s_ppo_are_taken():
    advantages, returns = build_gae_targets(
        torch.zeros(2, 5, 3, 1), torch.ones(2, 5, 3, 1), torch.zeros(2, 6, 3, 1), 0.99, 0.95
    )
    assert advantages.shape == returns.shape == (2, 5, 3, 1)


def test_running_statistics_are_found_here_too():
    assert rl_utils.RunningMeanStd.__module__ == "components.standarize_stream"

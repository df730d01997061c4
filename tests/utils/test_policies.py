"""Draws that gradients flow through, against closed forms and numeric integration."""

import math

import pytest
import torch

from utils.policies import gumbel_softmax, legal, squashed_gaussian


def test_a_gumbel_draw_is_one_hot_with_the_gradient_of_the_relaxation():
    logits = torch.tensor([1.0, 0.0, 2.0], requires_grad=True)
    noise = torch.tensor([0.5, 3.0, 0.0])
    weights = torch.tensor([1.0, -2.0, 4.0])
    draw = gumbel_softmax(logits, noise, temperature=2.0)
    assert draw.tolist() == pytest.approx([0.0, 1.0, 0.0], abs=1e-6)  # the greatest of 1.5, 3, 2
    (draw * weights).sum().backward()
    soft = [math.exp(x / 2) for x in (1.5, 3.0, 2.0)]
    soft = [x / sum(soft) for x in soft]
    mean = sum(p * w for p, w in zip(soft, weights.tolist()))
    # d/dx_i sum_j w_j softmax_j(x / 2) = p_i (w_i - mean) / 2
    expected = [p * (w - mean) / 2 for p, w in zip(soft, weights.tolist())]
    assert logits.grad.tolist() == pytest.approx(expected, abs=1e-6)


def test_gumbel_draws_follow_the_softmax_and_never_a_mask():
    logits = torch.tensor([0.0, 1.0, -torch.inf]).expand(20_000, 3).clone().requires_grad_()
    noise = -torch.empty(20_000, 3).exponential_(generator=torch.Generator().manual_seed(0)).log()
    draws = gumbel_softmax(logits, noise)
    shares = draws.detach().mean(0)
    assert shares[1].item() == pytest.approx(math.e / (1 + math.e), abs=0.01)
    assert shares[2] == 0
    (draws * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[:, 2].abs().max() == 0


def test_rows_that_offer_nothing_count_as_free():
    avail = torch.tensor([[0, 1], [0, 0]])
    assert legal(avail).tolist() == [[False, True], [True, True]]


def test_the_squashed_density_integrates_to_one_and_matches_finite_differences():
    mean, log_std = 0.4, -0.3
    noise = torch.linspace(-8, 8, 4001, dtype=torch.float64).view(-1, 1)
    outputs = torch.tensor([mean, log_std], dtype=torch.float64).expand(4001, 2)
    actions, log_probs = squashed_gaussian(outputs, noise, torch.ones(4001, 1))
    middle, width = (log_probs[1:].exp() + log_probs[:-1].exp()) / 2, actions[1:, 0] - actions[:-1, 0]
    assert (middle * width).sum().item() == pytest.approx(1.0, abs=1e-3)

    def share_below(action):  # of the normal distribution before the tanh
        return 0.5 * (1 + math.erf((math.atanh(action) - mean) / math.exp(log_std) / math.sqrt(2)))

    row = 2200
    a = actions[row, 0].item()
    density = (share_below(a + 1e-5) - share_below(a - 1e-5)) / 2e-5
    assert log_probs[row].item() == pytest.approx(math.log(density), abs=1e-4)


def test_extreme_actions_have_a_finite_density_and_gradient():
    outputs = torch.tensor([[30.0, 1.0], [-30.0, 1.0]], requires_grad=True)
    _, log_probs = squashed_gaussian(outputs, torch.zeros(2, 1), torch.ones(2, 1))
    log_probs.sum().backward()
    assert torch.isfinite(log_probs).all()
    assert torch.isfinite(outputs.grad).all()


def test_numbers_that_an_agent_lacks_are_zero_and_have_no_density():
    outputs, noise = torch.tensor([[0.3, 0.9, -1.0, -0.5]]), torch.tensor([[0.2, 0.7]])
    actions, log_prob = squashed_gaussian(outputs, noise, torch.tensor([[1, 0]]))
    alone = squashed_gaussian(outputs[:, [0, 2]], noise[:, :1], torch.ones(1, 1))
    assert actions[0, 1] == 0
    assert actions[0, 0] == alone[0][0, 0]
    torch.testing.assert_close(log_prob, alone[1])

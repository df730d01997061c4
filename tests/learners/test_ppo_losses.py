"""Closed-form values of PPO's loss terms."""

import math

import pytest
import torch

from learners.ppo_losses import (
    clipped_surrogate,
    floor_shortfall,
    masked_log_softmax,
    normalise_advantages,
    policy_entropy,
    value_loss,
)


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (1.0, 2.0, 2.0),
        (1.5, 2.0, 1.2 * 2.0),  # gains beyond the trust region do not count
        (0.5, 2.0, 0.5 * 2.0),
        (1.5, -2.0, 1.5 * -2.0),  # losses beyond it do
        (0.5, -2.0, 0.8 * -2.0),
    ],
)
def test_surrogate(ratio, advantage, expected):
    log_probs = torch.tensor([math.log(ratio)])
    objective, measured = clipped_surrogate(log_probs, torch.zeros(1), torch.tensor([advantage]), eps_clip=0.2)
    assert objective.item() == pytest.approx(expected)
    assert measured.item() == pytest.approx(ratio)


def test_illegal_actions_have_no_probability_and_send_no_gradient():
    logits = torch.tensor([[1.0, 50.0, 1.0]], requires_grad=True)
    illegal = torch.tensor([[False, True, False]])
    log_probs = masked_log_softmax(logits, illegal)
    entropy = policy_entropy(log_probs, illegal)
    (entropy.sum() + log_probs[0, 0]).backward()
    assert log_probs[0].exp().tolist() == pytest.approx([0.5, 0.0, 0.5])
    assert entropy.item() == pytest.approx(math.log(2))
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 1] == 0


def test_a_single_legal_action_has_entropy_zero():
    illegal = torch.tensor([[False, True]])
    assert policy_entropy(masked_log_softmax(torch.zeros(1, 2), illegal), illegal).item() == 0


def test_the_shortfall_below_a_floor_in_closed_form():
    logits = torch.tensor([[0.0, math.log(0.001), -60.0, 5.0]], requires_grad=True)
    illegal = torch.tensor([[False, False, False, True]])
    shortfall = floor_shortfall(masked_log_softmax(logits, illegal), illegal, floor=0.01)
    shortfall.sum().backward()
    total = math.log(1.001)
    assert shortfall.item() == pytest.approx((math.log(10) + total + math.log(0.01) + 60 + total) / 3, rel=1e-5)
    # d/dlogit: two of three actions are short, each pushed by a third, however small its probability is
    expected = [2 / 3 / 1.001, -1 / 3 + 2 / 3 * 0.001 / 1.001, -1 / 3, 0.0]
    assert logits.grad[0].tolist() == pytest.approx(expected, rel=1e-4)


def test_there_is_no_shortfall_above_the_floor_nor_where_there_is_no_choice():
    illegal = torch.tensor([[False, False], [False, True]])
    log_probs = masked_log_softmax(torch.tensor([[0.0, -3.0], [0.0, 0.0]]), illegal)
    assert floor_shortfall(log_probs, illegal, floor=0.01).tolist() == [0.0, 0.0]


def test_value_loss_is_half_the_square_near_and_linear_far():
    values, targets = torch.tensor([1.0, 30.0]), torch.zeros(2)
    losses = value_loss(values, values, targets, eps_clip=0.0, huber_delta=10.0)
    assert losses.tolist() == pytest.approx([0.5, 10 * (30 - 5)])
    assert value_loss(values, values, targets, 0.0, 0.0).tolist() == pytest.approx([0.5, 450.0])


def test_value_clip_takes_the_worse_of_both_fits():
    old, target = torch.tensor([0.0]), torch.tensor([1.0])
    # Moved by 0.9 towards the target, but only 0.2 of it counts: (1 - 0.2)^2 / 2.
    assert value_loss(torch.tensor([0.9]), old, target, 0.2, 0.0).item() == pytest.approx(0.32)
    # Moved away from it: the full error counts.
    assert value_loss(torch.tensor([-0.9]), old, target, 0.2, 0.0).item() == pytest.approx(1.805)


def test_value_clip_stops_the_gradient_of_a_value_that_moved_far_enough():
    values = torch.tensor([0.9], requires_grad=True)
    value_loss(values, torch.zeros(1), torch.ones(1), 0.2, 0.0).sum().backward()
    assert values.grad.item() == 0


def test_advantages_are_normalised_over_the_mask_alone():
    advantages = torch.tensor([1.0, 3.0, 1000.0])
    scaled = normalise_advantages(advantages, torch.tensor([True, True, False]))
    assert scaled.tolist() == pytest.approx([-1.0, 1.0, 0.0], abs=1e-4)


def test_no_advantage_at_all_is_no_nan():
    assert normalise_advantages(torch.ones(3), torch.zeros(3, dtype=torch.bool)).tolist() == [0.0, 0.0, 0.0]

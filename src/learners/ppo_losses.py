"""The terms of PPO's losses, sample by sample and free of state."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def masked_log_softmax(logits: Tensor, illegal: Tensor) -> Tensor:
    """Log-probabilities [..., A] over the legal actions; illegal ones (bool [..., A]) get -inf."""
    return torch.log_softmax(logits.masked_fill(illegal, -torch.inf), dim=-1)


def policy_entropy(log_probs: Tensor, illegal: Tensor) -> Tensor:
    """Entropy [...] in nats of masked distributions given as log-probabilities [..., A]."""
    return -(log_probs.exp() * log_probs.masked_fill(illegal, 0.0)).sum(dim=-1)


def floor_shortfall(log_probs: Tensor, illegal: Tensor, floor: float) -> Tensor:
    """Mean over the legal actions of log(floor / p) where p < floor, [...] in nats.

    The log-barrier of Agarwal et al. 2021 (arXiv 1908.00261, section 5), below one probability only. Its gradient does
    not fade as p goes to 0, as the entropy's does: an action that was given up can come back.
    """
    short = (math.log(floor) - log_probs).clamp_min(0.0).masked_fill(illegal, 0.0)
    return short.sum(dim=-1) / (~illegal).sum(dim=-1)


def kl_divergence(log_probs: Tensor, new_log_probs: Tensor, illegal: Tensor) -> Tensor:
    """KL(p, q) [...] in nats of masked distributions given as log-probabilities [..., A] of p and q."""
    difference = log_probs.masked_fill(illegal, 0.0) - new_log_probs.masked_fill(illegal, 0.0)
    return (log_probs.exp() * difference).sum(dim=-1)


def clipped_surrogate(
    log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, eps_clip: float
) -> tuple[Tensor, Tensor]:
    """PPO's objective per sample, to be maximised, and the ratio of probabilities (Schulman et al. 2017, eq. 7)."""
    ratio = (log_probs - old_log_probs).exp()
    return torch.min(ratio * advantages, ratio.clamp(1 - eps_clip, 1 + eps_clip) * advantages), ratio


def value_loss(values: Tensor, old_values: Tensor, targets: Tensor, eps_clip: float, huber_delta: float) -> Tensor:
    """Regression loss per sample, everything in the critic's normalised units.

    Args:
        eps_clip: the value may move this far from `old_values` before only a worse fit counts (the larger of clipped
            and unclipped loss); 0 for no clipping.
        huber_delta: where the loss turns from square to linear; 0 for half the square.
    """
    losses = _regression(values, targets, huber_delta)
    if eps_clip:
        near = old_values + (values - old_values).clamp(-eps_clip, eps_clip)
        losses = torch.max(losses, _regression(near, targets, huber_delta))
    return losses


def normalise_advantages(advantages: Tensor, mask: Tensor) -> Tensor:
    """Zero mean and unit deviation over the samples where mask (bool, same shape) is true; zero elsewhere."""
    chosen = advantages[mask]
    if chosen.numel() == 0:
        return torch.zeros_like(advantages)
    scaled = (advantages - chosen.mean()) / (chosen.std(correction=0) + 1e-5)
    return torch.where(mask, scaled, torch.zeros_like(scaled))


def _regression(values: Tensor, targets: Tensor, huber_delta: float) -> Tensor:
    if huber_delta:
        return F.huber_loss(values, targets, reduction="none", delta=huber_delta)
    return 0.5 * (values - targets).square()

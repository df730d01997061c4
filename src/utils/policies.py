"""Random actions that gradients flow through: Gumbel-softmax for discrete ones, a squashed Gaussian for continuous."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from components.continuous_selectors import split_gaussian


def legal(avail: Tensor) -> Tensor:
    """Which actions may be taken (bool [..., A]): all where `avail` offers none, as on padding."""
    offered = avail != 0
    return offered | ~offered.any(-1, keepdim=True)


def gumbel_softmax(logits: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
    """One-hot draws [..., A] from the softmax of logits, with the gradient of their relaxation (straight-through).

    Jang et al. 2017 (arXiv 1611.01144), Maddison et al. 2017. logits: minus infinity where an action is not available;
    noise: draws from the standard Gumbel distribution; temperature: of the relaxation (above 0).
    """
    scores = logits + noise
    soft = (scores / temperature).softmax(-1)
    hard = F.one_hot(scores.argmax(-1), scores.shape[-1]).to(soft.dtype)
    return hard + soft - soft.detach()


def squashed_gaussian(outputs: Tensor, noise: Tensor, avail: Tensor) -> tuple[Tensor, Tensor]:
    """Draws [..., d] in (-1, 1) and the logarithms [...] of their densities (Haarnoja et al. 2018, appendix C).

    outputs [..., 2 d]: means and logarithms of deviations; noise [..., d]: standard normal draws; avail [..., d]: which
    of the numbers there are; the others are 0 and have no density.
    """
    mean, log_std = split_gaussian(outputs)
    raw = mean + log_std.exp() * noise
    log_normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
    # log(1 - tanh(u)^2) without a difference of nearly equal numbers.
    log_slope = 2.0 * (math.log(2.0) - raw - F.softplus(-2.0 * raw))
    has = (avail != 0).to(raw.dtype)
    return raw.tanh() * has, ((log_normal - log_slope) * has).sum(-1)

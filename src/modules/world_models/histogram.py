"""Change of a feature as a distribution over bins.

What one SMAC step does to a unit has several modes: a shot landed or not, a move was blocked or not. A categorical
distribution over evenly spaced changes keeps them apart where one Gaussian would smear them, its likelihood has bounded
gradients, and death needs no head of its own: it is the probability that the health lost reaches the health left.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ChangeHistogram(nn.Module):
    """Bins of the change of each of F features, evenly spaced between per-feature limits.

    The limits are set once, by `fit`, from data; later values outside are counted in the outermost bins.
    """

    low: Tensor
    high: Tensor

    def __init__(self, n_features: int, bins: int) -> None:
        super().__init__()
        self.bins = bins
        self.register_buffer("low", torch.full((n_features,), -1.0))
        self.register_buffer("high", torch.full((n_features,), 1.0))

    def fit(self, changes: Tensor, floor: Tensor | None = None, margin: float = 0.5) -> None:
        """Set the limits from changes [N, F], widened by `margin`; the low limits are at most `floor` [F]."""
        low, high = changes.amin(0), changes.amax(0)
        width = (high - low).clamp_min(1e-3)
        low, high = low - margin * width, high + margin * width
        if floor is not None:
            low = torch.minimum(low, floor)
        self.low.copy_(low)
        self.high.copy_(high)

    @property
    def width(self) -> Tensor:
        """Spacing of the bins [F]."""
        return (self.high - self.low) / (self.bins - 1)

    @property
    def centres(self) -> Tensor:
        """Values of the bins [F, bins]."""
        steps = torch.arange(self.bins, device=self.low.device, dtype=self.low.dtype)
        return self.low.unsqueeze(-1) + steps * self.width.unsqueeze(-1)

    def negative_log_likelihood(self, log_probs: Tensor, change: Tensor) -> Tensor:
        """-log p of a change [..., F] under log_probs [(E), ..., F, bins]; two bins share a value between them."""
        change = change.expand(log_probs.shape[:-1])
        position = ((change - self.low) / self.width).clamp(0, self.bins - 1)
        lower = position.floor().clamp_max(self.bins - 2)
        upper_share = position - lower
        lower_index = lower.long().unsqueeze(-1)
        pair = log_probs.gather(-1, torch.cat([lower_index, lower_index + 1], dim=-1))
        return -((1 - upper_share) * pair[..., 0] + upper_share * pair[..., 1])

    def sample(self, log_probs: Tensor, generator: torch.Generator) -> Tensor:
        """Draw changes [..., F] from log_probs [..., F, bins]."""
        cumulative = log_probs.exp().cumsum(-1)
        draw = torch.rand(log_probs.shape[:-1], generator=generator, device=generator.device).to(log_probs.device)
        index = torch.searchsorted(cumulative, draw.unsqueeze(-1) * cumulative[..., -1:]).squeeze(-1)
        return self.low + index * self.width

"""Normalisation of value targets by running statistics, as MAPPO uses it (Yu et al., 2022).

The statistics are registered buffers: they move with `.to(device)` and are in `state_dict` on every device.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

VARIANCE_FLOOR = 1e-2


class ValueNorm(nn.Module):
    """Exponential moving mean and variance of targets [..., *input_shape], corrected for their start at zero.

    `beta` is the weight of the past at each update (beta ** number of samples with `per_element_update`). The variance
    used is at least 0.01. `norm_axes` and `epsilon` belong to PyMARL2's signature and have nothing left to say: all
    leading axes are averaged over, and the correction divides by a weight that is zero only before the first update.
    """

    running_mean: Tensor
    running_mean_sq: Tensor
    debiasing_term: Tensor

    def __init__(
        self,
        input_shape: int | tuple[int, ...] = 1,
        norm_axes: int = 1,
        beta: float = 0.99999,
        per_element_update: bool = False,
        epsilon: float = 1e-5,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__()
        self.input_shape = (input_shape,) if isinstance(input_shape, int) else tuple(input_shape)
        self.beta = beta
        self.per_element_update = per_element_update
        # float64: E[x^2] - E[x]^2 loses half of the digits.
        for name, shape in (
            ("running_mean", self.input_shape),
            ("running_mean_sq", self.input_shape),
            ("debiasing_term", ()),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64, device=device))

    def reset_parameters(self) -> None:
        """Forget all statistics."""
        for buffer in (self.running_mean, self.running_mean_sq, self.debiasing_term):
            buffer.zero_()

    def running_mean_var(self) -> tuple[Tensor, Tensor]:
        """Debiased mean and floored variance, float64 of `input_shape`; 0 and 1 before the first update."""
        if self.debiasing_term == 0:
            return torch.zeros_like(self.running_mean), torch.ones_like(self.running_mean)
        mean = self.running_mean / self.debiasing_term
        variance = self.running_mean_sq / self.debiasing_term - mean**2
        return mean, variance.clamp(min=VARIANCE_FLOOR)

    @torch.no_grad()
    def update(self, input_vector: Tensor, mask: Tensor | None = None) -> None:
        """Take in targets [..., *input_shape]; with a `mask` [...] or [..., 1], only those where it is non-zero."""
        samples = input_vector.detach().to(self.running_mean).reshape(-1, *self.input_shape)
        if mask is not None:
            samples = samples[mask.reshape(-1) != 0]
        n_samples = samples.shape[0]
        if n_samples == 0:
            return
        weight = self.beta**n_samples if self.per_element_update else self.beta
        self.running_mean.mul_(weight).add_(samples.mean(0) * (1.0 - weight))
        self.running_mean_sq.mul_(weight).add_((samples**2).mean(0) * (1.0 - weight))
        self.debiasing_term.mul_(weight).add_(1.0 - weight)

    def normalize(self, input_vector: Tensor) -> Tensor:
        """Targets [..., *input_shape] in units of their running standard deviation, around their running mean."""
        mean, variance = self.running_mean_var()
        return (input_vector - mean.to(input_vector.dtype)) / variance.sqrt().to(input_vector.dtype)

    def denormalize(self, input_vector: Tensor) -> Tensor:
        """The inverse of `normalize`."""
        mean, variance = self.running_mean_var()
        return input_vector * variance.sqrt().to(input_vector.dtype) + mean.to(input_vector.dtype)

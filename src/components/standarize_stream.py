"""Running mean and variance of a stream of tensors (the module keeps PyMARL's spelling: plug-ins import it)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class RunningMeanStd:
    """Mean and population variance of everything seen, merged batch by batch (Chan, Golub and LeVeque, 1979).

    `shape` is that of one sample. `mean` and `var` are float32 tensors of that shape; the sums behind them are
    float64.
    """

    def __init__(self, epsilon: float = 1e-4, shape: tuple[int, ...] = (), device: str | torch.device = "cpu") -> None:
        self.shape = tuple(shape)
        self.device = torch.device(device)
        self.count = float(epsilon)
        self._mean = torch.zeros(self.shape, dtype=torch.float64, device=self.device)
        self._var = torch.ones(self.shape, dtype=torch.float64, device=self.device)

    @property
    def mean(self) -> torch.Tensor:
        """Mean so far."""
        return self._mean.float()

    @property
    def var(self) -> torch.Tensor:
        """Population variance so far."""
        return self._var.float()

    def update(self, arr: torch.Tensor | np.ndarray, mask: torch.Tensor | None = None) -> None:
        """Add samples [..., *shape]; where `mask` [...] is given, only those where it is true (padding stays out)."""
        samples = torch.as_tensor(arr, device=self.device).detach().double().reshape(-1, *self.shape)
        if mask is not None:
            samples = samples[mask.reshape(-1).bool()]
        if samples.shape[0] > 0:
            self.update_from_moments(samples.mean(0), samples.var(0, unbiased=False), samples.shape[0])

    def update_from_moments(self, batch_mean: torch.Tensor, batch_var: torch.Tensor, batch_count: int) -> None:
        """Add `batch_count` samples of which mean and population variance are known."""
        delta = batch_mean.double() - self._mean
        total = self.count + batch_count
        square_sum = (
            self._var * self.count + batch_var.double() * batch_count + delta**2 * self.count * batch_count / total
        )
        self._mean = self._mean + delta * batch_count / total
        self._var = square_sum / total
        self.count = total

    def state_dict(self) -> dict[str, Any]:
        """Mean, variance and count."""
        return {"mean": self._mean, "var": self._var, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self._mean = state["mean"].to(self.device)
        self._var = state["var"].to(self.device)
        self.count = float(state["count"])

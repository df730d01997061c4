"""A running average of a policy's weights, for tests: it is steadier than the policy that goes on learning."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class PolicyAverage:
    """Exponential average of the weights of a controller's network, one step per `update`.

    Args:
        mac: the controller; `mac.agent` is what is averaged.
        decay: weight of the past (0.5 to 0.95); the average reaches back about 1 / (1 - decay) updates.
    """

    def __init__(self, mac: Any, decay: float) -> None:
        self.mac = mac
        self.model = AveragedModel(mac.agent, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
        self.model.requires_grad_(False)

    def update(self) -> None:
        """Take in the present weights; the first ones are taken as they are."""
        self.model.update_parameters(self.mac.agent)

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Meanwhile the controller acts with the average."""
        present = self.mac.agent
        self.mac.agent = self.model.module
        try:
            yield
        finally:
            self.mac.agent = present

    def to(self, device: torch.device | str) -> None:
        """Move the average to `device`."""
        self.model.to(device)

    def state_dict(self) -> dict[str, Any]:
        """The average and how many updates it has seen."""
        return self.model.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.model.load_state_dict(state)

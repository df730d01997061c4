"""Whether imagination pulls the policy where reality pulls it: the angle between their gradients.

A world model is right about coarse things first. While a policy has those to learn, its gradient on imagined battles
points where the real one points; later what is left to learn is finer than the model, and many sure steps in a wrong
direction undo the few that real episodes allow (docs/results/amal.md has it measured).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

MEMORY = 0.9  # weight of the past in the directions: about ten rounds of episodes tell a real one from its noise
UNTRIED = 10  # rounds before they are believed


class GradientAgreement:
    """Running averages of the directions of two gradients, and how much imagination their cosine allows.

    Args:
        full: the cosine from which on all updates in imagination are made; below it their number falls in proportion,
            to one. 0: all are made whatever it is.
    """

    def __init__(self, full: float) -> None:
        self.full = full
        self.rounds = 0
        self.directions: dict[str, Tensor] = {}

    def see(self, origin: str, gradient: Tensor) -> None:
        """Take in this round's gradient [P]; `origin` is "real" or "imagined"."""
        direction = gradient / gradient.norm().clamp_min(1e-12)
        past = self.directions.get(origin)
        self.directions[origin] = direction if past is None else torch.lerp(direction, past, MEMORY)
        self.rounds += origin == "real"

    @property
    def cosine(self) -> float:
        """Cosine of the angle between the two averages; 1 while one of them is missing."""
        if len(self.directions) < 2:
            return 1.0
        return float(cosine_similarity(self.directions["real"], self.directions["imagined"], dim=0))

    def updates(self, most: int) -> int:
        """How many of at most `most` updates in imagination to make: one at least, if there are to be any."""
        if not self.full or not most or self.rounds < UNTRIED:
            return most
        return max(1, min(most, round(most * self.cosine / self.full)))

    def to(self, device: torch.device | str) -> None:
        """Move the averages to `device`."""
        self.directions = {origin: direction.to(device) for origin, direction in self.directions.items()}

    def state_dict(self) -> dict[str, Any]:
        """All that what follows depends on."""
        return {"rounds": self.rounds, "directions": dict(self.directions)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.rounds, self.directions = state["rounds"], dict(state["directions"])

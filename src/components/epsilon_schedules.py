"""Schedules of the exploration rate over environment steps."""

from __future__ import annotations

import math


class DecayThenFlatSchedule:
    """Falls from `start` to `finish` within `time_length` environment steps, then stays there.

    `decay` is "linear", or "exp" for exp(-T / s), where s is such that `finish` is reached at `time_length`.
    """

    def __init__(self, start: float, finish: float, time_length: int, decay: str = "exp") -> None:
        if decay not in ("linear", "exp"):
            raise ValueError(f'decay must be "linear" or "exp", not "{decay}"')
        if time_length < 0:
            raise ValueError(f"time_length must not be negative, got {time_length}")
        self.start = start
        self.finish = finish
        self.time_length = time_length
        self.decay = decay
        self.delta = (start - finish) / max(time_length, 1)
        # exp(-time_length / s) = finish; a schedule that ends at 0 has no such s, PyMARL takes 1 there.
        self.exp_scaling = -time_length / math.log(finish) if 0 < finish < 1 else 1.0

    def eval(self, T: int) -> float:
        """Value after `T` environment steps."""
        if self.time_length <= T:
            return self.finish
        if self.decay == "linear":
            return max(self.finish, self.start - self.delta * T)
        return min(self.start, max(self.finish, math.exp(-T / self.exp_scaling)))

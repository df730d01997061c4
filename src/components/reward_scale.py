"""Scaling of rewards by the spread of the returns they add up to, without moving their zero."""

from typing import Any

from torch import Tensor

from components.standarize_stream import RunningMeanStd
from utils.rl_utils import build_returns_so_far

VARIANCE_FLOOR = 1e-8


class RewardScale:
    """Divides rewards by the running deviation of the discounted sums of rewards so far.

    The usual reward normalisation of PPO (Engstrom et al. 2020, arXiv 2005.12729), which DNA uses, too. No
    mean is taken off: that would pay or charge for every step and change which policy is best.
    """

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma
        self.statistics = RunningMeanStd()

    def update(self, rewards: Tensor, mask: Tensor) -> None:
        """Take in whole episodes: rewards [B, T, 1], mask [B, T, 1] (true for real steps)."""
        sums = build_returns_so_far(rewards, self.gamma)
        self.statistics.update(sums.cpu(), mask.cpu())  # the statistics stay on the CPU

    def scale(self, rewards: Tensor) -> Tensor:
        """Rewards of any shape in units of the deviation."""
        return rewards / (self.statistics.var.to(rewards.device) + VARIANCE_FLOOR).sqrt()

    def state_dict(self) -> dict[str, Any]:
        """The statistics."""
        return self.statistics.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.statistics.load_state_dict(state)

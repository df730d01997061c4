"""Choice of continuous actions: numbers in [-1, 1] from a policy's outputs, with draws from streams of their own."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from components.action_selectors import ActionSelector, check_finite
from components.epsilon_schedules import DecayThenFlatSchedule

LOG_STD_RANGE = (-5.0, 2.0)
"""Where the logarithm of a policy's deviation is held."""


def split_gaussian(outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and logarithms of deviations [..., d], from a network's outputs [..., 2 d]."""
    mean, log_std = outputs.chunk(2, dim=-1)
    return mean, log_std.clamp(*LOG_STD_RANGE)


class ContinuousActionSelector(ActionSelector):
    """What both have in common. `avail_actions` [B, n, d] says which of the numbers an agent has; the others are 0.

    outputs_per_action: how many outputs of the network make one number.
    """

    outputs_per_action = 1

    def _normal(self, like: torch.Tensor, test_mode: bool) -> torch.Tensor:
        generator = self._generators["evaluation" if test_mode else "policy"]
        return torch.randn(like.shape, generator=generator).to(like.device)


class GaussianActionSelector(ContinuousActionSelector):
    """Continuous actions in [-1, 1]: tanh of the outputs and, but for greedy tests, normal noise on it.

    The noise's deviation falls linearly from `noise_start` to `noise_finish` in `noise_anneal_time` steps.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__(args)
        self.schedule = DecayThenFlatSchedule(
            args.noise_start, args.noise_finish, args.noise_anneal_time, decay="linear"
        )

    def select_action(
        self, agent_inputs: torch.Tensor, avail_actions: torch.Tensor, t_env: int, test_mode: bool = False
    ) -> torch.Tensor:
        """Actions [B, n, d] (float) from outputs [B, n, d]; 0 for numbers that an agent does not have."""
        check_finite(agent_inputs, avail_actions, t_env)
        actions = agent_inputs.detach().tanh()
        if not (test_mode and self.test_greedy):
            actions = (actions + self.schedule.eval(t_env) * self._normal(actions, test_mode)).clamp(-1.0, 1.0)
        return actions * (avail_actions != 0)


class SquashedGaussianActionSelector(ContinuousActionSelector):
    """Continuous actions in (-1, 1): draws from tanh of a normal distribution; tanh of its mean in greedy tests."""

    outputs_per_action = 2

    def select_action(
        self, agent_inputs: torch.Tensor, avail_actions: torch.Tensor, t_env: int, test_mode: bool = False
    ) -> torch.Tensor:
        """Actions [B, n, d] (float) from outputs [B, n, 2 d]: means, then logarithms of deviations."""
        check_finite(agent_inputs, torch.cat((avail_actions, avail_actions), dim=-1), t_env)
        mean, log_std = split_gaussian(agent_inputs.detach())
        if not (test_mode and self.test_greedy):
            mean = mean + log_std.exp() * self._normal(mean, test_mode)
        return mean.tanh() * (avail_actions != 0)


REGISTRY: dict[str, type[ContinuousActionSelector]] = {
    "gaussian": GaussianActionSelector,
    "squashed_gaussian": SquashedGaussianActionSelector,
}

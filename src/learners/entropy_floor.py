"""A floor under a policy's entropy: a policy that is certain of everything tries nothing and learns nothing more."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log

from learners.ppo_update import PPOSettings

# How fast the price of certainty moves, per update and for an entropy of 0 (e-fold in 1 / RATE updates), and how many
# times the usual one it can become.
RATE = 0.2
MOST = 10.0


class EntropyFloor:
    """Raises the weight of the entropy while a policy has less of it than `nats`, and lowers it to the usual one above.

    The weight's logarithm moves in proportion to what is missing, as the temperature does in SAC with a wanted entropy
    (Haarnoja et al. 2018, arXiv 1812.05905, section 5); here it never falls below the usual weight, so a policy that
    keeps above the floor learns as if there were none.

    Args:
        nats: the floor, as mean entropy of an agent's choice over the steps that count; 0 for none.
    """

    def __init__(self, nats: float) -> None:
        self.nats = nats
        self.log_scale = 0.0

    @property
    def scale(self) -> float:
        """What the usual weight is multiplied with at present, 1 to `MOST`."""
        return exp(self.log_scale)

    def applied(self, settings: PPOSettings) -> PPOSettings:
        """The settings with the present weight of the entropy."""
        return replace(settings, entropy_coef=settings.entropy_coef * self.scale) if self.log_scale else settings

    def update(self, entropy: float) -> None:
        """Take notice of the entropy that the policy had in an update."""
        if self.nats:
            self.log_scale = min(max(self.log_scale + RATE * (1.0 - entropy / self.nats), 0.0), log(MOST))

"""HATRPO: HAPPO's turns with a trust-region step in place of the clipped ones (Kuba et al. 2022, arXiv 2109.11251)."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from learners.happo_learner import HAPPOLearner
from learners.ppo_data import PolicyRows, PPOData
from learners.ppo_losses import kl_divergence, policy_entropy
from learners.trust_region import TrustRegion, kl_curvature, trust_region_step


class HATRPOLearner(HAPPOLearner):
    """Trains one policy per agent, in turns, by steps of a bounded mean KL divergence, and a critic.

    Reads the keys of config/algs/hatrpo.yaml, each explained there or in mappo.yaml.
    """

    def __init__(self, mac: Any, scheme: dict[str, Any], logger: Any, args: SimpleNamespace) -> None:
        super().__init__(mac, scheme, logger, args)
        self.region = TrustRegion.from_args(args)

    def _improve(self, data: PPOData) -> dict[str, float]:
        """One trust-region step of the agent whose steps `data.policy_mask` has."""
        rows = PolicyRows.of(data)
        if rows.n_counted == 0:
            return {}

        def log_probs() -> Tensor:
            return self.trainer.log_distributions(rows, data)

        def mean(values: Tensor) -> Tensor:
            return (values * rows.weights).sum() / rows.n_counted

        def objective() -> Tensor:
            chosen = log_probs().gather(1, rows.actions.unsqueeze(1)).squeeze(1)
            return mean((chosen - rows.old_log_probs).exp() * rows.advantages)

        with torch.no_grad():
            old = log_probs()

        def distance() -> Tensor:
            return mean(kl_divergence(old, log_probs(), rows.illegal))

        moving = self._moving(objective)
        curvature = kl_curvature(moving, log_probs, rows.weights / rows.n_counted)
        logged = trust_region_step(moving, objective, distance, curvature, self.region)
        entropy = mean(policy_entropy(old, rows.illegal))
        return logged | {"entropy": float(entropy), "pi_max": float(mean(old.amax(-1).exp()))}

    def _moving(self, objective: Any) -> list[torch.nn.Parameter]:
        """The parameters that the objective depends on: those of the agent whose turn it is."""
        parameters = list(self.mac.parameters())
        gradients = torch.autograd.grad(objective(), parameters, allow_unused=True)
        return [p for p, gradient in zip(parameters, gradients, strict=True) if gradient is not None]

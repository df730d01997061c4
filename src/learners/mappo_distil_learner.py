"""MAPPO-distil: a policy network per agent, one central value network, and a phase that distils it into them.

DNA (Aitchison and Sweetser 2022, arXiv 2206.10027) for a team. One update has three phases, each with its own epochs
and optimizer: the policies learn by the clipped surrogate from advantages of a low lambda; the value network learns
returns of a high lambda; then every policy network's value head learns what the value network has come to predict,
while a penalty on the KL divergence holds its policy, as in PPG (Cobbe et al. 2021, arXiv 2009.04416). The value heads
steer nothing: they teach the features that they share with the policy. docs/algorithms/policy-gradient.md says more.
"""

from collections import defaultdict
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from learners.ppo_data import PolicyRows, PPOData
from learners.ppo_learner import PPOLearner, adam
from learners.ppo_losses import kl_divergence, masked_log_softmax, value_loss
from learners.ppo_update import apply_gradients
from learners.sequences import run_packed
from utils.errors import UserError


@dataclass(frozen=True)
class DistilSettings:
    """The distillation phase; config/algs/mappo_distil.yaml says what the values mean and which range is sensible."""

    epochs: int
    lr: float
    beta: float

    @classmethod
    def from_args(cls, args: SimpleNamespace) -> "DistilSettings":
        """Read `distil_epochs`, `distil_lr` (None: `lr`) and `distil_beta`; ValueError for one out of range."""
        settings = cls(args.distil_epochs, args.lr if args.distil_lr is None else args.distil_lr, args.distil_beta)
        for key in ("epochs", "lr", "beta"):
            if getattr(settings, key) < 0:
                raise ValueError(f"distil_{key} must not be negative, but is {getattr(settings, key)}")
        return settings


class MAPPODistilLearner(PPOLearner):
    """Trains policies with a value head, a critic, and the value heads on the critic.

    Reads the keys of config/algs/mappo_distil.yaml, each explained there or in mappo.yaml.
    """

    def __init__(self, mac: Any, scheme: dict[str, Any], logger: Any, args: SimpleNamespace) -> None:
        first = next(iter(getattr(mac.agent, "agents", [mac.agent])))
        if not hasattr(first, "policy_and_value_packed"):
            raise UserError(
                f'{args.learner} needs policy networks with a value head: agent="ppo_rnn_value", not "{args.agent}".'
            )
        super().__init__(mac, scheme, logger, args)
        self.distil_settings = DistilSettings.from_args(args)
        self.distil_optimiser = adam(mac.parameters(), self.distil_settings.lr, args)

    def update(self, data: PPOData) -> dict[str, float]:
        """All three phases; returns what there is to log.

        The policy and the value phase share neither a parameter nor a target, so that the trainer may let their epochs
        take turns. The value heads get no gradient there, and Adam leaves them as they are.
        """
        return super().update(data) | self.distil(data)

    def distil(self, data: PPOData) -> dict[str, float]:
        """The distillation phase; returns its losses as means over the gradient steps."""
        targets, old_log_probs = self.distil_targets(data), self._log_distributions(data)
        totals: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=data.returns.device))
        parts: list[PolicyRows] = []
        for _ in range(self.distil_settings.epochs):
            for episodes in self.trainer.mini_batches(data, self.settings):
                if self.settings.mini_batches > 1 or not parts:
                    parts = [PolicyRows.of(data, part) for part in episodes]
                for name, value in self._distil_step(parts, targets, old_log_probs).items():
                    totals[name] += value
        n_steps = max(self.distil_settings.epochs * self.settings.mini_batches, 1)
        return {name: float(total) / n_steps for name, total in totals.items()}

    def distil_targets(self, data: PPOData) -> Tensor:
        """What the critic predicts now, for every agent: [B, T, n], in the critic's units.

        A critic with one row per step gives all agents the same target, one with a row per agent each its own.
        """
        return self.trainer.values(data.critic_inputs, data.value_mask)[..., 0].expand(-1, -1, self.n_agents)

    @torch.no_grad()
    def _log_distributions(self, data: PPOData) -> Tensor:
        """Log-probabilities [B, T, n, A] of all actions under the present policies; 0 past an agent's last step."""
        rows = PolicyRows.of(data)
        return rows.packing.unpack(self.trainer.log_distributions(rows, data), data.actions.shape)

    def _distil_step(self, parts: list[PolicyRows], targets: Tensor, old_log_probs: Tensor) -> dict[str, Tensor]:
        """One gradient step of the policy networks; the parts' gradients add up to that of the whole."""
        n_counted = max(sum(part.n_counted for part in parts), 1)
        logged: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=targets.device))
        delta = self.settings.huber_delta
        self.distil_optimiser.zero_grad(set_to_none=True)
        for rows in parts:
            if rows.n_counted == 0:
                continue
            outputs = run_packed(
                self.mac.agent, rows.inputs, rows.packing, rows.hidden, method="policy_and_value_packed"
            )
            fit, kl = distillation_terms(
                outputs, rows.packing.pack(targets), rows.packing.pack(old_log_probs), rows.illegal, delta
            )
            mean_fit, mean_kl = ((term * rows.weights).sum() / n_counted for term in (fit, kl))
            (mean_fit + self.distil_settings.beta * mean_kl).backward()
            logged["distil_loss"] += mean_fit.detach()
            logged["distil_kl"] += mean_kl.detach()
        logged["distil_grad_norm"] = apply_gradients(self.distil_optimiser, self.settings.grad_norm_clip)
        return logged

    def _rates(self) -> list[tuple[torch.optim.Optimizer, float]]:
        return [*super()._rates(), (self.distil_optimiser, self.distil_settings.lr)]

    def _stored(self) -> dict[str, Any]:
        return {**super()._stored(), "distil_opt": self.distil_optimiser}


def distillation_terms(
    outputs: Tensor, targets: Tensor, old_log_probs: Tensor, illegal: Tensor, huber_delta: float
) -> tuple[Tensor, Tensor]:
    """How far the values are from their targets, and the policy from what it was: a loss and KL(old, new), each [R].

    outputs [R, A + 1]: logits and values; targets [R]; old_log_probs, illegal [R, A]; huber_delta as in `value_loss`.
    """
    values, log_probs = outputs[:, -1], masked_log_softmax(outputs[:, :-1], illegal)
    fit = value_loss(values, values, targets, eps_clip=0.0, huber_delta=huber_delta)
    return fit, kl_divergence(old_log_probs, log_probs, illegal)

"""The information term of AMAL on segments of experience: which steps tell most, as a reward of its own."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from learners.segments import Segments, policy_inputs
from modules.exploration import AuxiliaryEvolution, InformationBonus, PolicyAlternatives
from modules.world_models import Context, WorldModel


class InformationTerm:
    """Adds the bonus lambda * I to M steps of a batch (`information_samples`; 0: to all).

    Estimators (`information_estimator`): `mixture`, Proposition 1 with K = `mi_policy_samples` policies, the one that
    acted among them; `ensemble`, the disagreement of the world model's heads.
    """

    def __init__(self, args: SimpleNamespace, model: WorldModel, mac: Any, generator: torch.Generator) -> None:
        self.model, self.mac, self.generator = model, mac, generator
        self.n_samples = args.information_samples
        self.bonus = InformationBonus(
            args.information_estimator,
            args.lambda_info,
            args.information_anneal_share,
            centred=args.information_centred,
        )
        self.alternatives = PolicyAlternatives(
            args.mi_policy_samples, args.mi_policies, args.mi_noise_scale, args.mi_policy_refresh, generator=generator
        )
        self._stats: dict[str, float] = {}

    @torch.no_grad()
    def __call__(self, segments: Segments, progress: float, evolution: AuxiliaryEvolution | None) -> Segments:
        """The segments with `information` filled in at the sampled steps."""
        if self.bonus.coefficient(progress) == 0:
            self._stats = {"information_lambda": 0.0, "information_share": 0.0}
            return segments
        rows, steps = self._sample_steps(segments.mask)
        information = self._information(segments, rows, steps, evolution)
        values = torch.zeros_like(segments.information)
        values[rows, steps] = self.bonus(information, progress)
        self._stats = self.bonus.stats() | {"information_share": _share(values, segments.reward * segments.mask)}
        return replace(segments, information=values)

    def _sample_steps(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        rows, steps = mask.nonzero(as_tuple=True)
        if self.n_samples and self.n_samples < len(rows):
            chosen = torch.randperm(len(rows), generator=self.generator)[: self.n_samples].to(rows.device)
            rows, steps = rows[chosen], steps[chosen]
        return rows, steps

    def _information(
        self, segments: Segments, rows: Tensor, steps: Tensor, evolution: AuxiliaryEvolution | None
    ) -> Tensor:
        """Information in nats [M] of steps (rows, steps)."""
        model = self.model
        n_steps = segments.mask.shape[1]
        context = model.contexts(segments.state[:, :n_steps]).rows(rows * n_steps + steps)
        tokens, next_tokens = context.tokens, model.layout.tokens(segments.state[rows, steps + 1])
        taken = segments.actions[rows, steps]
        if self.bonus.estimator == "ensemble":
            means, stds = model.moments(context, model.predict(context, taken))
        else:
            means, stds = self._under_alternatives(segments, rows, steps, context, taken, evolution)
        means, stds = means / model.scale, stds / model.scale
        return self.bonus.estimate(
            means.flatten(-2),
            stds.clamp_min(1e-6).log().flatten(-2),
            (next_tokens / model.scale).flatten(-2),
            model.comparable(tokens, next_tokens).flatten(-2),
        )

    def _under_alternatives(
        self,
        segments: Segments,
        rows: Tensor,
        steps: Tensor,
        context: Context,
        taken: Tensor,
        evolution: AuxiliaryEvolution | None,
    ) -> tuple[Tensor, Tensor]:
        """Predicted moments [K, M, U, F], of the joint action taken first and of K - 1 alternatives to it."""
        agent = self.mac.agent
        inputs = policy_inputs(self.mac, segments.obs[:, :-1], segments.previous_actions[:, :-1])
        features = agent.features_sequence(inputs, segments.actor_hidden)[0][rows, steps]
        others = self.alternatives.sample(
            features,
            agent.head.weight,
            agent.head.bias,
            segments.avail_actions[rows, steps],
            evolution.deltas() if evolution is not None else None,
        )
        actions = torch.cat([taken.unsqueeze(0), others])
        n_policies = actions.shape[0]
        repeated = Context(*(part.repeat(n_policies, *[1] * (part.dim() - 1)) for part in context))
        log_probs = self.model.predict(repeated, actions.flatten(0, 1))
        means, stds = self.model.moments(repeated, log_probs)
        return means[0].unflatten(0, (n_policies, -1)), stds[0].unflatten(0, (n_policies, -1))

    def count_update(self) -> None:
        """Count one round of the learner; cached noise is renewed every `mi_policy_refresh` rounds."""
        self.alternatives.update()

    def stats(self) -> dict[str, float]:
        """What is to be logged of the latest batch."""
        return dict(self._stats)

    def state_dict(self) -> dict[str, Any]:
        """Everything that training needs to go on as if it had not stopped."""
        return {"bonus": self.bonus.state_dict(), "alternatives": self.alternatives.state_dict(), "stats": self.stats()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.bonus.load_state_dict(state["bonus"])
        self.alternatives.load_state_dict(state["alternatives"])
        self._stats = dict(state["stats"])


def _share(bonus: Tensor, reward: Tensor) -> float:
    """Share of the bonus in the sum of both rewards' magnitudes; 0 where there is neither."""
    intrinsic, extrinsic = float(bonus.abs().sum()), float(reward.abs().sum())
    return intrinsic / max(intrinsic + extrinsic, 1e-12)

"""The PPO update on sequences of several agents: epochs, mini-batches, gradients. Knows no environment and no buffer.

The learner that calls it decides what the advantages and returns are, and may mix real and imagined sequences by
`PPOData.cat`. Actor and critic share no parameter and have an optimizer each.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from learners.ppo_data import PolicyRows, PPOData, ValueRows
from learners.ppo_losses import clipped_surrogate, floor_shortfall, masked_log_softmax, policy_entropy, value_loss
from learners.sequences import Packing, packs, run_packed

FLOOR_WEIGHT = 0.1
"""Of the shortfall. Among n actions, one at the floor f with normalised advantage A is pushed down with f |A|, and up
with FLOOR_WEIGHT / n, which is more for every f and A that make sense."""


@dataclass(frozen=True)
class PPOSettings:
    """What one update does. config/algs/mappo.yaml says what the values mean and which range is sensible.

    value_epochs: the critic's passes, None for as many as the policy's.
    policy_floor: probability below which no legal action is to fall; 0 for none.
    """

    epochs: int
    mini_batches: int
    eps_clip: float
    entropy_coef: float
    value_clip: bool
    huber_delta: float
    value_loss_coef: float
    grad_norm_clip: float
    accumulate_gradients: int
    value_epochs: int | None = None
    policy_floor: float = 0.0

    @classmethod
    def from_args(cls, args: SimpleNamespace) -> "PPOSettings":
        """Read the keys of the same names; ValueError for one out of range."""
        settings = cls(
            epochs=args.epochs,
            mini_batches=args.mini_batches,
            eps_clip=args.eps_clip,
            entropy_coef=args.entropy_coef,
            value_clip=args.value_clip,
            huber_delta=args.huber_delta,
            value_loss_coef=args.value_loss_coef,
            grad_norm_clip=args.grad_norm_clip,
            accumulate_gradients=getattr(args, "accumulate_gradients", 1),
            value_epochs=getattr(args, "value_epochs", None),
            policy_floor=getattr(args, "policy_floor", 0.0),
        )
        for key in ("epochs", "mini_batches", "accumulate_gradients", "value_epochs"):
            if (value := getattr(settings, key)) is not None and value < 1:
                raise ValueError(f"{key} must be at least 1, not {value}")
        for key in ("eps_clip", "grad_norm_clip"):
            if getattr(settings, key) <= 0:
                raise ValueError(f"{key} must be positive, not {getattr(settings, key)}")
        return settings


class PPOTrainer:
    """Trains an actor and a critic on `PPOData`.

    Args:
        actor: network with `forward_packed(inputs [R, d], batch_sizes, hidden)`; without it, `unroll` is used. Or
            one network per agent, `actor.agents`.
        critic: network with `forward_packed`, or one per agent.
        value_norm: normaliser of returns with `normalize(x)` (utils.value_norm), or None.
        generator: stream for the order of mini-batches.
        unroll: `(inputs [B, T, n, d], hidden [B, n, H] | None) -> (logits [B, T, n, A], hidden)`.
    """

    def __init__(
        self,
        actor: nn.Module,
        critic: nn.Module,
        actor_optimizer: torch.optim.Optimizer,
        critic_optimizer: torch.optim.Optimizer,
        value_norm: Any | None,
        generator: torch.Generator,
        unroll: Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        self.actor: Any = actor
        self.critic: Any = critic
        self.actor_optimizer = actor_optimizer
        self.critic_optimizer = critic_optimizer
        self.value_norm = value_norm
        self.generator = generator
        self.unroll = unroll

    @torch.no_grad()
    def log_probs(
        self, inputs: Tensor, avail_actions: Tensor, actions: Tensor, mask: Tensor, hidden: Tensor | None = None
    ) -> Tensor:
        """Log-probabilities [B, T, n] of the actions under the present actor; 0 past a sequence's last true mask."""
        packing, log_probs = self._policy(inputs, avail_actions, mask, hidden)
        chosen = log_probs.gather(1, packing.pack(actions).unsqueeze(1)).squeeze(1)
        return packing.unpack(chosen, tuple(mask.shape))

    @torch.no_grad()
    def probabilities(self, inputs: Tensor, avail_actions: Tensor, mask: Tensor) -> Tensor:
        """Probabilities [B, T, n, A] of all actions under the present actor; 0 past a sequence's last true mask."""
        packing, log_probs = self._policy(inputs, avail_actions, mask, None)
        return packing.unpack(log_probs.exp(), tuple(mask.shape))

    @torch.no_grad()
    def values(
        self, inputs: Tensor, mask: Tensor, hidden: Tensor | None = None, critic: nn.Module | None = None
    ) -> Tensor:
        """Values [B, T, k, v] in the critic's own units; 0 past a sequence's last true mask.

        critic: another network than the one that is trained, such as a target network.
        """
        packing = Packing.of(mask)
        network = self.critic if critic is None else critic
        return packing.unpack(run_packed(network, packing.pack(inputs), packing, packing.start(hidden)), mask.shape)

    def update(self, data: PPOData, settings: PPOSettings, guide: Tensor | None = None) -> dict[str, float]:
        """Train for the epochs of `settings`; returns what there is to log, as means over the gradient steps.

        In each epoch the policy and the critic make a step on every mini-batch, as long as their epochs last. No step
        of the policy's goes against `guide` [P], a gradient such as `policy_gradient` gives (`remove_conflict`).
        """
        if settings.mini_batches > data.n_sequences:
            raise ValueError(f"mini_batches is {settings.mini_batches}, but the batch has {data.n_sequences} episodes")
        targets = data.returns if self.value_norm is None else self.value_norm.normalize(data.returns)
        totals: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=data.returns.device))
        policy_parts: list[PolicyRows] = []
        value_parts: list[ValueRows] = []
        value_epochs = settings.epochs if settings.value_epochs is None else settings.value_epochs
        n_steps: dict[str, int] = {}
        for epoch in range(max(settings.epochs, value_epochs)):
            for parts in self.mini_batches(data, settings):
                if settings.mini_batches > 1 or not policy_parts:
                    policy_parts = [PolicyRows.of(data, part) for part in parts]
                    value_parts = [ValueRows.of(data, targets, part) for part in parts]
                steps = []
                if epoch < settings.epochs:
                    steps.append((self._policy_step(policy_parts, data, settings, guide), settings.epochs))
                if epoch < value_epochs:
                    steps.append((self._value_step(value_parts, settings), value_epochs))
                for logged, epochs in steps:
                    for name, value in logged.items():
                        totals[name] += value
                        n_steps[name] = epochs * settings.mini_batches
        return {name: float(total) / n_steps[name] for name, total in totals.items()}

    def log_distributions(self, rows: PolicyRows, data: PPOData) -> Tensor:
        """Log-probabilities [R, A] of all actions in the rows of `data`, under the present actor and with gradient."""
        logits = self._logits(rows.packing, rows.inputs, rows.hidden, data.actor_inputs, data.actor_hidden)
        return masked_log_softmax(logits, rows.illegal)

    def policy_gradient(self, data: PPOData, settings: PPOSettings) -> Tensor:
        """Gradient [P] of the clipped surrogate, without entropy, over all of `data`; changes nothing."""
        rows = PolicyRows.of(data)
        log_probs = self.log_distributions(rows, data).gather(1, rows.actions.unsqueeze(1)).squeeze(1)
        objective, _ = clipped_surrogate(log_probs, rows.old_log_probs, rows.advantages, settings.eps_clip)
        loss = -(objective * rows.weights).sum() / max(rows.n_counted, 1)
        gradients = torch.autograd.grad(loss, _parameters(self.actor_optimizer), allow_unused=True)
        return torch.cat([g.flatten() for g in gradients if g is not None])

    def mini_batches(self, data: PPOData, settings: PPOSettings) -> list[tuple[Tensor, ...]]:
        """Episode numbers of one epoch's mini-batches, each in the pieces that its gradient is computed in."""
        order = torch.arange(data.n_sequences)
        if settings.mini_batches > 1:
            order = torch.randperm(data.n_sequences, generator=self.generator)
        batches = order.to(data.actions.device).tensor_split(settings.mini_batches)
        return [batch.tensor_split(min(settings.accumulate_gradients, len(batch))) for batch in batches]

    def _policy_step(
        self, parts: list[PolicyRows], data: PPOData, settings: PPOSettings, guide: Tensor | None
    ) -> dict[str, Tensor]:
        """One gradient step of the actor; the parts' gradients add up to that of the whole."""
        n_counted = max(sum(part.n_counted for part in parts), 1)
        logged: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=data.actions.device))
        self.actor_optimizer.zero_grad(set_to_none=True)
        for rows in parts:
            if rows.n_counted == 0:
                continue
            all_log_probs = self.log_distributions(rows, data)
            log_probs = all_log_probs.gather(1, rows.actions.unsqueeze(1)).squeeze(1)
            objective, ratio = clipped_surrogate(log_probs, rows.old_log_probs, rows.advantages, settings.eps_clip)
            entropy = policy_entropy(all_log_probs, rows.illegal)
            pg_loss = -(objective * rows.weights).sum() / n_counted
            mean_entropy = (entropy * rows.weights).sum() / n_counted
            loss = pg_loss - settings.entropy_coef * mean_entropy
            if settings.policy_floor:
                shortfall = floor_shortfall(all_log_probs, rows.illegal, settings.policy_floor)
                loss = loss + FLOOR_WEIGHT * (shortfall * rows.weights).sum() / n_counted
            loss.backward()
            with torch.no_grad():
                clipped = ((ratio - 1).abs() > settings.eps_clip) & (rows.weights > 0)
                logged["pg_loss"] += pg_loss.detach()
                logged["entropy"] += mean_entropy.detach()
                logged["ratio"] += (ratio * rows.weights).sum() / n_counted
                logged["pi_max"] += (all_log_probs.amax(dim=-1).exp() * rows.weights).sum() / n_counted
                logged["clip_fraction"] += clipped.sum() / n_counted
        if guide is not None:
            logged["conflict"] = remove_conflict(_parameters(self.actor_optimizer), guide)
        logged["agent_grad_norm"] = apply_gradients(self.actor_optimizer, settings.grad_norm_clip)
        return logged

    def _value_step(self, parts: list[ValueRows], settings: PPOSettings) -> dict[str, Tensor]:
        """One gradient step of the critic; the parts' gradients add up to that of the whole."""
        n_counted = max(sum(part.n_counted for part in parts), 1)
        total = torch.zeros((), device=parts[0].targets.device)
        self.critic_optimizer.zero_grad(set_to_none=True)
        for rows in parts:
            if rows.n_counted == 0:
                continue
            values = run_packed(self.critic, rows.inputs, rows.packing, rows.hidden)
            values = values if rows.actions is None else values.gather(1, rows.actions)
            clip = settings.eps_clip if settings.value_clip else 0.0
            losses = value_loss(values, rows.old_values, rows.targets, clip, settings.huber_delta)
            loss = (losses * rows.weights.unsqueeze(1)).sum() / n_counted
            (loss * settings.value_loss_coef).backward()
            total += loss.detach()
        norm = apply_gradients(self.critic_optimizer, settings.grad_norm_clip)
        return {"critic_loss": total, "critic_grad_norm": norm}

    def _policy(
        self, inputs: Tensor, avail_actions: Tensor, mask: Tensor, hidden: Tensor | None
    ) -> tuple[Packing, Tensor]:
        """Where the sequences of `mask` lie, and the packed log-probabilities [R, A]."""
        packing = Packing.of(mask)
        logits = self._logits(packing, packing.pack(inputs), packing.start(hidden), inputs, hidden)
        return packing, masked_log_softmax(logits, packing.pack(avail_actions) == 0)

    def _logits(
        self, packing: Packing, rows: Tensor, start: Tensor | None, inputs: Tensor, hidden: Tensor | None
    ) -> Tensor:
        if packs(self.actor):
            return run_packed(self.actor, rows, packing, start)
        if self.unroll is None:
            raise ValueError(f"{type(self.actor).__name__} has no forward_packed and no unroll was given")
        return packing.pack(self.unroll(inputs, hidden)[0])


def apply_gradients(optimizer: torch.optim.Optimizer, max_norm: float) -> Tensor:
    """Clip the gradients to a joint norm, step, and return the norm before clipping."""
    norm = nn.utils.clip_grad_norm_(_parameters(optimizer), max_norm)
    optimizer.step()
    return norm


def remove_conflict(parameters: list[nn.Parameter], guide: Tensor) -> Tensor:
    """Take off the gradients of `parameters` what points against `guide` [P]; returns 1 if anything did, else 0.

    Gradient surgery (Yu et al. 2020) with one side that never yields. Parameters without a gradient have no place in P.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return guide.new_zeros(())
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    along = (flat @ guide).clamp_max(0.0) / guide.square().sum().clamp_min(torch.finfo(guide.dtype).tiny)
    excess = (along * guide).split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, excess, strict=True):
        gradient.sub_(part.view_as(gradient))
    return (along < 0).float()


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]

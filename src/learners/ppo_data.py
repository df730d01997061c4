"""What a PPO update eats: padded sequences of several agents, and the packed rows that the networks see of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace

import torch
from torch import Tensor

from learners.sequences import Packing


@dataclass(frozen=True)
class PPOData:
    """B padded sequences of T steps, n agents, k critic rows a step (n, or 1 shared by all), v value heads.

    actor_inputs [B, T, n, d]; avail_actions [B, T, n, A] (nonzero: legal); actions [B, T, n] int64;
    old_log_probs [B, T, n] of the policy at the start of the update; advantages [B, T, n];
    policy_mask [B, T, n] bool: the steps that count for the policy;
    critic_inputs [B, T, k, c]; returns [B, T, k, v] in units of reward; old_values [B, T, k, v] in the critic's;
    value_mask [B, T, k] bool: the steps that count for the critic;
    value_actions [B, T, k] int64: the output of the critic that the returns speak of (v is 1 then), None for all;
    weights [B, T, n] and value_weights [B, T, k]: factors on each sample's loss (importance weights), None for 1;
    actor_hidden [B, n, H] and critic_hidden [B, k, H]: where the sequences start, None for zeros.
    """

    actor_inputs: Tensor
    avail_actions: Tensor
    actions: Tensor
    old_log_probs: Tensor
    advantages: Tensor
    policy_mask: Tensor
    critic_inputs: Tensor
    returns: Tensor
    old_values: Tensor
    value_mask: Tensor
    value_actions: Tensor | None = None
    weights: Tensor | None = None
    value_weights: Tensor | None = None
    actor_hidden: Tensor | None = None
    critic_hidden: Tensor | None = None

    @property
    def n_sequences(self) -> int:
        """B."""
        return self.actions.shape[0]

    def to(self, device: torch.device | str) -> "PPOData":
        """The same data on `device`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: value.to(device) for name, value in values.items() if value is not None})

    @classmethod
    def cat(cls, parts: Sequence["PPOData"]) -> "PPOData":
        """Join along B; shorter parts get masked steps, missing weights become ones and missing hidden states zeros."""
        time = max(part.actions.shape[1] for part in parts)
        joined: dict[str, Tensor | None] = {}
        for field in fields(cls):
            values = [getattr(part, field.name) for part in parts]
            known = next((value for value in values if value is not None), None)
            if known is None:
                joined[field.name] = None
                continue
            is_hidden = field.name.endswith("hidden")
            values = [
                _absent(field.name, part, known) if value is None else value
                for part, value in zip(parts, values, strict=True)
            ]
            joined[field.name] = torch.cat(values if is_hidden else [_pad_time(value, time) for value in values])
        return cls(**joined)  # type: ignore[arg-type]


@dataclass(frozen=True)
class PolicyRows:
    """The R packed rows of some episodes that the actor trains on; `weights` [R] is 0 where a row does not count."""

    packing: Packing
    inputs: Tensor
    hidden: Tensor | None
    illegal: Tensor
    actions: Tensor
    old_log_probs: Tensor
    advantages: Tensor
    weights: Tensor
    n_counted: int

    @classmethod
    def of(cls, data: PPOData, episodes: Tensor | None = None) -> "PolicyRows":
        """Pack the given episodes (None: all)."""
        packing = Packing.of(data.policy_mask, episodes)
        counted = packing.pack(data.policy_mask)
        return cls(
            packing=packing,
            inputs=packing.pack(data.actor_inputs),
            hidden=packing.start(data.actor_hidden),
            illegal=packing.pack(data.avail_actions) == 0,
            actions=packing.pack(data.actions),
            old_log_probs=packing.pack(data.old_log_probs),
            advantages=packing.pack(data.advantages),
            weights=_weights(packing, counted, data.weights),
            n_counted=int(counted.sum()),
        )


@dataclass(frozen=True)
class ValueRows:
    """The R packed rows of some episodes that the critic trains on; `weights` [R] is 0 where a row does not count.

    actions [R, 1]: the output that the targets speak of; None: all.
    """

    packing: Packing
    inputs: Tensor
    hidden: Tensor | None
    actions: Tensor | None
    targets: Tensor
    old_values: Tensor
    weights: Tensor
    n_counted: int

    @classmethod
    def of(cls, data: PPOData, targets: Tensor, episodes: Tensor | None = None) -> "ValueRows":
        """Pack the given episodes (None: all); targets [B, T, k, v] are the returns in the critic's units."""
        packing = Packing.of(data.value_mask, episodes)
        counted = packing.pack(data.value_mask)
        return cls(
            packing=packing,
            inputs=packing.pack(data.critic_inputs),
            hidden=packing.start(data.critic_hidden),
            actions=None if data.value_actions is None else packing.pack(data.value_actions).unsqueeze(1),
            targets=packing.pack(targets),
            old_values=packing.pack(data.old_values),
            weights=_weights(packing, counted, data.value_weights),
            n_counted=int(counted.sum()),
        )


def counted_steps(steps: Tensor, alive: Tensor, n_rows: int, args: SimpleNamespace) -> tuple[Tensor, Tensor]:
    """Which steps count for the policy [B, T, n] and for the critic [B, T, n_rows], by the keys `*_active_mask`.

    steps: bool [B, T], those that exist; alive: bool [B, T, n].
    """
    exist = steps.unsqueeze(-1)
    policy_mask = exist & alive if args.policy_active_mask else exist.expand_as(alive)
    value_mask = exist.expand(-1, -1, n_rows)
    if args.value_active_mask:
        value_mask = value_mask & (alive if n_rows > 1 else alive.any(-1, keepdim=True))
    return policy_mask, value_mask


def _weights(packing: Packing, counted: Tensor, weights: Tensor | None) -> Tensor:
    return counted.float() if weights is None else packing.pack(weights) * counted


def _pad_time(value: Tensor, time: int) -> Tensor:
    missing = time - value.shape[1]
    if not missing:
        return value
    return torch.cat([value, value.new_zeros(value.shape[0], missing, *value.shape[2:])], dim=1)


def _absent(name: str, part: PPOData, known: Tensor) -> Tensor:
    if name == "value_actions":
        raise ValueError("value_actions must be given in all parts or in none")
    if name.endswith("hidden"):
        return known.new_zeros(part.n_sequences, *known.shape[1:])
    return known.new_ones(*part.actions.shape[:2], *known.shape[2:])

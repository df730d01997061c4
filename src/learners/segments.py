"""Stretches of experience of any origin - fresh, replayed, imagined - in the one form that the policy learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from components.asymmetric_buffer import AuxiliaryData
from components.episode_buffer import EpisodeBatch
from learners.ppo_data import PPOData, counted_steps
from learners.ppo_update import PPOTrainer
from modules.critics.ppo_critic import alive_from_avail
from utils.errors import UserError
from utils.rl_utils import build_vtrace_targets


@dataclass(frozen=True)
class Segments:
    """B stretches of T steps and T+1 frames; frame t+1 is where step t leads.

    state [B, T+1, d_s]; obs [B, T+1, n, d_o]; avail_actions [B, T+1, n, A] (nonzero: legal);
    previous_actions [B, T+1, n] int64: the joint action that led to each frame, -1 at the start of an episode, so that
    the action of step t is previous_actions[:, t+1];
    reward, information [B, T]; terminated, mask [B, T] bool (mask: the step exists);
    behaviour_log_probs [B, T, n] under the policy that acted;
    actor_hidden [B, n, H], critic_hidden [B, k, H]: the networks' memory before the first frame.
    """

    state: Tensor
    obs: Tensor
    avail_actions: Tensor
    previous_actions: Tensor
    reward: Tensor
    information: Tensor
    terminated: Tensor
    mask: Tensor
    behaviour_log_probs: Tensor
    actor_hidden: Tensor
    critic_hidden: Tensor

    @property
    def actions(self) -> Tensor:
        """Joint actions [B, T, n]; padding holds 0."""
        return self.previous_actions[:, 1:].clamp_min(0)

    @property
    def n_steps(self) -> int:
        """Number of steps that exist."""
        return int(self.mask.sum())

    @property
    def n_segments(self) -> int:
        """B."""
        return self.mask.shape[0]

    def rows(self, index: Tensor) -> Segments:
        """The chosen stretches."""
        return Segments(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def as_dict(self) -> dict[str, Tensor]:
        """The fields by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def to(self, device: torch.device | str) -> Segments:
        """The same stretches on `device`."""
        return Segments(**{name: value.to(device) for name, value in self.as_dict().items()})

    @classmethod
    def from_auxiliary(cls, data: AuxiliaryData) -> Segments:
        """Stretches that were stored in an auxiliary buffer by their `as_dict`."""
        return cls(**{f.name: data[f.name] for f in fields(cls)})

    @classmethod
    def cat(cls, parts: Sequence[Segments]) -> Segments:
        """Join stretches of equal length."""
        return cls(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def padded_to(self, n_steps: int) -> Segments:
        """The same stretches with steps that do not exist behind them, `n_steps` in all."""
        missing = n_steps - self.mask.shape[1]
        if missing <= 0:
            return self
        start = ("actor_hidden", "critic_hidden")
        longer = {
            name: torch.cat([value, value.new_zeros(value.shape[0], missing, *value.shape[2:])], dim=1)
            for name, value in self.as_dict().items()
            if name not in start
        }
        return replace(self, **longer)

    def clamped_to(self, limits: dict[str, tuple[Tensor, Tensor]]) -> Segments:
        """States, observations and rewards held within (low, high) limits of real data."""
        return replace(self, **{name: getattr(self, name).clamp(low, high) for name, (low, high) in limits.items()})


def policy_inputs(mac: Any, obs: Tensor, previous_actions: Tensor) -> Tensor:
    """Inputs [..., n, d] of a controller's network from observations and the actions before them (-1: none)."""
    one_hot = F.one_hot(previous_actions.clamp_min(0), mac.n_actions) * (previous_actions >= 0).unsqueeze(-1)
    inputs: Tensor = mac.assemble_inputs(obs, one_hot)
    return inputs


def segments_of(batch: EpisodeBatch, device: torch.device, actor_memory: int, critic: Any) -> Segments:
    """Whole real episodes, collected by the present policy, as segments; `actor_memory` is the width of its memory."""
    batch = batch[:, : batch.max_t_filled()]
    n_rows, _, n_agents = batch["actions"].shape[:3]
    actions = batch["actions"][:, :-1, :, 0]
    previous = torch.cat([actions.new_full((n_rows, 1, n_agents), -1), actions], dim=1)
    # a step is real if there is a frame after it
    mask = batch["filled"][:, 1:, 0] != 0
    reward = batch["reward"][:, :-1, 0]
    segments = Segments(
        state=batch["state"],
        obs=batch["obs"],
        avail_actions=batch["avail_actions"] != 0,
        previous_actions=previous,
        reward=reward,
        information=torch.zeros_like(reward),
        terminated=batch["terminated"][:, :-1, 0] != 0,
        mask=mask,
        behaviour_log_probs=reward.new_zeros(*mask.shape, n_agents),
        actor_hidden=reward.new_zeros(n_rows, n_agents, actor_memory),
        critic_hidden=reward.new_zeros(n_rows, critic.n_rows, critic.trunk.rnn_size),
    )
    return segments.to(device)


class SegmentPreparer:
    """Turns segments into what a PPO update eats: old log-probabilities, values, V-trace advantages and returns.

    The reward and the information bonus have value heads of their own where the critic has two.
    """

    def __init__(self, mac: Any, critic: Any, trainer: PPOTrainer, args: SimpleNamespace) -> None:
        if getattr(args, "frame_stack", 1) > 1:
            raise UserError(f"frame_stack={args.frame_stack}: imagined frames are not stacked; use frame_stack=1.")
        self.mac, self.critic, self.trainer, self.args = mac, critic, trainer, args

    @torch.no_grad()
    def __call__(self, segments: Segments, on_policy: bool = False) -> PPOData:
        """Prepare segments; `on_policy` says that the present policy acted, so that no weights are needed."""
        inputs = policy_inputs(self.mac, segments.obs[:, :-1], segments.previous_actions[:, :-1])
        avail = segments.avail_actions[:, :-1]
        alive = alive_from_avail(segments.avail_actions)
        policy_mask, value_mask = counted_steps(segments.mask, alive[:, :-1], self.critic.n_rows, self.args)
        actions = segments.actions
        old_log_probs = self.trainer.log_probs(inputs, avail, actions, policy_mask, segments.actor_hidden)
        critic_inputs = self.critic.assemble(segments.state, segments.obs, alive)
        frames = torch.cat([segments.mask[:, :1], segments.mask], dim=1).unsqueeze(-1)
        frames = frames.expand(-1, -1, critic_inputs.shape[2])
        values = self.trainer.values(critic_inputs, frames, segments.critic_hidden)
        old_values = values[:, :-1]
        if self.trainer.value_norm is not None:
            values = self.trainer.value_norm.denormalize(values)
        log_ratio = (old_log_probs - segments.behaviour_log_probs) * policy_mask
        joint = torch.ones_like(segments.reward) if on_policy else log_ratio.sum(-1).clamp(max=0.0).exp()
        rewards = torch.stack([segments.reward, segments.information], dim=-1)[..., : values.shape[-1]]
        advantages, returns = build_vtrace_targets(
            rewards.unsqueeze(2),
            segments.terminated.view(*segments.mask.shape, 1, 1),
            segments.mask.view(*segments.mask.shape, 1, 1),
            values,
            joint.view(*segments.mask.shape, 1, 1),
            self.args.gamma,
            self.args.gae_lambda,
        )
        return PPOData(
            actor_inputs=inputs,
            avail_actions=avail,
            actions=actions,
            old_log_probs=old_log_probs,
            advantages=advantages.sum(-1).expand(*actions.shape),
            policy_mask=policy_mask,
            critic_inputs=critic_inputs[:, :-1],
            returns=returns,
            old_values=old_values,
            value_mask=value_mask,
            weights=None if on_policy else log_ratio.clamp(max=0.0).exp(),
            actor_hidden=segments.actor_hidden,
            critic_hidden=segments.critic_hidden,
        )

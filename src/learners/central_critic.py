"""What MADDPG and MASAC share: a central critic of joint actions, learned from replay, that decentralised actors climb.

Actor and critic move in the same optimiser step, each by its own loss and learning rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from components.action_selectors import masked_logits
from components.episode_buffer import EpisodeBatch
from learners.replay_learner import ReplayLearner, means
from modules.agents import memoryless
from modules.critics.central_q import CentralQ
from utils.errors import UserError, nearest
from utils.policies import gumbel_softmax, legal
from utils.seeding import torch_stream

OTHERS = ("replay", "policy")
NOW, AHEAD = slice(0, -1), slice(1, None)
"""Frames in which steps begin, and those they lead to."""


@dataclass(frozen=True)
class Steps:
    """A batch as the update reads it: B episodes (or transitions: then T is 2), T frames and so T - 1 steps.

    rewards, terminated, mask [B, T-1, 1]: mask is 1 for steps that have a frame after them; taken [B, T-1, n, A]: the
    action vectors; avail [B, T, n, A]; state [B, T, d]; weight [B, 1, 1]: importance (1 without priorities).
    """

    batch: EpisodeBatch
    rewards: Tensor
    terminated: Tensor
    mask: Tensor
    taken: Tensor
    avail: Tensor
    state: Tensor
    weight: Tensor | float


class CentralCriticLearner(ReplayLearner):
    """Base of the actor-critics that replay. A subclass says what frames are worth, and how actors learn.

    Reads the keys of config/algs/maddpg.yaml, each explained there.
    """

    continuous_actions = True

    def __init__(self, mac: Any, scheme: dict[str, Any], logger: Any, args: SimpleNamespace) -> None:
        if args.other_actions not in OTHERS:
            hint = nearest(args.other_actions, OTHERS)
            raise UserError(f'other_actions="{args.other_actions}" is not one of {", ".join(OTHERS)}.{hint}')
        super().__init__(mac, scheme, logger, args)
        self._memoryless = memoryless(mac.agent)
        self._generator = torch_stream(args.seed or 0, "learner")

    def _make_networks(self, args: SimpleNamespace) -> dict[str, nn.Module]:
        return {"critic": CentralQ(args)}

    def _parameter_groups(self) -> list[dict[str, Any]]:
        critic = list(self.networks["critic"].parameters())
        return [{"params": list(self.mac.parameters())}, {"params": critic, "lr": self.args.critic_lr}]

    def _clip(self) -> Tensor:
        """Hold the norm of each group's gradients below `grad_norm_clip`; returns what the actors' was."""
        groups = [group["params"] for group in self.optimiser.param_groups]
        norms = [nn.utils.clip_grad_norm_(group, self.args.grad_norm_clip) for group in groups]
        return norms[0]

    # --- losses -------------------------------------------------------------------------------------------------------

    def _read(self, batch: EpisodeBatch) -> Any:
        device = self.mac.device
        return Steps(
            batch=batch,
            rewards=batch["reward"][:, :-1].to(device),
            terminated=batch["terminated"][:, :-1].float().to(device),
            mask=batch["filled"][:, 1:].float().to(device),
            taken=self.mac.action_vectors(batch["actions"][:, :-1].to(device)).float(),
            avail=batch["avail_actions"].to(device),
            state=batch["state"].to(device),
            weight=batch["importance"].unsqueeze(-1).to(device) if "importance" in batch.scheme else 1.0,
        )

    def _loss(self, data: Any) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        values = self.networks["critic"](data.state[:, :-1], data.taken)
        with torch.no_grad():
            ahead = self._next_values(data)
            targets = data.rewards + self.args.gamma * (1.0 - data.terminated) * ahead
        errors = (values - targets) * data.mask
        critic_loss = (data.weight * errors.square()).sum() / data.mask.sum()
        actor_loss, statistics = self._actor_loss(data)
        statistics |= {"critic_loss": critic_loss, "actor_loss": actor_loss, "target_mean": _mean(targets, data.mask)}
        return critic_loss + actor_loss, errors, {**statistics, **means(data.mask, q_taken_mean=values.mean(-1, True))}

    def _next_values(self, data: Steps) -> Tensor:
        """What the frames that steps lead to are worth, [B, T-1, 1]."""
        raise NotImplementedError

    def _actor_loss(self, data: Steps) -> tuple[Tensor, dict[str, Tensor]]:
        """The actors' loss and what to log."""
        raise NotImplementedError

    def _outputs(self, mac: Any, data: Steps, frames: slice) -> Tensor:
        """What a controller's network gives for some of the frames, [B, T-1, n, .]."""
        if self._memoryless:
            outputs: Tensor = mac.forward_sequence(data.batch, frames)
            return outputs
        return mac.forward_sequence(data.batch)[:, frames]

    def _values_of(self, data: Steps, chosen: Tensor) -> Tensor:
        """The least of the critics' values of `chosen` [B, T-1, n, A], with gradients for the actions alone.

        other_actions="replay": [B, T-1, n], a value for each agent's choice beside what the others did in the replay
        (Lowe et al. 2017, eq. 6); "policy": [B, T-1, 1], one value of what all choose now.
        """
        critic, state = self.networks["critic"], data.state[:, :-1]
        with frozen(critic):
            if self.args.other_actions == "policy":
                value: Tensor = critic(state, chosen).amin(-1, keepdim=True)
                return value
            n_agents = chosen.shape[2]
            own = torch.eye(n_agents, dtype=torch.bool, device=chosen.device).unsqueeze(-1)
            rows = torch.where(own, chosen.unsqueeze(2), data.taken.unsqueeze(2))
            states = state.unsqueeze(2).expand(-1, -1, n_agents, -1)
            value = critic(states, rows).amin(-1)
            return value

    # --- discrete actions ---------------------------------------------------------------------------------------------

    def _draw(self, logits: Tensor, avail: Tensor) -> tuple[Tensor, Tensor]:
        """One-hot actions [..., A] that gradients flow through, and the legal logits they were drawn by."""
        logits = masked_logits(logits, legal(avail))
        noise = torch.empty(logits.shape).exponential_(generator=self._generator).log_().neg_().to(logits.device)
        return gumbel_softmax(logits, noise, self.args.gumbel_temperature), logits

    def _normal(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self._generator).to(like.device)

    # --- storage ------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that the next update depends on, but the controller."""
        return {**super().state_dict(), "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict(state)
        self._generator.set_state(state["generator"].cpu())


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Meanwhile the network's parameters get no gradients, though what it reads does."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def choosing(avail: Tensor, continuous: bool) -> Tensor:
    """Which agents have a choice (float [...]), from avail [..., A]: of several actions, or of any number."""
    return ((avail != 0).sum(-1) > (0 if continuous else 1)).float()


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum()

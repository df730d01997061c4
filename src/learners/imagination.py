"""Imagined experience: policies act inside the world model, from states of real episodes.

The policies carry the memory that they would have had in the real episode up to that state. Reward, termination,
observations and masks come from the model; nothing here is differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from components.asymmetric_buffer import AsymmetricBuffer, PrimaryData
from learners.segments import Segments, policy_inputs
from learners.sequences import Packing
from modules.critics.ppo_critic import alive_from_avail
from modules.exploration import AuxiliaryEvolution
from modules.exploration.alternatives import sample_actions
from modules.world_models import Context, WorldModel


@dataclass(frozen=True)
class Starts:
    """N real frames for imagination to go on from, with the memory of everything that acts or predicts there."""

    context: Context
    state: Tensor  # [N, d_s]
    obs: Tensor  # [N, n, d_o]
    avail_actions: Tensor  # bool [N, n, A]
    previous_actions: Tensor  # int64 [N, n], -1 at an episode's start
    actor_hidden: Tensor  # [N, n, H]
    critic_hidden: Tensor  # [N, k, H]

    @classmethod
    def cat(cls, parts: Sequence[Starts]) -> Starts:
        """Join along N."""
        context = Context(*(torch.cat(pieces) for pieces in zip(*(part.context for part in parts), strict=True)))
        names = [field.name for field in fields(cls) if field.name != "context"]
        return cls(context, *(torch.cat([getattr(part, name) for part in parts]) for name in names))


class Imagination:
    """Rolls policies out in a world model.

    Args:
        model: the world model (only read).
        mac: controller whose agent has a recurrent trunk and a linear `head` (`ppo_rnn`).
        critic: the PPO critic, for the memory it needs at the starts.
        generator: stream of every draw made here.
    """

    def __init__(self, model: WorldModel, mac: Any, critic: Any, generator: torch.Generator) -> None:
        self.model, self.mac, self.critic, self.generator = model, mac, critic, generator

    @torch.no_grad()
    def starts(
        self, buffer: AsymmetricBuffer, n: int, initial_share: float = 0.0, latest: int | None = None
    ) -> Starts:
        """`n` starting frames: a share of episodes' first frames, the others drawn uniformly from real transitions.

        latest: from so many of the newest transitions; None: from all.
        """
        longest = buffer.max_seq_length - 1
        n_initial = round(n * initial_share)
        draws = [
            buffer.sample_primary_states(
                count, self.generator, history=history, first_steps=first_steps, latest=latest
            )
            for count, history, first_steps in ((n_initial, 0, 1), (n - n_initial, longest, None))
            if count
        ]
        return Starts.cat([self._starts(data) for data in draws])

    def _starts(self, data: PrimaryData) -> Starts:
        n, steps = len(data), data["step"]
        longest = int(steps.max())
        frames = _aligned(data, longest, ("state", "obs", "avail_actions"), longest + 1)
        actions = _aligned(data, longest, ("actions",), longest)["actions"].long()
        first = actions.new_full((n, 1, actions.shape[-1]), -1)
        previous = torch.cat([first, actions], dim=1)
        device = self.model.scale.device
        steps, previous = steps.to(device), previous.to(device)
        state, obs, avail = (frames[name].to(device) for name in ("state", "obs", "avail_actions"))
        here = torch.arange(n, device=device), steps
        contexts = self.model.contexts(state)
        rows = here[0] * (longest + 1) + steps
        alive = alive_from_avail(avail)
        return Starts(
            context=contexts.rows(rows),
            state=state[here],
            obs=obs[here],
            avail_actions=avail[here].bool(),
            previous_actions=previous[here],
            actor_hidden=memory_before(self.mac.agent.trunk, policy_inputs(self.mac, obs, previous), steps),
            critic_hidden=memory_before(self.critic.trunk, self.critic.assemble(state, obs, alive), steps),
        )

    @torch.no_grad()
    def features(self, starts: Starts) -> Tensor:
        """What the policy's head reads at the starts [N, n, H]."""
        return agent_step(
            self.mac.agent, policy_inputs(self.mac, starts.obs, starts.previous_actions), starts.actor_hidden
        )[0]

    @torch.no_grad()
    def rollout(
        self,
        starts: Starts,
        horizon: int,
        auxiliaries: AuxiliaryEvolution | None = None,
        index: Tensor | None = None,
    ) -> Segments:
        """Act for `horizon` steps from `starts`: the primary policy, or in row b auxiliary `index[b]` (int64 [N]).

        `POLICY_ITSELF` among the indices stands for the primary policy.
        """
        agent = self.mac.agent
        context, hidden = starts.context, starts.actor_hidden
        obs, avail, previous = starts.obs, starts.avail_actions, starts.previous_actions
        running = torch.ones(obs.shape[0], dtype=torch.bool, device=obs.device)
        frames: dict[str, list[Tensor]] = {
            "state": [starts.state],
            "obs": [obs],
            "avail_actions": [avail],
            "previous_actions": [previous],
        }
        steps: dict[str, list[Tensor]] = {"reward": [], "terminated": [], "mask": [], "behaviour_log_probs": []}
        for _ in range(horizon):
            features, hidden = agent_step(agent, policy_inputs(self.mac, obs, previous), hidden)
            logits = agent.head(features)
            if auxiliaries is not None and index is not None:
                logits = auxiliaries.rollout_logits(features, agent.head.weight, agent.head.bias, index)
            log_probs = logits.masked_fill(~avail, -torch.inf).log_softmax(-1)
            actions = sample_actions(logits, avail, self.generator)
            imagined = self.model.imagine_step(context, actions, self.generator)
            draw = torch.rand(running.shape, generator=self.generator).to(running.device)
            ends = draw < imagined.termination_prob
            steps["reward"].append(imagined.reward)
            steps["terminated"].append(ends & running)
            steps["mask"].append(running)
            steps["behaviour_log_probs"].append(log_probs.gather(-1, actions.unsqueeze(-1)).squeeze(-1))
            context = self.model.advance(context, imagined.tokens)
            obs, avail, previous = imagined.obs, imagined.avail_actions, actions
            for name, value in zip(frames, (imagined.state, obs, avail, previous), strict=True):
                frames[name].append(value)
            running = running & ~ends
        stacked = {name: torch.stack(values, dim=1) for name, values in (frames | steps).items()}
        stacked["information"] = torch.zeros_like(stacked["reward"])
        return Segments(**stacked, actor_hidden=starts.actor_hidden, critic_hidden=starts.critic_hidden)


def agent_step(agent: Any, inputs: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """One step of the policy's trunk: inputs [N, n, d], hidden [N, n, H] -> features [N, n, out], hidden [N, n, H]."""
    n_rows, n_agents = inputs.shape[:2]
    features, hidden = agent.trunk.step(inputs.flatten(0, 1), hidden.flatten(0, 1))
    return features.view(n_rows, n_agents, -1), hidden.view(n_rows, n_agents, agent.trunk.rnn_size)


def memory_before(trunk: Any, inputs: Tensor, steps: Tensor) -> Tensor:
    """Hidden states [B, k, H] that a recurrent trunk has before step `steps` (int64 [B]) of inputs [B, T, k, d]."""
    n_rows, n_steps, width = inputs.shape[:3]
    earlier = torch.arange(n_steps, device=inputs.device) < steps.unsqueeze(1)
    packing = Packing.of(earlier.unsqueeze(-1).expand(-1, -1, width))
    if not trunk.rnn_size or not packing.n_rows:
        return inputs.new_zeros(n_rows, width, trunk.rnn_size)
    after = packing.unpack(trunk.memories(packing.pack(inputs), packing.batch_sizes), inputs.shape[:3])
    return after[torch.arange(n_rows, device=inputs.device), (steps - 1).clamp_min(0)]


def _aligned(data: PrimaryData, longest: int, names: tuple[str, ...], length: int) -> dict[str, Tensor]:
    """Histories that end at the starting frame, moved so that all begin at index 0: [n, length, ...]."""
    history = data["mask"].shape[1]
    offset = history - data["step"]
    index = (offset.unsqueeze(1) + torch.arange(length)).clamp_max(history - (length <= longest))
    rows = torch.arange(index.shape[0]).unsqueeze(1)
    return {name: data[name][rows, index] for name in names}

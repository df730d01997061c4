"""Prioritised replay of whole episodes: surprising ones are drawn more often, and count less each time.

Schaul et al. 2016 (arXiv 1511.05952), proportional variant, with an episode's mean absolute TD error as its surprise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from components.episode_batch import EpisodeBatch, Scheme
from components.replay_buffer import ReplayBuffer

FLOOR = 1e-3
"""Added to every surprise, so that no episode is never drawn again."""


class PrioritizedReplayBuffer(ReplayBuffer):
    """A `ReplayBuffer` that draws episode i, with replacement, with probability p_i^alpha / sum_k p_k^alpha.

    Batches have two fields more, per episode: `buffer_index` [B, 1] and `importance` [B, 1] = (N P(i))^-beta over its
    maximum. New episodes get the greatest priority so far. beta grows from `per_beta` to 1 as the buffer takes in
    `per_beta_episodes` episodes.
    """

    def __init__(
        self,
        scheme: Scheme,
        groups: dict[str, int] | None,
        buffer_size: int,
        max_seq_length: int,
        preprocess: dict[str, tuple[str, list[Any]]] | None = None,
        device: str | torch.device = "cpu",
        seed: int = 0,
        per_alpha: float = 0.6,
        per_beta: float = 0.4,
        per_beta_episodes: int = 5000,
        directory: str | Path | None = None,
    ) -> None:
        super().__init__(scheme, groups, buffer_size, max_seq_length, preprocess, device, seed, directory)
        self.alpha, self.first_beta, self.beta_episodes = per_alpha, per_beta, per_beta_episodes
        self.priorities = torch.zeros(self.buffer_size, dtype=torch.float64)

    @property
    def beta(self) -> float:
        """How much of the sampling's bias the importance takes back, 0 to 1."""
        return self.first_beta + (1.0 - self.first_beta) * min(1.0, self.episodes_seen / self.beta_episodes)

    def insert_episode_batch(self, ep_batch: EpisodeBatch) -> None:
        """Store the episodes of `ep_batch`, over the oldest ones when the buffer is full."""
        n_new = min(ep_batch.batch_size, self.buffer_size)
        last = self.buffer_index + ep_batch.batch_size
        self.priorities[torch.arange(last - n_new, last) % self.buffer_size] = max(1.0, self.priorities.max().item())
        super().insert_episode_batch(ep_batch)

    def sample(self, batch_size: int) -> EpisodeBatch:
        """`batch_size` episodes by priority."""
        if not self.can_sample(batch_size):
            raise ValueError(f"{batch_size} episodes asked for, {self.episodes_in_buffer} in the buffer")
        weights = self.priorities[: self.episodes_in_buffer] ** self.alpha
        rows = torch.multinomial(weights, batch_size, replacement=True, generator=self._generator)
        importance = (self.episodes_in_buffer * weights[rows] / weights.sum()) ** -self.beta
        batch: EpisodeBatch = self[rows]
        batch.extend(
            {
                "buffer_index": {"vshape": (1,), "dtype": torch.long, "episode_const": True},
                "importance": {"vshape": (1,), "episode_const": True},
            }
        )
        batch.update({"buffer_index": rows.view(-1, 1), "importance": (importance / importance.max()).view(-1, 1)})
        return batch

    def update_priorities(self, rows: Tensor, surprises: Tensor) -> None:
        """Say how far off the values of the episodes `rows` [B] were: their mean absolute TD errors [B]."""
        self.priorities[rows.cpu()] = surprises.to(self.priorities) + FLOOR

    def state_dict(self) -> dict[str, Any]:
        """What `ReplayBuffer` gives, and the priorities."""
        return super().state_dict() | {"priorities": self.priorities.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave; the buffers must agree in size and fields."""
        super().load_state_dict(state)
        self.priorities.copy_(state["priorities"])

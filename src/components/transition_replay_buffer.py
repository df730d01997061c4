"""Replay of single transitions instead of whole episodes: for policies without memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from components.episode_batch import EpisodeBatch
from components.replay_buffer import ReplayBuffer


class TransitionReplayBuffer(ReplayBuffer):
    """A `ReplayBuffer` of `buffer_size` episodes that draws transitions, uniformly and with replacement.

    A transition comes as an episode of two frames, so that learners need not know. Nothing of what went before is
    there: agents must have no memory and read neither last actions nor stacked frames.
    """

    whole_episodes = False
    _ends: torch.Tensor | None = None  # of each stored episode, its last transition's number and 1

    @property
    def transitions(self) -> int:
        """How many transitions there are."""
        ends = self._counted()
        return int(ends[-1]) if len(ends) else 0

    def insert_episode_batch(self, ep_batch: EpisodeBatch) -> None:
        """Store the episodes of `ep_batch`, over the oldest ones when the buffer is full."""
        super().insert_episode_batch(ep_batch)
        self._ends = None

    def can_sample(self, batch_size: int) -> bool:
        """Whether `batch_size` transitions are there."""
        return self.transitions >= batch_size

    def sample(self, batch_size: int) -> EpisodeBatch:
        """`batch_size` transitions as an `EpisodeBatch` of two frames each."""
        ends = self._counted()
        if not self.can_sample(batch_size):
            raise ValueError(f"{batch_size} transitions asked for, {self.transitions} in the buffer")
        chosen = torch.randint(int(ends[-1]), (batch_size,), generator=self._generator)
        rows = torch.searchsorted(ends, chosen, right=True)
        before = torch.where(rows > 0, ends[rows - 1], 0)
        times = (chosen - before).unsqueeze(1) + torch.arange(2)
        rows, times = rows.to(self.device), times.to(self.device)
        data = SimpleNamespace(transition_data={}, episode_data={})
        for key, stored in self._storage.items():
            dtype = self.scheme[key].get("dtype", torch.float32)
            if self._is_episode_field(key):
                data.episode_data[key] = stored[rows].to(dtype)
            else:
                data.transition_data[key] = stored[rows.unsqueeze(1), times].to(dtype)
        return EpisodeBatch(
            self.scheme, self.groups, batch_size, 2, data=data, preprocess=self.preprocess, device=self.device
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave; the buffers must agree in size and fields."""
        super().load_state_dict(state)
        self._ends = None

    def _counted(self) -> torch.Tensor:
        if self._ends is None:
            frames = self._storage["filled"][: self.episodes_in_buffer, :, 0].sum(1)
            self._ends = (frames - 1).clamp(min=0).cumsum(0).cpu()  # an episode's last frame begins no transition
        return self._ends

"""A ring of many episodes that stores each field in as few bytes as it can: PyMARL's `ReplayBuffer`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from components.episode_batch import EpisodeBatch, Scheme, add_derived_fields, value_shape
from components.episode_files import EpisodeFiles, Episodes, read
from components.indexing import count, parse_index
from components.memory import compact_dtype, require_memory
from utils.errors import UserError
from utils.seeding import torch_stream


class ReplayBuffer:
    """Ring of the last `buffer_size` episodes; `sample` draws whole ones without replacement, from a stream of its
    own.

    Availability and `filled` are stored as bool, actions as int16, derived fields not at all; what is read is an
    `EpisodeBatch` with PyMARL's dtypes. With a `directory`, the episodes of a state lie there, in files that are
    written once. Raises `UserError` when the storage would not fit into free memory.
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
        directory: str | Path | None = None,
    ) -> None:
        self.scheme: Scheme = dict(scheme)
        self.groups = dict(groups or {})
        self.buffer_size = self.batch_size = buffer_size
        self.max_seq_length = max_seq_length
        self.preprocess = dict(preprocess or {})
        self.device = device
        self.episodes_seen = 0
        self._files = None if directory is None else EpisodeFiles(Path(directory))
        self._generator = torch_stream(seed, "buffer")
        derived = add_derived_fields(self.scheme, self.preprocess)
        self.scheme["filled"] = {"vshape": (1,), "dtype": torch.long}
        stored = {key: info for key, info in self.scheme.items() if key not in derived}
        shapes = {key: self._shape(key, info) for key, info in stored.items()}
        dtypes = {key: compact_dtype(key, info.get("dtype", torch.float32)) for key, info in stored.items()}
        n_bytes = sum(int(np.prod(shapes[key])) * dtypes[key].itemsize for key in stored)
        require_memory(n_bytes, device, f"buffer_size={buffer_size} episodes of {max_seq_length} steps", buffer_size)
        self._storage = {key: _zeros(shapes[key], dtypes[key], device) for key in stored}

    @property
    def buffer_index(self) -> int:
        """Where the next episode goes."""
        return self.episodes_seen % self.buffer_size

    @property
    def episodes_in_buffer(self) -> int:
        """How many episodes there are."""
        return min(self.episodes_seen, self.buffer_size)

    @property
    def n_bytes(self) -> int:
        """Bytes that the storage takes when it is full."""
        return sum(value.numel() * value.element_size() for value in self._storage.values())

    def insert_episode_batch(self, ep_batch: EpisodeBatch) -> None:
        """Store the episodes of `ep_batch`, over the oldest ones when the buffer is full."""
        if ep_batch.max_seq_length > self.max_seq_length:
            raise ValueError(
                f"episodes of {ep_batch.max_seq_length} steps do not fit a buffer made for {self.max_seq_length}"
            )
        n_skipped = max(0, ep_batch.batch_size - self.buffer_size)
        n_new = ep_batch.batch_size - n_skipped
        rows = self._rows(self.episodes_seen + n_skipped, n_new)
        length = ep_batch.max_seq_length
        for key, stored in self._storage.items():
            values = ep_batch[key][n_skipped:].to(device=self.device, dtype=stored.dtype)
            if self._is_episode_field(key):
                stored[rows] = values
            else:
                stored[rows, :length] = values
        # What an older, longer episode left behind must not count as part of the new one.
        self._storage["filled"][rows, length:] = False
        self.episodes_seen += ep_batch.batch_size

    def can_sample(self, batch_size: int) -> bool:
        """Whether `batch_size` episodes are there."""
        return self.episodes_in_buffer >= batch_size

    def sample(self, batch_size: int) -> EpisodeBatch:
        """`batch_size` different episodes, uniformly; all of them in storage order if there are just as many."""
        if not self.can_sample(batch_size):
            raise ValueError(f"{batch_size} episodes asked for, {self.episodes_in_buffer} in the buffer")
        if self.episodes_in_buffer == batch_size:
            return self[:batch_size]
        return self[torch.randperm(self.episodes_in_buffer, generator=self._generator)[:batch_size]]

    def uni_sample(self, batch_size: int) -> EpisodeBatch:
        """PyMARL2's other name for `sample`."""
        return self.sample(batch_size)

    def sample_latest(self, batch_size: int) -> EpisodeBatch:
        """The `batch_size` episodes stored last, oldest first."""
        if not self.can_sample(batch_size):
            raise ValueError(f"{batch_size} episodes asked for, {self.episodes_in_buffer} in the buffer")
        return self[(torch.arange(batch_size) + self.buffer_index - batch_size) % self.buffer_size]

    def __getitem__(self, item: Any) -> Any:
        """Episodes by number or slice as an `EpisodeBatch` (a copy), or one field of all, in PyMARL's dtypes."""
        if isinstance(item, str):
            return self[: self.episodes_in_buffer][item]
        rows, times = parse_index(item)
        if isinstance(rows, torch.Tensor):
            rows = rows.to(self.device)
        data = SimpleNamespace(transition_data={}, episode_data={})
        for key, stored in self._storage.items():
            dtype = self.scheme[key].get("dtype", torch.float32)
            is_view = isinstance(rows, slice)  # other indices copy already
            if self._is_episode_field(key):
                data.episode_data[key] = stored[rows].to(dtype, copy=is_view)
            else:
                data.transition_data[key] = stored[rows, times].to(dtype, copy=is_view)
        return EpisodeBatch(
            self.scheme,
            self.groups,
            count(rows, self.buffer_size),
            count(times, self.max_seq_length),
            data=data,
            preprocess=self.preprocess,
            device=self.device,
        )

    def state_dict(self) -> dict[str, Any]:
        """All stored episodes (or which files hold them), how many there ever were, and the stream."""
        oldest = self.episodes_seen - self.episodes_in_buffer
        if self._files is None:
            episodes: dict[str, Any] = {"episodes": self._stored(oldest, self.episodes_seen)}
        else:
            episodes = {"files": self._files.state(oldest, self.episodes_seen, self._stored)}
        return {"episodes_seen": self.episodes_seen, "generator": self._generator.get_state(), **episodes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave; the buffers must agree in size and fields.

        Raises:
            UserError: if files that hold the episodes are not there.
        """
        self.episodes_seen = int(state["episodes_seen"])
        self._generator.set_state(state["generator"].cpu())
        if "episodes" in state:
            self._restore(self.episodes_seen - self.episodes_in_buffer, state["episodes"])
            return
        try:
            for first, episodes in read(state["files"]):
                self._restore(first, episodes)
        except FileNotFoundError as error:
            raise UserError(f"The checkpoint's episodes are not there: {error.filename} is missing.") from None
        if self._files is not None:
            self._files.take_over(state["files"])

    def _stored(self, first: int, end: int) -> Episodes:
        """Copies of the episodes by number, as they are stored, up to the last frame that any of them has."""
        rows = self._rows(first, end - first)
        filled = self._storage["filled"][rows]
        longest = int(filled.flatten(1).sum(1).max()) if len(rows) else 0
        stored = ((key, value[rows]) for key, value in self._storage.items())
        return {key: (value if self._is_episode_field(key) else value[:, :longest].clone()) for key, value in stored}

    def _restore(self, first: int, episodes: Episodes) -> None:
        filled = episodes["filled"]
        rows = self._rows(first, len(filled))
        for key, stored in self._storage.items():
            value = episodes[key].to(stored.device)
            if self._is_episode_field(key):
                stored[rows] = value
            else:
                stored[rows, : filled.shape[1]] = value
        self._storage["filled"][rows, filled.shape[1] :] = False

    def _rows(self, first: int, count: int) -> torch.Tensor:
        """Where the episodes of these numbers are in the ring."""
        return ((torch.arange(count) + first) % self.buffer_size).to(self.device)

    def __repr__(self) -> str:
        fields = ", ".join(self.scheme)
        return f"ReplayBuffer({self.episodes_in_buffer}/{self.buffer_size} episodes, fields: {fields})"

    def _is_episode_field(self, key: str) -> bool:
        return bool(self.scheme[key].get("episode_const", False))

    def _shape(self, key: str, info: dict[str, Any]) -> tuple[int, ...]:
        time_axis = () if info.get("episode_const", False) else (self.max_seq_length,)
        return (self.buffer_size, *time_axis, *value_shape(key, info, self.groups))


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: str | torch.device) -> torch.Tensor:
    """Zeros; on the CPU NumPy's, which take time and memory only where something is written."""
    if torch.device(device).type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    return torch.from_numpy(np.zeros(n_bytes, dtype=np.uint8)).view(dtype).view(shape)

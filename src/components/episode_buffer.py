"""Episodes as one batch of tensors, and the ring that keeps many of them: PyMARL's `EpisodeBatch` and `ReplayBuffer`.

An `EpisodeBatch` holds plain contiguous tensors [batch, time, ...]. Fields made by `preprocess` (one-hot actions) are
not stored: they are computed from their source when they are read, so a runner may write raw actions straight into
memory. The replay buffer stores what it can in fewer bytes and gives PyMARL's dtypes back.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import torch

from components.memory import compact_dtype, require_memory
from utils.seeding import torch_stream

Scheme: TypeAlias = dict[str, dict[str, Any]]
Index: TypeAlias = int | slice | list[int] | np.ndarray | torch.Tensor


class EpisodeBatch:
    """A batch of episodes, padded to one length.

    `scheme` maps a field to `{"vshape", "group"?, "dtype"?, "episode_const"?}`; a transition field has the shape
    [batch_size, max_seq_length, (group size), *vshape], an episode field lacks the time axis. `filled` (int64) is 1
    at every step that was written. `preprocess` maps a field to `(new field, [transforms])`.
    """

    def __init__(
        self,
        scheme: Scheme,
        groups: dict[str, int] | None,
        batch_size: int,
        max_seq_length: int,
        data: SimpleNamespace | None = None,
        preprocess: dict[str, tuple[str, list[Any]]] | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.scheme: Scheme = dict(scheme)
        self.groups = dict(groups or {})
        self.batch_size = batch_size
        self.max_seq_length = max_seq_length
        self.preprocess = dict(preprocess or {})
        self.device = device
        self._derived = add_derived_fields(self.scheme, self.preprocess)
        self._derived_cache: dict[str, tuple[tuple[int, int], torch.Tensor]] = {}
        self.data = SimpleNamespace(transition_data={}, episode_data={}) if data is None else data
        if data is None:
            self.scheme["filled"] = {"vshape": (1,), "dtype": torch.long}
            self._allocate(self.scheme)

    def extend(self, scheme: Scheme, groups: dict[str, int] | None = None) -> None:
        """Add the fields of `scheme`, zeroed, to those the batch has."""
        self.groups.update(groups or {})
        self.scheme.update(scheme)
        self._allocate(scheme)

    def to(self, device: str | torch.device) -> EpisodeBatch:
        """Move all tensors, in place; returns the batch itself."""
        for store in (self.data.transition_data, self.data.episode_data):
            for key, value in store.items():
                store[key] = value.to(device)
        self.device = device
        self._derived_cache.clear()
        return self

    def update(
        self,
        data: dict[str, Any],
        bs: Index = slice(None),
        ts: Index = slice(None),
        mark_filled: bool = True,
    ) -> None:
        """Write the fields of `data` (tensors, arrays or lists) at episodes `bs` and steps `ts`.

        A value must have the shape of the place it goes to, up to axes of length 1. Steps are marked as filled unless
        `mark_filled` is False or all of `data` are episode fields.
        """
        batch_index, time_index = _parse_index((bs, ts))
        for key, value in data.items():
            index: tuple[Any, ...]
            if key in self.data.transition_data:
                target, index = self.data.transition_data[key], (batch_index, time_index)
                if mark_filled:
                    self.data.transition_data["filled"][batch_index, time_index] = 1
                    mark_filled = False
            elif key in self.data.episode_data:
                target, index = self.data.episode_data[key], (batch_index,)
            elif key in self._derived:
                raise KeyError(f'"{key}" is computed from "{self._derived[key][0]}": write that field instead')
            else:
                raise KeyError(self._unknown_field(key))
            place = target[index]
            value = _as_tensor(value, target.dtype, target.device)
            if [d for d in value.shape if d != 1] != [d for d in place.shape if d != 1]:
                raise ValueError(f'"{key}": values of shape {list(value.shape)} do not fit {list(place.shape)}')
            target[index] = value.reshape(place.shape)

    def mark_filled(self, ts: Index, rows: Index = slice(None)) -> None:
        """Say that steps `ts` of episodes `rows` have been written, for a runner that writes through NumPy views."""
        batch_index, time_index = _parse_index((rows, ts))
        self.data.transition_data["filled"][batch_index, time_index] = 1

    def clear(self) -> None:
        """Zero everything, so that the batch can take new episodes."""
        for store in (self.data.transition_data, self.data.episode_data):
            for value in store.values():
                value.zero_()

    def max_t_filled(self) -> int:
        """Number of steps of the longest episode."""
        return int(self.data.transition_data["filled"].sum(1).max()) if self.batch_size else 0

    def __getitem__(self, item: Any) -> Any:
        """A field (`batch["obs"]`), some fields as a batch (`batch["obs", "state"]`), or some episodes and steps.

        Slices share memory with the batch; lists and tensors of episode numbers copy. Integers keep their axis.
        """
        if isinstance(item, str):
            return self._field(item)
        if isinstance(item, tuple) and item and all(isinstance(key, str) for key in item):
            return self._some_fields(item)
        batch_index, time_index = _parse_index(item)
        transition = {k: v[batch_index, time_index] for k, v in self.data.transition_data.items()}
        episode = {k: v[batch_index] for k, v in self.data.episode_data.items()}
        return EpisodeBatch(
            self.scheme,
            self.groups,
            _count(batch_index, self.batch_size),
            _count(time_index, self.max_seq_length),
            data=SimpleNamespace(transition_data=transition, episode_data=episode),
            preprocess=self.preprocess,
            device=self.device,
        )

    def __contains__(self, key: object) -> bool:
        return key in self.data.transition_data or key in self.data.episode_data or key in self._derived

    def __repr__(self) -> str:
        fields = ", ".join(k for k in self.scheme if k in self)
        return f"EpisodeBatch(batch_size={self.batch_size}, max_seq_length={self.max_seq_length}, fields: {fields})"

    def _allocate(self, scheme: Scheme) -> None:
        for key, info in scheme.items():
            if key in self._derived:
                continue
            shape = value_shape(key, info, self.groups)
            dtype = info.get("dtype", torch.float32)
            if info.get("episode_const", False):
                self.data.episode_data[key] = torch.zeros((self.batch_size, *shape), dtype=dtype, device=self.device)
            else:
                full_shape = (self.batch_size, self.max_seq_length, *shape)
                self.data.transition_data[key] = torch.zeros(full_shape, dtype=dtype, device=self.device)

    def _field(self, key: str) -> torch.Tensor:
        for store in (self.data.transition_data, self.data.episode_data):
            if key in store:
                return store[key]
        if key in self._derived:
            return self._derive(key)
        raise KeyError(self._unknown_field(key))

    def _derive(self, key: str) -> torch.Tensor:
        """Compute a derived field; steps that are not filled are zero, as they are in PyMARL's storage."""
        source_key, transforms = self._derived[key]
        source, filled = self._field(source_key), self.data.transition_data.get("filled")
        cacheable = filled is not None and not source.is_inference() and not filled.is_inference()
        # Every write by torch raises a version, and a runner that writes by NumPy calls `mark_filled`, which does
        # too.
        version = (source._version, filled._version) if filled is not None and cacheable else (-1, -1)
        cached = self._derived_cache.get(key)
        if cacheable and cached is not None and cached[0] == version:
            return cached[1]
        value = source
        for transform in transforms:
            value = transform.transform(value)
        if filled is not None and source_key in self.data.transition_data:
            value = value * filled.reshape(*filled.shape[:2], *[1] * (value.dim() - 2)).to(value.dtype)
        if cacheable:
            self._derived_cache[key] = (version, value)
        return value

    def _some_fields(self, keys: tuple[str, ...]) -> EpisodeBatch:
        data = SimpleNamespace(transition_data={}, episode_data={})
        for key in keys:
            is_episode_field = self.scheme.get(key, {}).get("episode_const", False)
            (data.episode_data if is_episode_field else data.transition_data)[key] = self._field(key)
        scheme = {key: self.scheme[key] for key in keys}
        names = {info["group"] for info in scheme.values() if "group" in info}
        groups = {name: self.groups[name] for name in names}
        return EpisodeBatch(scheme, groups, self.batch_size, self.max_seq_length, data=data, device=self.device)

    def _unknown_field(self, key: str) -> str:
        return f'this batch has no field "{key}"; it has: {", ".join(k for k in self.scheme if k in self)}'


class ReplayBuffer:
    """Ring of the last `buffer_size` episodes; `sample` draws whole ones without replacement, from a stream of its
    own.

    Availability and `filled` are stored as bool, actions as int16, derived fields not at all; what is read is an
    `EpisodeBatch` with PyMARL's dtypes. Raises `UserError` when the storage would not fit into free memory.
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
    ) -> None:
        self.scheme: Scheme = dict(scheme)
        self.groups = dict(groups or {})
        self.buffer_size = self.batch_size = buffer_size
        self.max_seq_length = max_seq_length
        self.preprocess = dict(preprocess or {})
        self.device = device
        self.buffer_index = 0
        self.episodes_in_buffer = 0
        self._generator = torch_stream(seed, "buffer")
        derived = add_derived_fields(self.scheme, self.preprocess)
        self.scheme["filled"] = {"vshape": (1,), "dtype": torch.long}
        stored = {key: info for key, info in self.scheme.items() if key not in derived}
        shapes = {key: self._shape(key, info) for key, info in stored.items()}
        dtypes = {key: compact_dtype(key, info.get("dtype", torch.float32)) for key, info in stored.items()}
        n_bytes = sum(int(np.prod(shapes[key])) * dtypes[key].itemsize for key in stored)
        require_memory(n_bytes, device, f"buffer_size={buffer_size} episodes of {max_seq_length} steps", buffer_size)
        self._storage = {key: torch.zeros(shapes[key], dtype=dtypes[key], device=device) for key in stored}

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
        rows = (torch.arange(n_new) + self.buffer_index + n_skipped) % self.buffer_size
        rows = rows.to(self.device)
        length = ep_batch.max_seq_length
        for key, stored in self._storage.items():
            values = ep_batch[key][n_skipped:].to(device=self.device, dtype=stored.dtype)
            if self._is_episode_field(key):
                stored[rows] = values
            else:
                stored[rows, :length] = values
        # What an older, longer episode left behind must not count as part of the new one.
        self._storage["filled"][rows, length:] = False
        self.episodes_in_buffer = min(self.buffer_size, self.episodes_in_buffer + ep_batch.batch_size)
        self.buffer_index = (self.buffer_index + ep_batch.batch_size) % self.buffer_size

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
        rows, times = _parse_index(item)
        if isinstance(rows, torch.Tensor):
            rows = rows.to(self.device)
        data = SimpleNamespace(transition_data={}, episode_data={})
        for key, stored in self._storage.items():
            dtype = self.scheme[key].get("dtype", torch.float32)
            if self._is_episode_field(key):
                data.episode_data[key] = _copy(stored[rows], dtype)
            else:
                data.transition_data[key] = _copy(stored[rows, times], dtype)
        return EpisodeBatch(
            self.scheme,
            self.groups,
            _count(rows, self.buffer_size),
            _count(times, self.max_seq_length),
            data=data,
            preprocess=self.preprocess,
            device=self.device,
        )

    def state_dict(self) -> dict[str, Any]:
        """All stored episodes, the ring's position and the stream."""
        return {
            "storage": {key: value[: self.episodes_in_buffer].clone() for key, value in self._storage.items()},
            "buffer_index": self.buffer_index,
            "episodes_in_buffer": self.episodes_in_buffer,
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave; the buffers must agree in size and fields."""
        self.buffer_index = int(state["buffer_index"])
        self.episodes_in_buffer = int(state["episodes_in_buffer"])
        for key, value in self._storage.items():
            value[: self.episodes_in_buffer] = state["storage"][key].to(value.device)
        self._generator.set_state(state["generator"].cpu())

    def __repr__(self) -> str:
        fields = ", ".join(self.scheme)
        return f"ReplayBuffer({self.episodes_in_buffer}/{self.buffer_size} episodes, fields: {fields})"

    def _is_episode_field(self, key: str) -> bool:
        return bool(self.scheme[key].get("episode_const", False))

    def _shape(self, key: str, info: dict[str, Any]) -> tuple[int, ...]:
        time_axis = () if info.get("episode_const", False) else (self.max_seq_length,)
        return (self.buffer_size, *time_axis, *value_shape(key, info, self.groups))


def add_derived_fields(
    scheme: Scheme, preprocess: dict[str, tuple[str, list[Any]]]
) -> dict[str, tuple[str, list[Any]]]:
    """Add the fields that `preprocess` makes to `scheme`; returns {new field: (source field, transforms)}."""
    derived = {}
    for source, (new_key, transforms) in preprocess.items():
        if source not in scheme:
            raise ValueError(f'preprocess names "{source}", which the scheme lacks; it has: {", ".join(scheme)}')
        info = dict(scheme[source])
        vshape, dtype = info["vshape"], info.get("dtype", torch.float32)
        for transform in transforms:
            vshape, dtype = transform.infer_output_info(vshape, dtype)
        scheme[new_key] = {**info, "vshape": vshape, "dtype": dtype}
        derived[new_key] = (source, list(transforms))
    return derived


def value_shape(key: str, info: dict[str, Any], groups: dict[str, int]) -> tuple[int, ...]:
    """Shape of one step of the field `key`: (group size,) before its `vshape`."""
    if "vshape" not in info:
        raise ValueError(f'the scheme gives no vshape for "{key}"')
    vshape = info["vshape"]
    vshape = (int(vshape),) if isinstance(vshape, (int, np.integer)) else tuple(vshape)
    if "group" not in info:
        return vshape
    if info["group"] not in groups:
        raise ValueError(f'"{key}" belongs to the group "{info["group"]}", which has no size; known: {list(groups)}')
    return (groups[info["group"]], *vshape)


def _parse_index(item: Any) -> tuple[Any, Any]:
    """(batch index, time index) of what stands in the brackets; integers become slices of length 1."""
    if not isinstance(item, tuple):
        item = (item, slice(None))
    if len(item) != 2:
        raise IndexError(f"a batch has an episode and a time axis; got {len(item)} indices")
    if not isinstance(item[1], (int, np.integer, slice)) and not (torch.is_tensor(item[1]) and item[1].dim() == 0):
        raise IndexError("steps are indexed by a number or a slice; lists are for episodes only")
    batch_index, time_index = (_parse_axis(axis) for axis in item)
    return batch_index, time_index


def _parse_axis(axis: Any) -> Any:
    if isinstance(axis, slice):
        return axis
    if isinstance(axis, (int, np.integer)) or (torch.is_tensor(axis) and axis.dim() == 0):
        start = int(axis)
        return slice(start, start + 1 if start != -1 else None)
    index = torch.as_tensor(axis)
    if index.numel() == 0:
        index = index.long()
    return index.nonzero().flatten() if index.dtype == torch.bool else index


def _count(index: Any, size: int) -> int:
    return len(range(size)[index]) if isinstance(index, slice) else int(index.shape[0])


def _as_tensor(value: Any, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    if torch.is_tensor(value):
        return value.detach().to(device=device, dtype=dtype)
    if isinstance(value, (list, tuple)) and value and torch.is_tensor(value[0]):
        return torch.stack(list(value)).to(device=device, dtype=dtype)
    # One array first: torch.tensor of a list of arrays copies number by number.
    return torch.as_tensor(np.asarray(value)).to(device=device, dtype=dtype)


def _copy(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return value.to(dtype, copy=True)

"""A batch of whole episodes as plain contiguous tensors [batch, time, ...]: PyMARL's `EpisodeBatch`.

Fields made by `preprocess` (one-hot actions) are not stored: they are computed from their source when they are read, so
a runner may write raw actions straight into memory.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import torch

from components.indexing import Index, count, parse_index

Scheme: TypeAlias = dict[str, dict[str, Any]]


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
        batch_index, time_index = parse_index((bs, ts))
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
        batch_index, time_index = parse_index((rows, ts))
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
        batch_index, time_index = parse_index(item)
        transition = {k: v[batch_index, time_index] for k, v in self.data.transition_data.items()}
        episode = {k: v[batch_index] for k, v in self.data.episode_data.items()}
        return EpisodeBatch(
            self.scheme,
            self.groups,
            count(batch_index, self.batch_size),
            count(time_index, self.max_seq_length),
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


def _as_tensor(value: Any, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    if torch.is_tensor(value):
        return value.detach().to(device=device, dtype=dtype)
    if isinstance(value, (list, tuple)) and value and torch.is_tensor(value[0]):
        return torch.stack(list(value)).to(device=device, dtype=dtype)
    # One array first: torch.tensor of a list of arrays copies number by number.
    return torch.as_tensor(np.asarray(value)).to(device=device, dtype=dtype)

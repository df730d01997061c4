"""What may stand in the brackets behind a batch of episodes: `batch[episodes, steps]`."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch

Index: TypeAlias = int | slice | list[int] | np.ndarray | torch.Tensor


def parse_index(item: Any) -> tuple[Any, Any]:
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


def count(index: Any, size: int) -> int:
    """How many of `size` items a parsed index picks."""
    return len(range(size)[index]) if isinstance(index, slice) else int(index.shape[0])

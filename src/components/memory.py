"""In which dtypes buffers keep their fields, and whether the machine has room for them."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import torch

from utils.errors import UserError

GIB = 2**30


def compact_dtype(key: str, dtype: torch.dtype) -> torch.dtype:
    """Dtype in which a buffer keeps the field `key`: int16 for discrete actions, bool for masks, else `dtype`."""
    if key == "actions" and not dtype.is_floating_point:
        return torch.int16
    return torch.bool if key in ("avail_actions", "filled") else dtype


def free_memory(place: str | torch.device | Path) -> int:
    """Bytes free on a device, or on the disk that holds a folder."""
    if isinstance(place, Path):
        return shutil.disk_usage(place).free
    if torch.device(place).type == "cuda":
        return int(torch.cuda.mem_get_info(place)[0])
    return int(psutil.virtual_memory().available)


def require_memory(n_bytes: int, place: str | torch.device | Path, what: str, size: int) -> None:
    """Raise `UserError` with the figures if `what`, which holds `size` items, needs more bytes than are free."""
    free = free_memory(place)
    if n_bytes > free:
        fits = int(size * free * 0.9 / n_bytes)
        where = f"on the disk of {place}" if isinstance(place, Path) else f"in the memory of {place}"
        raise UserError(
            f"{what} need {n_bytes / GIB:.1f} GiB, and {free / GIB:.1f} GiB are free {where}. "
            f"At most {fits} instead of {size} would fit."
        )

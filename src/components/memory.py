"""How large buffers are, in which dtypes they keep their fields, and whether the machine has room for them."""

from __future__ import annotations

import psutil
import torch

from utils.errors import UserError

GIB = 2**30


def compact_dtype(key: str, dtype: torch.dtype) -> torch.dtype:
    """Dtype in which a buffer keeps the field `key`: int16 for discrete actions, bool for masks, else `dtype`."""
    if key == "actions" and not dtype.is_floating_point:
        return torch.int16
    return torch.bool if key in ("avail_actions", "filled") else dtype


def free_memory(device: str | torch.device) -> int:
    """Bytes free on `device`."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def require_memory(n_bytes: int, device: str | torch.device, what: str, size: int) -> None:
    """Raise `UserError` with the figures if `what`, which holds `size` items, needs more bytes than are free."""
    free = free_memory(device)
    if n_bytes > free:
        fits = int(size * free * 0.9 / n_bytes)
        raise UserError(
            f"{what} need {n_bytes / GIB:.1f} GiB, and {free / GIB:.1f} GiB are free on {device}. "
            f"Set buffer_size to {fits} or less."
        )

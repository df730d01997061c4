"""Stacked frames: what was seen in the last few steps beside what is seen now, in the place of a memory.

Acting, learning and the critics all stack by the one function below, so that they cannot disagree.
"""

from __future__ import annotations

import torch
from torch import Tensor


def stack_frames(frames: Tensor, k: int) -> Tensor:
    """Frames [B, T, ..., d] of episodes from their start -> [B, T, ..., k d]: each with the k - 1 before it.

    The newest comes first. Before an episode's start there are zeros, never another episode's frames.
    """
    if k == 1:
        return frames
    shifted = [frames]
    for _ in range(min(k - 1, frames.shape[1])):
        shifted.append(torch.cat([torch.zeros_like(frames[:, :1]), shifted[-1][:, :-1]], dim=1))
    shifted += [torch.zeros_like(frames)] * (k - len(shifted))
    return torch.cat(shifted, dim=-1)


def latest_frames(frames: Tensor, t: int, k: int, rows: slice | Tensor = slice(None)) -> Tensor:
    """Step t of `stack_frames` [rows, ..., k d], for some rows of frames [B, T, ..., d]; no later step is read."""
    return stack_frames(frames[rows, max(t - k + 1, 0) : t + 1], k)[:, -1]

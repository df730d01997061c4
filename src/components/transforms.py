"""Transforms that turn one field of an `EpisodeBatch` into another, such as actions into one-hot actions."""

from __future__ import annotations

import torch


class Transform:
    """Interface: `transform` maps a tensor, `infer_output_info` says what shape and dtype comes out."""

    def transform(self, tensor: torch.Tensor) -> torch.Tensor:
        """Map `tensor` [..., *vshape_in] to [..., *vshape_out]."""
        raise NotImplementedError

    def infer_output_info(
        self, vshape_in: tuple[int, ...], dtype_in: torch.dtype
    ) -> tuple[tuple[int, ...], torch.dtype]:
        """Shape of one value and dtype after the transform."""
        raise NotImplementedError


class OneHot(Transform):
    """Integers [..., 1] in [0, out_dim) to float32 one-hot vectors [..., out_dim]."""

    def __init__(self, out_dim: int) -> None:
        self.out_dim = out_dim

    def transform(self, tensor: torch.Tensor) -> torch.Tensor:
        """One-hot vectors of `tensor`; an index outside [0, out_dim) is an error."""
        one_hot = torch.zeros((*tensor.shape[:-1], self.out_dim), dtype=torch.float32, device=tensor.device)
        return one_hot.scatter_(-1, tensor.long(), 1.0)

    def infer_output_info(
        self, vshape_in: tuple[int, ...], dtype_in: torch.dtype
    ) -> tuple[tuple[int, ...], torch.dtype]:
        """`((out_dim,), float32)`, whatever goes in."""
        return (self.out_dim,), torch.float32

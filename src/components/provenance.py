"""Where data come from, as types: real episodes of the primary team, imagined transitions of auxiliaries, or a
mixture.

A part that may learn from real data only (the world model) calls `require_primary` on what it is given. The types
wrap named tensors and are not to be converted into one another; only the asymmetric buffer makes `PrimaryData`.
"""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor


class ProvenanceError(TypeError):
    """Data of the wrong origin were offered."""


_Data = TypeVar("_Data", bound="Data")


@dataclass(frozen=True)
class Data:
    """Named tensors that share their first axis. Use one of the subclasses: they say where the tensors come from."""

    tensors: Mapping[str, Tensor]

    def __getitem__(self, key: str) -> Tensor:
        return self.tensors[key]

    def __contains__(self, key: object) -> bool:
        return key in self.tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return next(iter(self.tensors.values())).shape[0] if self.tensors else 0

    def keys(self) -> KeysView[str]:
        """Names of the tensors."""
        return self.tensors.keys()

    def to(self: _Data, device: str | torch.device) -> _Data:
        """The same data, of the same origin, on `device`."""
        return type(self)({key: value.to(device) for key, value in self.tensors.items()})


@dataclass(frozen=True)
class PrimaryData(Data):
    """From real episodes, collected by the primary team."""


@dataclass(frozen=True)
class AuxiliaryData(Data):
    """Imagined by the world model under an auxiliary policy."""


@dataclass(frozen=True)
class MixedData(Data):
    """Of both origins; `source` [N] is 0 for real transitions and i + 1 for those of auxiliary i."""


def require_primary(data: object) -> None:
    """Raise `ProvenanceError` unless `data` is `PrimaryData`."""
    if type(data) is not PrimaryData:
        raise ProvenanceError(
            f"real episodes (PrimaryData) are required here, {type(data).__name__} was offered: "
            "the world model must never learn from what auxiliaries or a model made up"
        )

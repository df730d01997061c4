"""The episodes of a ring in files that are written once, so that a checkpoint writes only what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils.files import write_atomically

Episodes = dict[str, Tensor]
Span = tuple[int, int]
"""Episodes from one number up to another, not included; they are numbered as they came."""


class EpisodeFiles:
    """Files `<first>-<end>.pt` in `directory`. Those are kept that one of the last two states needs: the newer one's
    checkpoint may not be on the disk yet."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._spans: list[Span] = []
        self._before: list[Span] = []

    def state(self, oldest: int, end: int, read: Callable[[int, int], Episodes]) -> dict[str, Any]:
        """Write what no file has of the episodes from `oldest` to `end`, as `read(first, end)` gives it; tell where all
        of them are."""
        self._before = self._spans
        self._spans = [span for span in self._spans if span[1] > oldest]
        first = max(oldest, self._spans[-1][1] if self._spans else oldest)
        if first < end:
            self.directory.mkdir(parents=True, exist_ok=True)
            write_atomically(self.directory / _name((first, end)), lambda path: torch.save(read(first, end), path))
            self._spans.append((first, end))
        kept = {_name(span) for span in (*self._before, *self._spans)}
        for path in self.directory.glob("*.pt"):
            if path.name not in kept:
                path.unlink(missing_ok=True)
        return {"directory": str(self.directory.resolve()), "spans": self._spans.copy()}

    def load(self, state: dict[str, Any]) -> Iterator[tuple[int, Episodes]]:
        """The number of the first episode in each file of a state, and the episodes; oldest first.

        The files of another directory are read and left alone: the next `state` writes all of them here.
        """
        spans: Iterable[Span] = [(int(first), int(end)) for first, end in state["spans"]]
        source = Path(state["directory"])
        here = source.resolve() == self.directory.resolve()
        self._spans = self._before = list(spans) if here else []
        for span in spans:
            yield span[0], torch.load(source / _name(span), map_location="cpu", weights_only=True)


def _name(span: Span) -> str:
    return f"{span[0]}-{span[1]}.pt"

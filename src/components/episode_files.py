"""The episodes of a ring in files that are written once, so that a checkpoint writes only what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils.files import write_atomically

Episodes = dict[str, Tensor]
Span = tuple[int, int]
"""Episodes from one number up to another, not included; they are numbered as they came."""

EPISODES_PER_FILE = 500  # at most: so many are in memory twice while they are written or read


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
        self.directory.mkdir(parents=True, exist_ok=True)
        written = self._spans[-1][1] if self._spans else oldest
        for first in range(max(oldest, written), end, EPISODES_PER_FILE):
            self._write((first, min(first + EPISODES_PER_FILE, end)), read)
        kept = {_name(span) for span in (*self._before, *self._spans)}
        for path in self.directory.glob("*.pt"):
            if path.name not in kept:
                path.unlink(missing_ok=True)
        return {"directory": str(self.directory.resolve()), "spans": self._spans.copy()}

    def _write(self, span: Span, read: Callable[[int, int], Episodes]) -> None:
        write_atomically(self.directory / _name(span), lambda path: torch.save(read(*span), path))
        self._spans.append(span)

    def take_over(self, state: dict[str, Any]) -> None:
        """Go on from a state's files; those of another directory are left alone, and the next state writes all here."""
        here = Path(state["directory"]).resolve() == self.directory.resolve()
        self._spans = self._before = _spans_of(state) if here else []


def read(state: dict[str, Any]) -> Iterator[tuple[int, Episodes]]:
    """The number of the first episode in each file of a state, and the episodes; oldest first."""
    for span in _spans_of(state):
        file = Path(state["directory"]) / _name(span)
        yield span[0], torch.load(file, map_location="cpu", weights_only=True)


def _spans_of(state: dict[str, Any]) -> list[Span]:
    return [(int(first), int(end)) for first, end in state["spans"]]


def _name(span: Span) -> str:
    return f"{span[0]}-{span[1]}.pt"

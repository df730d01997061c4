"""Which rows of a frame store belong to which real episode, and uniform draws of transitions from them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

SPLITS = ("train", "held_out", "all")


class Starts(NamedTuple):
    """Transitions, int64 arrays [N]: row of the frame, row of the episode's closing frame, episode number, step."""

    row: np.ndarray
    closing_row: np.ndarray
    episode: np.ndarray
    step: np.ndarray


class Selection(NamedTuple):
    """Some of the episodes: their places in the index, and the running sum of their lengths."""

    places: np.ndarray
    cumulative: np.ndarray

    @property
    def steps(self) -> int:
        """Transitions in the selection."""
        return int(self.cumulative[-1]) if len(self.cumulative) else 0


class EpisodeIndex:
    """Episodes in the order of arrival, numbered 0, 1, 2, ... for ever.

    An episode of L steps takes L + 1 rows: `start` + 0 ... `start` + L, the last of which is its closing frame.
    """

    def __init__(self) -> None:
        self.start = np.zeros(0, np.int64)
        self.length = np.zeros(0, np.int64)
        self.first_number = 0
        self.steps_added = 0
        self._selections: dict[tuple[str, int], Selection] = {}

    def __len__(self) -> int:
        return len(self.start)

    @property
    def steps(self) -> int:
        """Transitions of all episodes that are there."""
        return int(self.length.sum())

    def append(self, start: int, length: int) -> None:
        """Add an episode of `length` steps whose first frame is row `start`."""
        self.start = np.append(self.start, start)
        self.length = np.append(self.length, length)
        self.steps_added += length
        self._selections.clear()

    def evict_down_to(self, max_steps: int) -> None:
        """Give up the oldest episodes until at most `max_steps` transitions are left; the newest one always stays."""
        kept = self.length[::-1].cumsum() <= max_steps
        n_kept = max(int(kept.sum()), min(1, len(self)))
        n_gone = len(self) - n_kept
        if n_gone:
            self.start, self.length = self.start[n_gone:], self.length[n_gone:]
            self.first_number += n_gone
            self._selections.clear()

    def first_row(self, default: int) -> int:
        """Row of the oldest frame that is still needed; `default` if there is no episode."""
        return int(self.start[0]) if len(self) else default

    def select(self, split: str, held_out_every: int) -> Selection:
        """Episodes of a split: number n is held out if n + 1 is a multiple of `held_out_every` (0: none is)."""
        key = (split, held_out_every)
        if key not in self._selections:
            if split not in SPLITS:
                raise ValueError(f'split must be one of {", ".join(SPLITS)}, not "{split}"')
            numbers = np.arange(self.first_number, self.first_number + len(self))
            held_out = (numbers + 1) % held_out_every == 0 if held_out_every > 0 else np.zeros(len(self), bool)
            wanted = {"train": ~held_out, "held_out": held_out, "all": np.ones(len(self), bool)}[split]
            places = np.flatnonzero(wanted)
            self._selections[key] = Selection(places, self.length[places].cumsum())
        return self._selections[key]

    def draw(
        self,
        n: int,
        generator: torch.Generator,
        split: str = "all",
        held_out_every: int = 10,
        first_steps: int | None = None,
        latest: int | None = None,
    ) -> Starts:
        """`n` transitions of a split, uniformly and with replacement.

        first_steps: only so many of each episode; latest: only the newest episodes, as few as hold so many transitions.
        """
        selection = self.select(split, held_out_every)
        if latest is not None and selection.steps > latest:
            before = int(np.searchsorted(selection.cumulative, selection.steps - latest, side="right"))
            places = selection.places[before:]
            selection = Selection(places, self.length[places].cumsum())
        if first_steps is not None:
            lengths = np.minimum(self.length[selection.places], first_steps)
            selection = Selection(selection.places, lengths.cumsum())
        if selection.steps == 0:
            raise ValueError(f'no real transition to draw from: the split "{split}" of {len(self)} episodes is empty')
        ticket = torch.randint(selection.steps, (n,), generator=generator, device=generator.device).cpu().numpy()
        chosen = np.searchsorted(selection.cumulative, ticket, side="right")
        places = selection.places[chosen]
        step = ticket - np.concatenate(([0], selection.cumulative))[chosen]
        start = self.start[places]
        return Starts(start + step, start + self.length[places], places + self.first_number, step)

    def state_dict(self) -> dict[str, Any]:
        """Rows, lengths and counters."""
        return {
            "start": torch.from_numpy(self.start.copy()),
            "length": torch.from_numpy(self.length.copy()),
            "first_number": self.first_number,
            "steps_added": self.steps_added,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.start, self.length = state["start"].numpy().copy(), state["length"].numpy().copy()
        self.first_number, self.steps_added = int(state["first_number"]), int(state["steps_added"])
        self._selections.clear()

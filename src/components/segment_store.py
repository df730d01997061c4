"""Rows of named arrays that are only ever appended, in memory or in files, kept in segments of fixed length.

Old rows are given up segment by segment and never overwritten. That is what makes a checkpoint of a large store cheap
and safe: it records which rows are valid and where the files are, and whatever is appended later leaves those rows
alone.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

Arrays: TypeAlias = dict[str, np.ndarray]
FieldSpec: TypeAlias = dict[str, tuple[tuple[int, ...], np.dtype]]


class SegmentStore:
    """Rows numbered 0, 1, 2, ... in the order of arrival; those in [first, end) can be read.

    `fields` gives shape and dtype of one row of every field. With a `directory` the segments are memory-mapped files
    `<directory>/<segment>/<field>.npy`, else arrays in memory.
    """

    def __init__(self, fields: FieldSpec, segment_rows: int, directory: Path | None = None) -> None:
        self.fields = fields
        self.segment_rows = segment_rows
        self.directory = directory
        self.first = 0
        self.end = 0
        self._segments: dict[int, Arrays] = {}
        self._unflushed: set[int] = set()
        # Files that one of the last two checkpoints may refer to: the newer one is perhaps not on the disk yet.
        self._held_by_checkpoints: tuple[set[int], set[int]] = (set(), set())

    def __len__(self) -> int:
        return self.end - self.first

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return row_bytes(self.fields)

    def append(self, rows: Arrays) -> int:
        """Add rows (one array [N, ...] per field); returns the number of the first."""
        start, n_rows = self.end, len(next(iter(rows.values())))
        done = 0
        while done < n_rows:
            number, offset = divmod(start + done, self.segment_rows)
            count = min(n_rows - done, self.segment_rows - offset)
            segment = self._segments.get(number)
            if segment is None:
                segment = self._segments[number] = self._new_segment(number)
            for key, array in segment.items():
                array[offset : offset + count] = rows[key][done : done + count]
            self._unflushed.add(number)
            done += count
        self.end += n_rows
        return start

    def gather(self, rows: np.ndarray, keys: list[str] | None = None) -> Arrays:
        """Copies of the rows with the given numbers (int64 of any shape S): arrays [*S, ...]."""
        flat = rows.reshape(-1)
        numbers, offsets = np.divmod(flat, self.segment_rows)
        present = np.unique(numbers)
        result: Arrays = {}
        for key in keys if keys is not None else self.fields:
            shape, dtype = self.fields[key]
            values = np.empty((len(flat), *shape), dtype)
            for number in present:
                here = numbers == number
                values[here] = self._segments[int(number)][key][offsets[here]]
            result[key] = values.reshape(*rows.shape, *shape)
        return result

    def drop_before(self, row: int) -> None:
        """Give up all rows before number `row`; memory and files go when a whole segment has been given up."""
        self.first = max(self.first, row)
        for number in [n for n in self._segments if (n + 1) * self.segment_rows <= self.first]:
            del self._segments[number]
            self._unflushed.discard(number)
        self._delete_unused_files()

    def state_dict(self) -> dict[str, Any]:
        """The valid rows: as tensors if they are in memory, else as a reference to files, which are synced first."""
        state: dict[str, Any] = {"first": self.first, "end": self.end, "segment_rows": self.segment_rows}
        state["fields"] = {key: [list(shape), dtype.str] for key, (shape, dtype) in self.fields.items()}
        if self.directory is None:
            rows = self.gather(np.arange(self.first, self.end))
            state["rows"] = {key: torch.from_numpy(value) for key, value in rows.items()}
            return state
        self._flush()
        self._held_by_checkpoints = (self._held_by_checkpoints[1], set(self._segments))
        self._delete_unused_files()
        state["directory"] = str(self.directory.resolve())
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the rows of a `state_dict`; files of another directory are copied, so that both can go on."""
        self.segment_rows = int(state["segment_rows"])
        self._segments.clear()
        self._unflushed.clear()
        first, end = int(state["first"]), int(state["end"])
        if "rows" in state or end == first:
            self.first = self.end = first
            if end > first:
                self.append({key: value.numpy() for key, value in state["rows"].items()})
            return
        source = Path(state["directory"])
        if not source.is_dir():
            raise FileNotFoundError(f"the checkpoint's buffer files are not there any more: {source}")
        in_place = self.directory is not None and self.directory.resolve() == source.resolve()
        self.first, self.end = (first, end) if in_place else (first, first)
        for number in range(first // self.segment_rows, -(-end // self.segment_rows)):
            arrays = {key: _open(source, number, key, "r+" if in_place else "r") for key in self.fields}
            if in_place:
                self._segments[number] = arrays
                continue
            low = max(first, number * self.segment_rows)
            high = min(end, (number + 1) * self.segment_rows)
            offset = number * self.segment_rows
            self.append({key: array[low - offset : high - offset] for key, array in arrays.items()})
        if in_place:
            self._held_by_checkpoints = (set(self._segments), set(self._segments))

    def _new_segment(self, number: int) -> Arrays:
        if self.directory is None:
            return {key: np.zeros((self.segment_rows, *shape), dtype) for key, (shape, dtype) in self.fields.items()}
        folder = _folder(self.directory, number)
        folder.mkdir(parents=True, exist_ok=True)
        return {
            key: np.lib.format.open_memmap(
                folder / f"{key}.npy", mode="w+", dtype=dtype, shape=(self.segment_rows, *shape)
            )
            for key, (shape, dtype) in self.fields.items()
        }

    def _flush(self) -> None:
        """Bring everything appended since the last flush to the disk."""
        assert self.directory is not None
        for number in sorted(self._unflushed):
            for key, array in self._segments[number].items():
                array.flush()  # type: ignore[attr-defined]
                _fsync(_folder(self.directory, number) / f"{key}.npy")
            _fsync(_folder(self.directory, number))
        if self._unflushed:
            _fsync(self.directory)
        self._unflushed.clear()

    def _delete_unused_files(self) -> None:
        if self.directory is None or not self.directory.is_dir():
            return
        needed = set(self._segments).union(*self._held_by_checkpoints)
        oldest = min(needed, default=self.end // self.segment_rows)
        for folder in self.directory.iterdir():
            if folder.name.isdigit() and int(folder.name) < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def row_bytes(fields: FieldSpec) -> int:
    """Bytes of one row of the given fields."""
    return sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in fields.values())


def _folder(directory: Path, number: int) -> Path:
    return directory / f"{number:08d}"


def _open(directory: Path, number: int, key: str, mode: Any) -> np.ndarray:
    return np.lib.format.open_memmap(_folder(directory, number) / f"{key}.npy", mode=mode)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

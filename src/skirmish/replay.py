"""Replays: one episode in one small file, with everything that it takes to show it.

    replay = load("3m_0000.npz")
    replay.x[f, u], replay.health[f, u]      # unit u in sub-frame f; replay.loops[f] game loops after the start

A sub-frame is taken every SPAN game loops. The file is a NumPy archive: `header` (JSON as bytes) and arrays.
Positions are kept to 1/128 cell, points to 1/16, directions to 1/256 of a turn; rewards exactly.
docs/replays.md describes the format, `recorder` makes replays, `render` shows them.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPAN = 2
"""Game loops from one sub-frame to the next."""

FORMAT, VERSION = "skirmish-replay", 1
SUFFIX = ".npz"

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_QUANTA = {
    "x": 1 / 128, "y": 1 / 128, "health": 1 / 16, "shield": 1 / 16, "energy": 1 / 16, "facing": 2 * np.pi / 256,
    "alive": 1, "target": 1, "hits": 1,
}  # fmt: skip
_INTEGERS = ("target", "hits")
_ORDER_QUANTA = {"order_kind": 1, "order_target": 1, "order_x": 1 / 128, "order_y": 1 / 128}
_GRIDS = ("pathing", "cliff_pathing", "height")
_HEADER_KEYS = ("map", "units", "types", "result", "step_mul", "start_step", "episode")


class ReplayError(ValueError):
    """A file that is no replay, or one that this version cannot read; the message says which and why."""


@dataclass(frozen=True, eq=False)
class Replay:
    """One episode. F sub-frames, the first before the first step; T steps; U units: n agents by id, then enemies.

    map: `name`, `checksum`, `limit`, `n_agents`, `n_enemies`, `engine_version`, `profile`, `build`, `rules`.
    units: for each column `type`, `health_max`, `shield_max`. types: drawing facts by type name (`type_facts`).
    result: `won`, `finished`, `timeout`, `length`, `return`, `dead_allies`, `dead_enemies`.
    step_mul: game loops in a step; start_step: steps played before the replay begins; episode: its number.
    pathing, cliff_pathing [w, h] bool, height [w, h] uint8. loops [F]: game loops since the first sub-frame.
    x, y, health, shield, energy, facing, alive, target, hits [F, U]: as in `engine.Units`; hits since the last one.
    order_kind, order_target, order_x, order_y [T, n]: as in `engine.Orders`. reward [T].
    """

    map: dict[str, Any]
    units: list[dict[str, Any]]
    types: dict[str, dict[str, Any]]
    result: dict[str, Any]
    step_mul: int
    start_step: int
    episode: int
    pathing: NDArray[np.bool_]
    cliff_pathing: NDArray[np.bool_]
    height: NDArray[np.uint8]
    loops: Ints
    x: Floats
    y: Floats
    health: Floats
    shield: Floats
    energy: Floats
    facing: Floats
    alive: NDArray[np.bool_]
    target: Ints
    hits: Ints
    order_kind: Ints
    order_target: Ints
    order_x: Floats
    order_y: Floats
    reward: NDArray[np.float64]

    @property
    def n_agents(self) -> int:
        """Number of agents; their columns come first."""
        return int(self.map["n_agents"])

    @property
    def n_frames(self) -> int:
        """Number of sub-frames F."""
        return len(self.loops)

    @property
    def n_steps(self) -> int:
        """Number of steps T."""
        return len(self.reward)

    def save(self, path: str | Path) -> Path:
        """Write the file, whole or not at all; returns its path. Missing folders are made."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        header = {"format": FORMAT, "version": VERSION} | {key: getattr(self, key) for key in _HEADER_KEYS}
        arrays: dict[str, NDArray[Any]] = {
            "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
            "loops": self.loops,
            "reward": self.reward,
        }
        arrays |= {key: getattr(self, key) for key in _GRIDS}
        arrays |= {key: pack(getattr(self, key), quantum) for key, quantum in (_QUANTA | _ORDER_QUANTA).items()}
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with open(temporary, "wb") as file:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        return target


def pack(values: NDArray[Any], quantum: float) -> NDArray[Any]:
    """Values [F, U] as whole multiples of `quantum`, as differences in time, a unit a row: what compresses best."""
    whole = np.rint(values.astype(np.float64) / quantum).astype(np.int64)
    steps = np.diff(whole, axis=0, prepend=0).T
    largest = int(np.abs(steps).max(initial=0))
    kind = next(kind for kind in (np.int8, np.int16, np.int32, np.int64) if largest <= np.iinfo(kind).max)
    return np.ascontiguousarray(steps.astype(kind))


def unpack(packed: NDArray[Any], quantum: float) -> NDArray[np.float64]:
    """The values [F, U] of `pack`."""
    values: NDArray[np.float64] = packed.T.astype(np.int64).cumsum(axis=0) * float(quantum)
    return values


def load(path: str | Path) -> Replay:
    """Read a replay; ReplayError, naming the file and what is wrong with it, if it cannot be read."""
    place = Path(path)
    if not place.is_file():
        raise ReplayError(f'There is no replay "{place}".')
    try:
        with np.load(place, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, TypeError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ReplayError(f'"{place}" is no replay, or a damaged one ({str(error).splitlines()[0]}).') from None
    header = _header(place, arrays)
    try:
        replay = _assemble(header, arrays)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ReplayError(f'The replay "{place}" is damaged: {type(error).__name__} at {error}.') from None
    _check_shapes(place, replay)
    return replay


def _header(place: Path, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    try:
        header = json.loads(arrays["header"].tobytes())
        known, version = header["format"] == FORMAT, int(header["version"])
    except (KeyError, ValueError, TypeError):
        known, version = False, 0
    if not known:
        raise ReplayError(f'"{place}" is a NumPy archive, but no replay.')
    if version != VERSION:
        raise ReplayError(
            f'The replay "{place}" has the format version {version}; this version of skirmish reads version {VERSION}.'
        )
    return dict(header)


def _assemble(header: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Replay:
    units = {key: unpack(arrays[key], quantum) for key, quantum in (_QUANTA | _ORDER_QUANTA).items()}
    columns: dict[str, Any] = {}
    for key, values in units.items():
        whole = key in _INTEGERS or key in ("order_kind", "order_target")
        columns[key] = values.astype(np.int32 if whole else np.float32)
    columns["alive"] = columns["alive"] > 0
    rest: dict[str, Any] = {key: arrays[key] for key in (*_GRIDS, "loops", "reward")}
    return Replay(**{key: header[key] for key in _HEADER_KEYS}, **rest, **columns)


def _check_shapes(place: Path, replay: Replay) -> None:
    frames = (replay.n_frames, len(replay.units))
    steps = (replay.n_steps, replay.n_agents)
    expected = {**dict.fromkeys(_QUANTA, frames), **dict.fromkeys(_ORDER_QUANTA, steps)}
    expected |= dict.fromkeys(_GRIDS, replay.pathing.shape)
    for key, shape in expected.items():
        found = getattr(replay, key).shape
        # without any step the orders have no rows to tell their number of columns
        if found != shape and not (0 in shape and 0 in found):
            raise ReplayError(f'The replay "{place}" is damaged: "{key}" has the shape {found}, not {shape}.')
    if not replay.n_frames:
        raise ReplayError(f'The replay "{place}" is damaged: it has no frames.')

"""A picture of the ground, drawn with NumPy alone: walkable cells by height, cliffs, what lies beyond."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from skirmish.render_shapes import COLOURS
from skirmish.replay import Replay

Image = NDArray[np.uint8]
Layer = NDArray[np.float32]


def paint(replay: Replay, box: tuple[int, int, int, int], scale: int) -> Image:
    """The box (left, bottom, right, top) of the map, `scale` pixels a cell, north up: uint8 [rows, columns, 3]."""
    ground = _layer(replay.pathing, box, scale)
    solid = _layer(replay.pathing | replay.cliff_pathing, box, scale)
    walkable, rocky = _soft(ground, scale), _soft(solid, scale)
    picture = _mix(_colour("void"), _colour("cliff"), _hatched(rocky, scale))
    floor = _floor(replay, box, scale, ground)
    picture = _mix(picture, floor, walkable)
    rim = np.clip(1 - np.abs(_blur(ground, 0.3 * scale) - 0.5) * 9, 0, 1)
    picture = _mix(picture, _colour("rim"), 0.5 * rim)
    return np.ascontiguousarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8))


def png(image: Image) -> bytes:
    """A PNG file of an image [rows, columns, 3]."""
    rows, columns, _ = image.shape
    flat = image.reshape(rows, -1)
    up = np.diff(flat, axis=0, prepend=np.zeros_like(flat[:1]))  # PNG's filter 2; bytes wrap round
    lines = np.concatenate([np.full((rows, 1), 2, dtype=np.uint8), up], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def _floor(replay: Replay, box: tuple[int, int, int, int], scale: int, ground: Layer) -> Layer:
    heights = replay.height[replay.pathing].astype(np.float32)
    low, high = (float(heights.min()), float(heights.max())) if heights.size else (0.0, 0.0)
    level_ground = np.full(replay.height.shape, 0.45, dtype=np.float32)
    share = (replay.height.astype(np.float32) - low) / (high - low) if high > low else level_ground
    # outside the ground heights mean nothing: what is walkable alone spreads
    weight = _blur(ground, 0.5 * scale) + 1e-3
    level = _blur(_layer(np.clip(share, 0, 1), box, scale) * ground, 0.5 * scale) / weight
    floor = _mix(_colour("low"), _colour("high"), np.clip(level, 0, 1))
    shadow = np.clip((_blur(ground, 1.1 * scale) - 0.45) * 1.9, 0, 1)
    floor = floor * (0.78 + 0.22 * shadow[..., None])
    lines = np.zeros(ground.shape, dtype=np.float32)
    lines[scale - 1 :: scale, :] = 1
    lines[:, ::scale] = 1
    return floor + 5 * lines[..., None]


def _layer(grid: NDArray[np.generic], box: tuple[int, int, int, int], scale: int) -> Layer:
    """A grid [x, y] as an image layer [rows from the north, columns]."""
    left, bottom, right, top = box
    part = grid[left:right, bottom:top].T[::-1].astype(np.float32)
    return np.repeat(np.repeat(part, scale, axis=0), scale, axis=1)


def _soft(layer: Layer, scale: int) -> Layer:
    """0 and 1 with rounded corners and a smooth edge."""
    return np.clip((_blur(layer, 0.3 * scale) - 0.5) * 0.6 * scale + 0.5, 0, 1).astype(np.float32)


def _hatched(layer: Layer, scale: int) -> Layer:
    rows, columns = np.indices(layer.shape)
    stripes = ((rows + columns) // max(scale // 4, 1) % 2).astype(np.float32)
    return (layer * (0.75 + 0.25 * stripes)).astype(np.float32)


def _blur(layer: Layer, radius: float) -> Layer:
    """Two passes of a box blur; edges continue."""
    size = max(round(radius), 1)
    width = 2 * size + 1
    for _ in range(4):  # rows and columns in turn
        sums = np.cumsum(np.pad(layer, ((0, 0), (size + 1, size)), mode="edge"), axis=1)
        layer = np.ascontiguousarray(((sums[:, width:] - sums[:, :-width]) / width).T)
    return layer.astype(np.float32)


def _colour(name: str) -> Layer:
    return np.array([int(COLOURS[name][at : at + 2], 16) for at in (1, 3, 5)], dtype=np.float32)


def _mix(first: Layer, second: Layer, share: Layer) -> Layer:
    mixed: Layer = first + (second - first) * share[..., None]
    return mixed

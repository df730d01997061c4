"""How units look: shapes and colours, shared by the films (Pillow) and the page (canvas).

A shape is drawn for a unit of radius 1 that faces east: +x is forward, +y its left. Every part is
`["poly", colour, [x, y, x, y, ...]]`, `["disc", colour, x, y, radius]` or `["line", colour, width, [x, y, ...]]`.
Colours are `body`, `shade` (the team's), `ink`, `metal`, `light`, `acid`.
"""

from __future__ import annotations

from typing import Any

Part = list[Any]

TEAMS = {
    "ally": {"name": "agents", "body": "#4cb2ff", "shade": "#1b6bb8"},
    "enemy": {"name": "enemies", "body": "#ff9d2e", "shade": "#b8560b"},
}
"""Blue and orange, which stay apart under every kind of colour blindness; agents also stand on a ring."""

COLOURS = {
    "ink": "#0b0e13", "metal": "#8d97a5", "light": "#f4f7fb", "acid": "#c8f04b",
    "void": "#11151b", "cliff": "#252c37", "low": "#3a4450", "high": "#5a6674", "rim": "#8795a6",
    "panel": "#171c24", "line": "#2f3947", "text": "#e8edf4", "muted": "#93a0b2",
    "health": "#5fd38a", "hurt": "#f2d34f", "shield": "#bfe6ff", "energy": "#c79bff", "bar": "#0b0e13",
    "shot": "#fff1a8", "melee": "#ffffff", "missile_terran": "#ffd27a", "missile_protoss": "#7fe3ff",
    "missile_zerg": "#d5f58a", "beam": "#ff6b57", "heal": "#8dffb6", "blast": "#c8f04b", "death": "#ffffff",
    "won": "#5fd38a", "lost": "#ff7a6b", "curve": "#ffd866",
}  # fmt: skip


def _both(part: Part) -> list[Part]:
    """A part and its mirror image."""
    kind, colour, *rest = part
    if kind == "disc":
        x, y, radius = rest
        return [part, [kind, colour, x, -y, radius]]
    points = rest[-1]
    mirrored = [value if at % 2 == 0 else -value for at, value in enumerate(points)]
    return [part, [kind, colour, *rest[:-1], mirrored]]


SHAPES: dict[str, list[Part]] = {
    "Marine": [
        ["line", "metal", 0.26, [0.1, -0.55, 1.4, -0.55]],
        *_both(["disc", "shade", -0.1, 0.68, 0.42]),
        ["disc", "body", 0, 0, 0.85],
        ["poly", "light", [0.2, -0.38, 0.68, -0.24, 0.68, 0.24, 0.2, 0.38]],
    ],
    "Marauder": [
        *_both(["poly", "metal", [-0.1, 0.55, 1.2, 0.5, 1.2, 0.92, -0.1, 1.1]]),
        ["poly", "shade", [-0.55, -0.95, 0.25, -0.95, 0.25, 0.95, -0.55, 0.95]],
        ["poly", "body", [
            0.75, -0.35, 0.75, 0.35, 0.35, 0.7, -0.45, 0.7, -0.85, 0.35, -0.85, -0.35, -0.45, -0.7, 0.35, -0.7,
        ]],
        ["poly", "light", [0.3, -0.3, 0.62, -0.2, 0.62, 0.2, 0.3, 0.3]],
    ],
    "Medivac": [
        *_both(["poly", "shade", [0.45, 0.35, 0.3, 1.05, -0.6, 1.05, -0.75, 0.35]]),
        ["poly", "body", [1.3, 0, 0.95, 0.42, -0.8, 0.5, -1.2, 0.25, -1.2, -0.25, -0.8, -0.5, 0.95, -0.42]],
        ["poly", "light", [-0.5, -0.12, 0.4, -0.12, 0.4, 0.12, -0.5, 0.12]],
        ["poly", "light", [-0.17, -0.42, 0.07, -0.42, 0.07, 0.42, -0.17, 0.42]],
    ],
    "Stalker": [
        *_both(["line", "shade", 0.22, [0.1, 0.2, 0.5, 0.85, 1.05, 0.8]]),
        *_both(["line", "shade", 0.22, [-0.1, 0.2, -0.45, 0.9, -1.05, 0.85]]),
        ["poly", "body", [1.05, 0, 0.15, 0.6, -0.8, 0, 0.15, -0.6]],
        ["disc", "light", 0.38, 0, 0.22],
    ],
    "Zealot": [
        *_both(["line", "light", 0.14, [0.1, 0.75, 1.2, 0.5]]),
        ["poly", "body", [0.4, 0.3, 0.15, 1.05, -0.5, 0.85, -0.7, 0, -0.5, -0.85, 0.15, -1.05, 0.4, -0.3]],
        ["disc", "shade", 0.15, 0, 0.42],
        ["poly", "light", [0.3, -0.22, 0.48, 0, 0.3, 0.22, 0.24, 0]],
    ],
    "Colossus": [
        *_both(["line", "shade", 0.14, [0.1, 0.3, 0.55, 0.75, 0.85, 1.1]]),
        *_both(["line", "shade", 0.14, [-0.1, 0.3, -0.55, 0.75, -0.85, 1.1]]),
        ["poly", "body", [
            0.5, 0, 0.38, 0.42, 0.05, 0.68, -0.3, 0.6, -0.5, 0.3, -0.5, -0.3, -0.3, -0.6, 0.05, -0.68, 0.38, -0.42,
        ]],
        ["disc", "shade", 0.05, 0, 0.3],
        *_both(["disc", "light", 0.34, 0.22, 0.1]),
    ],
    "Zergling": [
        *_both(["line", "shade", 0.22, [0.1, 0.3, 0.45, 0.8, 0.95, 0.5]]),
        ["poly", "body", [0.9, 0, 0.3, 0.5, -0.6, 0.36, -1.05, 0, -0.6, -0.36, 0.3, -0.5]],
        *_both(["disc", "light", 0.5, 0.17, 0.12]),
    ],
    "Baneling": [
        ["disc", "shade", 0.75, 0, 0.4],
        ["disc", "body", -0.05, 0, 1.0],
        *_both(["disc", "acid", -0.15, 0.42, 0.33]),
        ["disc", "acid", 0.4, 0, 0.24],
    ],
    "Hydralisk": [
        ["poly", "shade", [0.1, 0.3, -1.3, 0.12, -1.3, -0.12, 0.1, -0.3]],
        ["poly", "body", [1.15, 0, 0.3, 0.5, -0.35, 1.0, -0.3, 0.3, -0.6, 0, -0.3, -0.3, -0.35, -1.0, 0.3, -0.5]],
        ["poly", "light", [0.75, 0, 0.2, 0.16, -0.2, 0, 0.2, -0.16]],
    ],
    "SpineCrawler": [
        ["poly", "shade", [
            1.05, 0, 0.62, 0.36, 0.74, 0.74, 0.25, 0.67, 0, 1.05, -0.25, 0.67, -0.74, 0.74, -0.62, 0.36, -1.05, 0,
            -0.62, -0.36, -0.74, -0.74, -0.25, -0.67, 0, -1.05, 0.25, -0.67, 0.74, -0.74, 0.62, -0.36,
        ]],
        ["disc", "body", 0, 0, 0.6],
        ["line", "metal", 0.26, [-0.2, 0, 0.85, 0]],
        ["poly", "light", [0.75, 0.26, 1.4, 0, 0.75, -0.26]],
    ],
}  # fmt: skip

DISC: list[Part] = [["disc", "body", 0, 0, 1.0], ["poly", "light", [0.2, -0.4, 0.9, 0, 0.2, 0.4]]]
"""For types that have no shape of their own."""

SIZE = 1.15
"""Units are drawn this much larger than their bodies, which makes small ones readable."""

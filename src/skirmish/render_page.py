"""A replay as one HTML page that plays itself and needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import gzip
import html
import json
from importlib import resources
from string import Template
from typing import Any

from skirmish import render_shapes as shapes
from skirmish import render_terrain
from skirmish.render_scene import FASTER, Scene
from skirmish.replay import pack

GROUND_SCALE = 20
"""Pixels a cell of the ground's picture."""

_QUANTA = {
    "x": 1 / 128, "y": 1 / 128, "health": 1 / 4, "shield": 1 / 4, "energy": 1 / 4, "facing": 0.025, "alive": 1,
    "target": 1, "order_kind": 1, "order_target": 1, "order_x": 1 / 16, "order_y": 1 / 16,
}  # fmt: skip


def page(scene: Scene) -> str:
    """The page's text."""
    replay = scene.replay
    style = {name: colour for name, colour in shapes.COLOURS.items() if "_" not in name}
    style |= {team: look["body"] for team, look in shapes.TEAMS.items()}
    files = resources.files("skirmish")
    return Template(files.joinpath("player.html").read_text(encoding="utf-8")).substitute(
        TITLE=html.escape(f"{replay.map['name']}, episode {replay.episode}: {scene.headline()}"),
        STYLE=" ".join(f"--{name}: {colour};" for name, colour in style.items()),
        DATA=base64.b64encode(gzip.compress(json.dumps(content(scene)).encode(), mtime=0)).decode(),
        SCRIPT=files.joinpath("player.js").read_text(encoding="utf-8"),
    )


def content(scene: Scene) -> dict[str, Any]:
    """What the player is given: the scene in plain values, tables as `replay.pack` has them."""
    replay = scene.replay
    extent = replay.pathing.shape
    ground = render_terrain.png(render_terrain.paint(replay, (0, 0, *extent), GROUND_SCALE))
    plain = ("map", "units", "result", "step_mul", "start_step", "episode", "n_agents")
    return {
        **{key: getattr(replay, key) for key in plain},
        **{key: pack(getattr(replay, key), quantum).tolist() for key, quantum in _QUANTA.items()},
        "quanta": _QUANTA,
        "kinds": scene.kinds,
        "loops": replay.loops.tolist(),
        "reward": replay.reward.tolist(),
        "returns": scene.returns.tolist(),
        "events": scene.event_rows(),
        "heals": [list(row) for row in scene.heals],
        "box": list(scene.box),
        "extent": list(extent),
        "headline": scene.headline(),
        "summary": scene.summary(),
        "loops_per_second": FASTER,
        "teams": shapes.TEAMS,
        "colours": shapes.COLOURS,
        "shapes": shapes.SHAPES,
        "disc": shapes.DISC,
        "size": shapes.SIZE,
        "ground": "data:image/png;base64," + base64.b64encode(ground).decode(),
    }

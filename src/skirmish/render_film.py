"""Pictures of a replay, drawn with Pillow: one moment, or a film of them (gif, mp4)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skirmish import render_shapes as shapes
from skirmish import render_terrain
from skirmish.optional import require
from skirmish.render_scene import FASTER, Event, Moment, Scene

require("PIL", "render")

from PIL import Image, ImageDraw, ImageFont  # noqa: E402

Pen = ImageDraw.ImageDraw
FINE = 2
"""Everything is drawn this much larger and scaled down, which smooths the edges."""
GIF_FRAMES, MP4_FRAMES = 12.5, 30.0
"""Frames a second; a GIF counts in hundredths of a second."""
HOLD = 1.6
"""Seconds for which the result stands at the end."""
_HEAD, _FOOT, _LEAST_WIDTH = 40, 48, 420
_MELEE_ARC = 75
_ROOMY = 560
"""From this width on the result is written large."""


class Painter:
    """Draws moments of a scene as images `width` pixels wide; the height follows from the map, and both are even."""

    def __init__(self, scene: Scene, width: int = 640) -> None:
        self.scene = scene
        left, bottom, right, top = scene.box
        self.width = max(width, _LEAST_WIDTH) // 2 * 2
        self.scale = FINE * self.width / (right - left)
        self.field_height = round(self.scale * (top - bottom) / FINE / 2) * 2
        self.height = self.field_height + _HEAD + _FOOT
        ground = Image.fromarray(render_terrain.paint(scene.replay, scene.box, max(math.ceil(self.scale), 8)))
        size = (FINE * self.width, FINE * self.field_height)
        self._ground = ground.resize(size, Image.Resampling.LANCZOS)
        self._fonts = {size: ImageFont.load_default(FINE * size) for size in (10, 12, 15, 26)}

    def image(self, time: float, ended: bool = False) -> Image.Image:
        """The picture of a time; with `ended` it bears the result."""
        moment = self.scene.at(time)
        field = self._ground.copy()
        self._paint_field(ImageDraw.Draw(field, "RGBA"), moment)
        if ended:
            self._paint_result(ImageDraw.Draw(field, "RGBA"))
        whole = Image.new("RGB", (FINE * self.width, FINE * self.height), shapes.COLOURS["panel"])
        whole.paste(field, (0, FINE * _HEAD))
        pen = ImageDraw.Draw(whole, "RGBA")
        self._paint_head(pen, moment)
        self._paint_foot(pen, moment)
        return whole.reduce(FINE)

    # --- the field ----------------------------------------------------------------------------------------------------

    def _place(self, x: float, y: float) -> tuple[float, float]:
        return (x - self.scene.box[0]) * self.scale, (self.scene.box[3] - y) * self.scale

    def _middle(self, m: Moment, unit: int) -> tuple[float, float]:
        """Where a unit is drawn; flying ones hover above their place."""
        x, y = self._place(float(m.x[unit]), float(m.y[unit]))
        return x, y - 0.5 * self._radius(unit) * bool(self.scene.kinds[unit]["flying"])

    def _radius(self, unit: int) -> float:
        return float(self.scene.kinds[unit]["radius"]) * shapes.SIZE * self.scale

    def _team(self, unit: int) -> dict[str, str]:
        return shapes.TEAMS["ally" if unit < self.scene.replay.n_agents else "enemy"]

    def _paint_field(self, pen: Pen, m: Moment) -> None:
        kinds = self.scene.kinds
        living = np.flatnonzero(m.alive).tolist()
        for unit in np.flatnonzero(~m.alive).tolist():
            self._paint_grave(pen, m, unit)
        for unit in sorted(living, key=lambda u: (kinds[u]["radius"], -m.y[u])):
            if not kinds[unit]["flying"]:
                self._paint_unit(pen, m, unit)
        for event in self.scene.events:
            progress = event.progress(m.time)
            if progress is not None:
                self._paint_event(pen, m, event, progress)
        for frame, healer, patient in self.scene.heals:
            if frame == m.frame + 1:
                self._paint_heal(pen, m, healer, patient)
        for unit in living:
            if kinds[unit]["flying"]:
                self._paint_unit(pen, m, unit)
        for unit in living:
            self._paint_bars(pen, m, unit)

    def _paint_unit(self, pen: Pen, m: Moment, unit: int) -> None:
        x, y = self._middle(m, unit)
        r, flying = self._radius(unit), self.scene.kinds[unit]["flying"]
        ground = y + (1.25 if flying else 0.18) * r
        flat = 0.6 if flying else 1.0
        pen.ellipse((x - 0.95 * r, ground - flat * r, x + 1.2 * r, ground + flat * r), fill=(0, 0, 0, 90))
        if unit < self.scene.replay.n_agents and not flying:
            _ring(pen, x, y, 1.32 * r, (*_rgb(self._team(unit)["body"]), 140), max(2, r * 0.1))
        self._paint_shape(pen, unit, x, y, r * (1.1 if flying else 1), float(m.facing[unit]))
        replay, after = self.scene.replay, min(m.frame + 1, self.scene.replay.n_frames - 1)
        lost = sum(float(part[m.frame, unit] - part[after, unit]) for part in (replay.health, replay.shield))
        if lost > 1:
            _disc(pen, x, y, 1.05 * r, (255, 255, 255, 70))

    def _paint_shape(self, pen: Pen, unit: int, x: float, y: float, r: float, facing: float) -> None:
        cos, sin = r * math.cos(facing), r * math.sin(facing)
        ink, outline = shapes.COLOURS["ink"], max(0.1 * r, 1.6)

        def put(points: list[float]) -> list[tuple[float, float]]:
            pairs = zip(points[::2], points[1::2])
            return [(x + cos * px - sin * py, y - sin * px - cos * py) for px, py in pairs]

        for kind, name, *rest in shapes.SHAPES.get(self.scene.replay.units[unit]["type"], shapes.DISC):
            colour = self._team(unit).get(name) or shapes.COLOURS[name]
            if kind == "line":
                points = put(rest[1])
                _stroke(pen, points, rest[0] * r + 2 * outline, ink)
                _stroke(pen, points, rest[0] * r, colour)
            elif kind == "disc":
                (px, py), size = put(rest[:2])[0], rest[2] * r
                if name in ("body", "shade", "metal"):
                    _disc(pen, px, py, size + outline, ink)
                _disc(pen, px, py, size, colour)
            else:
                points = put(rest[0])
                if name in ("body", "shade", "metal"):
                    _stroke(pen, [*points, points[0]], 2 * outline, ink)
                pen.polygon(points, fill=colour)

    def _paint_bars(self, pen: Pen, m: Moment, unit: int) -> None:
        facts, kind = self.scene.replay.units[unit], self.scene.kinds[unit]
        health = float(m.health[unit]) / facts["health_max"]
        shield = float(m.shield[unit]) / facts["shield_max"] if facts["shield_max"] else -1.0
        many = len(self.scene.kinds) > 16
        if many and health > 0.999 and (shield < 0 or shield > 0.999) and not kind["energy_max"]:
            return
        x, y = self._middle(m, unit)
        r = self._radius(unit)
        half, high = min(max(0.9 * r, 11.0), 44.0), 5 if many else 6
        bars = [(shield, "shield")] if shield > 0 else []
        bars.append((health, "health" if health > 0.4 else "hurt"))
        if kind["energy_max"]:
            bars.append((float(m.energy[unit]) / kind["energy_max"], "energy"))
        top = y - r - 4 - len(bars) * (high + 2)
        for share, name in bars:
            pen.rectangle((x - half - 2, top - 2, x + half + 2, top + high + 1), fill=shapes.COLOURS["bar"])
            width = 2 * half * min(max(share, 0.0), 1.0)
            if width >= 1:
                pen.rectangle((x - half, top, x - half + width, top + high - 1), fill=shapes.COLOURS[name])
            top += high + 2

    def _paint_grave(self, pen: Pen, m: Moment, unit: int) -> None:
        x, y = self._place(float(m.x[unit]), float(m.y[unit]))
        r, colour = 0.5 * self._radius(unit), (*_rgb(self._team(unit)["body"]), 95)
        for end in (-1, 1):
            pen.line((x - r, y - end * r, x + r, y + end * r), fill=colour, width=max(2, round(0.3 * r)))

    def _paint_heal(self, pen: Pen, m: Moment, healer: int, patient: int) -> None:
        begin, end = self._middle(m, healer), self._middle(m, patient)
        green = _rgb(shapes.COLOURS["heal"])
        _stroke(pen, [begin, end], 0.34 * self.scale, (*green, 70))
        _stroke(pen, [begin, end], max(2, 0.09 * self.scale), (*green, 230))
        size, width = 0.22 * self.scale, max(2, round(0.12 * self.scale))
        pen.line((end[0] - size, end[1], end[0] + size, end[1]), fill=green, width=width)
        pen.line((end[0], end[1] - size, end[0], end[1] + size), fill=green, width=width)

    def _paint_event(self, pen: Pen, m: Moment, event: Event, p: float) -> None:
        begin, scale = self._middle(m, event.unit), self.scale
        fade = round(255 * (1 - p * p))
        if event.kind == "blast":
            radius = self.scene.kinds[event.unit].get("blast_radius", 2.0) * scale * min(1.0, 0.35 + 2.2 * p)
            acid = _rgb(shapes.COLOURS["blast"])
            _disc(pen, *begin, radius, (*acid, round(0.3 * fade)))
            _ring(pen, *begin, radius, (*acid, round(0.9 * fade)), 4)
            return
        if event.kind == "death":
            self._paint_death(pen, event.unit, begin, p)
            return
        end = self._middle(m, event.target)
        way = math.dist(begin, end) or 1.0
        ux, uy = (end[0] - begin[0]) / way, (end[1] - begin[1]) / way
        if event.kind == "shot":
            tip = min(1.4 * self._radius(event.unit), way)
            muzzle = begin[0] + ux * tip, begin[1] + uy * tip
            colour = (*_rgb(shapes.COLOURS["shot"]), fade)
            _stroke(pen, [muzzle, end], max(2, 0.07 * scale), colour)
            _disc(pen, *muzzle, 0.17 * scale, colour)
        elif event.kind == "melee":
            r, angle = 0.5 * scale, math.degrees(math.atan2(uy, ux)) + 30 * p
            x, y = end[0] - ux * (0.4 * self._radius(event.target) + 0.3 * scale), end[1] - uy * 0.3 * scale
            pen.arc(
                (x - r, y - r, x + r, y + r), angle - 50, angle - 50 + _MELEE_ARC, (255, 255, 255, round(0.9 * fade)),
                max(2, round(0.09 * scale)),
            )  # fmt: skip
        elif event.kind == "missile":
            self._paint_missile(pen, event.unit, begin, end, p)
        elif event.kind == "beam":
            self._paint_beam(pen, event.unit, begin, end, (ux, uy), p)

    def _paint_missile(
        self, pen: Pen, unit: int, begin: tuple[float, float], end: tuple[float, float], p: float
    ) -> None:
        colour = _rgb(shapes.COLOURS[f"missile_{self.scene.kinds[unit]['race']}"])

        def point(share: float) -> tuple[float, float]:
            return begin[0] + (end[0] - begin[0]) * share, begin[1] + (end[1] - begin[1]) * share

        if self.scene.replay.units[unit]["type"] == "SpineCrawler":  # its spine shoots out and back
            out = p / 0.7 if p < 0.7 else (1 - p) / 0.3
            _stroke(pen, [begin, point(out)], 0.16 * self.scale, (*colour, 230))
            return
        _stroke(pen, [point(max(p - 0.25, 0.0)), point(p)], 0.13 * self.scale, (*colour, 115))
        _disc(pen, *point(p), 0.17 * self.scale, colour)

    def _paint_beam(
        self, pen: Pen, unit: int, begin: tuple[float, float], end: tuple[float, float],
        way: tuple[float, float], p: float,
    ) -> None:  # fmt: skip
        """A Colossus sweeps a line across the way to its target, there and back."""
        ux, uy = way
        half, colour = self.scene.kinds[unit].get("beam_half", 1.25) * self.scale, _rgb(shapes.COLOURS["beam"])
        at = half * (4 * p - 1 if p < 0.5 else 3 - 4 * p)
        burnt = [(end[0] - uy * side * half, end[1] + ux * side * half) for side in (-1, 1)]
        _stroke(pen, burnt, 0.3 * self.scale, (*colour, 90))
        spot = end[0] - uy * at, end[1] + ux * at
        for eye in (-0.22 * self.scale, 0.22 * self.scale):
            _stroke(pen, [(begin[0] - uy * eye, begin[1] + ux * eye), spot], max(3, 0.09 * self.scale), (*colour, 240))
        _disc(pen, *spot, 0.16 * self.scale, shapes.COLOURS["shot"])

    def _paint_death(self, pen: Pen, unit: int, place: tuple[float, float], p: float) -> None:
        r, colour = self._radius(unit), _rgb(self._team(unit)["body"])
        fade = round(230 * (1 - p))
        _ring(pen, *place, r * (1 + 1.6 * p), (*colour, fade), max(2, 0.22 * r * (1 - p)))
        if p < 1 / 3:
            _disc(pen, *place, 1.2 * r, (255, 255, 255, round(180 * (1 - 3 * p))))
        for shard in range(6):
            angle, far = shard * math.pi / 3 + unit, r * (0.5 + 2 * p)
            x, y = place[0] + far * math.cos(angle), place[1] + far * math.sin(angle)
            _disc(pen, x, y, 0.18 * r * (1 - p), (*colour, fade))

    def _paint_result(self, pen: Pen) -> None:
        size = FINE * self.width, FINE * self.field_height
        large = self.width >= _ROOMY
        middle, height = size[0] / 2, (86 if large else 58) * FINE
        top = max((size[1] - height) * 0.05, 8)
        words = self.scene.summary()
        big, small = (self._fonts[26], self._fonts[12]) if large else (self._fonts[15], self._fonts[10])
        half = max(pen.textlength(words, small), pen.textlength(self.scene.headline(), big)) / 2 + 22 * FINE
        box = (middle - half, top, middle + half, top + height)
        pen.rounded_rectangle(box, 12 * FINE, fill=(11, 14, 19, 222), outline=shapes.COLOURS["line"], width=FINE)
        colour = shapes.COLOURS["won" if self.scene.replay.result["won"] else "lost"]
        pen.text((middle, top + 0.37 * height), self.scene.headline(), colour, big, anchor="mm")
        pen.text((middle, top + 0.73 * height), words, shapes.COLOURS["text"], small, anchor="mm")

    # --- above and below ----------------------------------------------------------------------------------------------

    def _paint_head(self, pen: Pen, m: Moment) -> None:
        replay, scene = self.scene.replay, self.scene
        width, middle = FINE * self.width, FINE * _HEAD / 2
        pen.text((14 * FINE, middle), str(replay.map["name"]), shapes.COLOURS["text"], self._fonts[15], anchor="lm")
        step = f"step {replay.start_step + scene.step(m.time)} / {replay.start_step + replay.n_steps}"
        pen.text((width - 14 * FINE, middle), step, shapes.COLOURS["muted"], self._fonts[12], anchor="rm")
        n, long, high = replay.n_agents, 0.16 * width, 5 * FINE
        counts = (int(m.alive[:n].sum()), int(m.alive[n:].sum()))
        for side, team in ((-1, "ally"), (1, "enemy")):
            colour, share = shapes.TEAMS[team]["body"], scene.strength(m.frame)[side > 0]
            near, far = width / 2 + side * 12 * FINE, width / 2 + side * (12 * FINE + long)
            full = near + side * long * share
            for end, fill in ((far, shapes.COLOURS["bar"]), (full, colour)):
                if abs(end - near) >= 1:
                    pen.rectangle((min(near, end), middle - high, max(near, end), middle + high), fill=fill)
            place = (far + side * 8 * FINE, middle)
            pen.text(place, str(counts[side > 0]), colour, self._fonts[15], anchor="rm" if side < 0 else "lm")
        pen.text((width / 2, middle), "v", shapes.COLOURS["muted"], self._fonts[12], anchor="mm")

    def _paint_foot(self, pen: Pen, m: Moment) -> None:
        scene, replay = self.scene, self.scene.replay
        left, right = 14 * FINE, FINE * self.width - 14 * FINE
        bottom = FINE * (_HEAD + self.field_height + _FOOT - 14)
        top = FINE * (_HEAD + self.field_height + 9)
        end = max(scene.duration, 1.0)

        def across(time: float) -> float:
            return left + (right - left) * time / end

        values = scene.returns
        low, high = min(0.0, float(values.min())), max(float(values.max()), 1e-9)

        def up(value: float) -> float:
            return bottom - (bottom - top) * (value - low) / (high - low)

        pen.rectangle((left, bottom, right, bottom + FINE), fill=shapes.COLOURS["line"])
        points = [(across(0), up(float(values[0])))]
        for step, value in enumerate(values[1:], 1):
            x = across(step * replay.step_mul)
            points += [(x, points[-1][1]), (x, up(float(value)))]
        pen.line(points, fill=(*_rgb(shapes.COLOURS["curve"]), 110), width=FINE)
        done = [point for point in points if point[0] <= across(m.time) + 0.5]
        done.append((across(m.time), done[-1][1]))
        pen.line(done, fill=shapes.COLOURS["curve"], width=FINE + 1)
        for event in scene.events:
            if event.kind in ("death", "blast"):
                x, high_up = across(event.loop), event.unit < replay.n_agents
                y = bottom - 4 * FINE if high_up else bottom + 3 * FINE
                pen.rectangle((x - 1, y, x + 2, y + 4 * FINE), fill=self._team(event.unit)["body"])
        x = across(m.time)
        pen.rectangle((x - 1, top - 4 * FINE, x + 1, bottom + 8 * FINE), fill=shapes.COLOURS["text"])
        words = f"return {values[scene.step(m.time)]:.2f}"
        pen.text((left, top - 5 * FINE), words, shapes.COLOURS["muted"], self._fonts[10], anchor="lt")


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _disc(pen: Pen, x: float, y: float, r: float, fill: Any) -> None:
    pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)


def _ring(pen: Pen, x: float, y: float, r: float, colour: Any, width: float) -> None:
    pen.ellipse((x - r, y - r, x + r, y + r), outline=colour, width=round(width))


def _stroke(pen: Pen, points: list[tuple[float, float]], width: float, colour: Any) -> None:
    """A line with round ends where it is opaque."""
    pen.line(points, fill=colour, width=max(round(width), 1), joint="curve")
    if isinstance(colour, str):
        for x, y in (points[0], points[-1]):
            _disc(pen, x, y, width / 2, colour)


def images(painter: Painter, frames_per_second: float, speed: float) -> Iterator[Image.Image]:
    """The pictures of a film; speed 1 is the game's usual one. The result stands for `HOLD` seconds at the end."""
    scene = painter.scene
    step = FASTER * speed / frames_per_second
    for k in range(math.ceil(scene.duration / step)):
        yield painter.image(k * step)
    last = painter.image(scene.duration, ended=True)
    for _ in range(math.ceil(HOLD * frames_per_second)):
        yield last


def write_gif(scene: Scene, path: Path, width: int = 560, speed: float = 1.0) -> None:
    """Write an animated GIF that repeats for ever."""
    painter = Painter(scene, width)
    palette = _palette(painter)
    frames = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images(painter, GIF_FRAMES, speed)]
    options: dict[str, Any] = {"duration": round(1000 / GIF_FRAMES), "loop": 0, "optimize": True, "disposal": 1}
    frames[0].save(path, format="GIF", save_all=True, append_images=frames[1:], **options)


def _palette(painter: Painter) -> Image.Image:
    """128 colours that fit the film: those of some of its pictures together."""
    duration = painter.scene.duration
    samples = [painter.image(duration * share, ended=share == 1) for share in (0, 0.3, 0.45, 0.6, 0.8, 1)]
    sheet = Image.new("RGB", (painter.width, painter.height * len(samples)))
    for k, sample in enumerate(samples):
        sheet.paste(sample, (0, painter.height * k))
    return sheet.quantize(128, method=Image.Quantize.MEDIANCUT)


def write_mp4(scene: Scene, path: Path, width: int = 800, speed: float = 1.0) -> None:
    """Write an MP4 film (H.264); ImportError, with the line that installs it, if imageio-ffmpeg is missing."""
    require("imageio_ffmpeg", "render")
    import imageio_ffmpeg

    painter = Painter(scene, width)
    writer = imageio_ffmpeg.write_frames(
        str(path), (painter.width, painter.height), fps=MP4_FRAMES, codec="libx264", quality=7, macro_block_size=2,
        ffmpeg_log_level="error",
    )  # fmt: skip
    writer.send(None)
    try:
        for image in images(painter, MP4_FRAMES, speed):
            pixels: NDArray[np.uint8] = np.asarray(image)
            writer.send(np.ascontiguousarray(pixels))
    finally:
        writer.close()


def write_png(scene: Scene, path: Path, width: int = 960, time: float | None = None) -> None:
    """Write one picture: of a time in game loops, or of the end."""
    painter = Painter(scene, width)
    painter.image(scene.duration if time is None else time, ended=time is None).save(path, format="PNG")

"""Replays as something to look at.

    python -m skirmish.render 3m_0000.npz --to html      # a page that plays it: pause, scrub, speed; needs no network
    python -m skirmish.render 3m_0000.npz --to gif       # or mp4, png

Pages need nothing but this library, pictures and GIFs Pillow, MP4 films imageio-ffmpeg too.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from skirmish.optional import require
from skirmish.options import suggest
from skirmish.render_page import page
from skirmish.render_scene import Scene
from skirmish.replay import Replay, ReplayError, load

FORMATS = ("html", "gif", "mp4", "png")
_NEEDS = {"html": (), "gif": ("PIL",), "mp4": ("PIL", "imageio_ffmpeg"), "png": ("PIL",)}
WIDTHS = (420, 3840)
SPEEDS = (0.05, 100.0)


class RenderError(ValueError):
    """A format, width, speed or step that cannot be; the message says what can."""


def check_format(to: str) -> None:
    """RenderError for a format that does not exist; ImportError, with the line that installs it, for what it lacks."""
    if to not in FORMATS:
        raise RenderError(f'There is no format "{to}".{suggest(to, FORMATS)} Known: {", ".join(FORMATS)}.')
    for module in _NEEDS[to]:
        require(module, "render")


def render(
    replay: Replay | str | Path,
    to: str,
    out: str | Path,
    width: int | None = None,
    speed: float = 1.0,
    step: float | None = None,
) -> Path:
    """Show a replay (or the file of one) in the file `out`, which is written whole or not at all; returns its path.

    to: one of FORMATS. width: pixels of films and pictures. speed: of films, 1 is the game's usual speed, 22.4 game
    loops a second. step: the moment of a picture, None is the end with the result.
    Raises ReplayError, RenderError, or ImportError if a package is missing.
    """
    check_format(to)
    if width is not None and not WIDTHS[0] <= width <= WIDTHS[1]:
        raise RenderError(f"The width must be at least {WIDTHS[0]} and at most {WIDTHS[1]} pixels, not {width}.")
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise RenderError(f"The speed must be at least {SPEEDS[0]} and at most {SPEEDS[1]:g}, not {speed}.")
    scene = Scene(replay if isinstance(replay, Replay) else load(replay))
    if step is not None and not 0 <= step <= scene.replay.n_steps:
        raise RenderError(f"The replay has the steps 0 to {scene.replay.n_steps}, not {step:g}.")
    target = Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.tmp.{to}")  # ffmpeg looks at the ending
    try:
        _writer(to, width, speed, step)(scene, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _writer(to: str, width: int | None, speed: float, step: float | None) -> Callable[[Scene, Path], object]:
    if to == "html":
        return lambda scene, path: path.write_text(page(scene), encoding="utf-8")
    from skirmish import render_film as film  # needs Pillow

    size: dict[str, Any] = {} if width is None else {"width": width}
    if to == "png":
        return lambda scene, path: film.write_png(
            scene, path, **size, time=None if step is None else step * scene.replay.step_mul
        )
    write = film.write_gif if to == "gif" else film.write_mp4
    return lambda scene, path: write(scene, path, **size, speed=speed)


def main(arguments: Sequence[str]) -> int:
    """The command line; returns the exit code: 0 done, 2 a mistake in the request, told in one sentence."""
    parser = argparse.ArgumentParser(prog="python -m skirmish.render", description="Show replays.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="replays (.npz)")
    parser.add_argument("--to", default="html", metavar="FORMAT", help=f"{', '.join(FORMATS)} (html unless given)")
    parser.add_argument("--out", type=Path, help="file to write; beside the replay unless given")
    parser.add_argument("--width", type=int, help="pixels, of films and pictures")
    parser.add_argument("--speed", type=float, default=1.0, help="of films; 1 is the game's usual speed")
    parser.add_argument("--step", type=float, help="moment of a picture; the end unless given")
    given = parser.parse_intermixed_args(arguments)
    try:
        if given.out is not None and len(given.files) > 1:
            raise RenderError(f"--out names one file, but there are {len(given.files)} replays.")
        for file in given.files:
            out = given.out or file.with_suffix(f".{given.to}")
            print(render(file, given.to, out, given.width, given.speed, given.step))
    except (ReplayError, RenderError, ImportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

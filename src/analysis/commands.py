"""The commands that would train the runs of a study again, from their configurations and today's defaults."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from analysis.study import Study
from analysis.variants import BOOKKEEPING, SHOWN, as_text, flat
from configuration import compose, overlay_names
from utils.errors import UserError

MOST = 40  # commands are written out for so many groups of runs at most


def training_commands(study: Study) -> list[str]:
    """Return a shell loop over the seeds for every algorithm and map; [] where there are too many of them.

    Runs of one group that differ in more than the seed get a loop each. The algorithm's file is the one whose values
    are nearest to the run's; a run of an algorithm without a file (a plug-in's) has no command.
    """
    configs = {row.run_id: (str(row.algorithm), row.config) for row in study.frame.itertuples()}
    loops: dict[str, list[int]] = {}
    if len(study.groups) > MOST:
        return []
    for map_name in study.maps:
        for algorithm in study.algorithms:
            for run in study.group(algorithm, map_name):
                command = _command(*configs[run.run_id], map_name)
                if command:
                    loops.setdefault(command, []).append(run.seed)
    return [_loop(command, seeds) for command, seeds in loops.items()]


def without_password(argument: str) -> str:
    """Return an argument of a command line without the credentials of an address."""
    if "://" not in argument:
        return argument
    scheme, _, rest = argument.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _loop(command: str, seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"{command} seed={seeds[0]}"
    return f"for seed in {' '.join(map(str, seeds))}; do {command} seed=$seed; done"


def _command(algorithm: str, config: Mapping[str, Any], map_name: str) -> str | None:
    environment = str(config.get("env") or "sc2")
    own = {key: value for key, value in flat(config).items() if key not in BOOKKEEPING - SHOWN}
    best: tuple[int, str, list[str]] | None = None
    for overlay, name in _overlays(environment):
        if name == algorithm:
            changes = _changes(own, _defaults(overlay, environment))
            if best is None or (len(changes), overlay != algorithm) < (best[0], best[1] != algorithm):
                best = len(changes), overlay, changes
    if best is None:
        return None
    _, overlay, changes = best
    key = "key" if "key" in dict(config.get("env_args") or {}) else "map_name"
    words = ["python3", "src/main.py", f"--config={overlay}", f"--env-config={environment}", "with"]
    return shlex.join([*words, f"env_args.{key}={map_name}", *changes])


def _changes(own: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """Return the settings that differ from the defaults, keys the defaults do not have left out."""
    changed = [key for key in own if key in defaults and as_text(own[key]) != as_text(defaults[key])]
    return [f"{key}={as_text(own[key])}" for key in changed]


@lru_cache
def _overlays(environment: str) -> tuple[tuple[str, str], ...]:
    """Return (file, algorithm it configures) of every file in config/algs that goes with the environment."""
    found = []
    for overlay in overlay_names("algs"):
        try:
            found.append((overlay, str(compose(overlay, environment)["name"])))
        except UserError:
            continue
    return tuple(found)


@lru_cache
def _defaults(overlay: str, environment: str) -> dict[str, Any]:
    return flat(compose(overlay, environment))

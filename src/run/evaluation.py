"""Evaluation of saved models: `evaluate=True checkpoint_path=...` plays episodes, writes a row for each, sums up."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from run import replays
from run.assembly import Parts
from utils.errors import UserError

COLUMNS = ("episode", "return", "length", "battle_won", "dead_allies", "dead_enemies", "timeout")


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Return a proportion with its Wilson score interval (Wilson 1927), right also near 0 and 1."""
    from scipy.stats import norm

    z = float(norm.ppf(0.5 + confidence / 2))
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def student(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return a mean with its t interval; of a single value the interval is unbounded."""
    from scipy.stats import t

    n = len(values)
    mean = sum(values) / n
    if n < 2:
        return Interval(mean, -math.inf, math.inf)
    error = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1) / n)
    half = float(t.ppf(0.5 + confidence / 2, n - 1)) * error
    return Interval(mean, mean - half, mean + half)


def find_models(checkpoint_path: str, load_step: int) -> tuple[Path, int]:
    """Return the folder of models to load and its step.

    `checkpoint_path` holds folders named by step; 0 takes the latest, else the one nearest to `load_step`. A folder
    that holds the models itself is taken as it is.
    """
    base = Path(checkpoint_path)
    if not base.is_dir():
        raise UserError(f'checkpoint_path="{checkpoint_path}" is not a folder.')
    steps = sorted(int(path.name) for path in base.iterdir() if path.is_dir() and path.name.isdigit())
    if steps:
        step = steps[-1] if load_step == 0 else min(steps, key=lambda candidate: abs(candidate - load_step))
        return base / str(step), step
    if any(base.glob("*.th")):
        return base, int(base.name) if base.name.isdigit() else 0
    raise UserError(f'checkpoint_path="{checkpoint_path}" holds no models (folders named by step, or *.th files).')


def load_models(parts: Parts, args: SimpleNamespace) -> Path:
    """Load the models that `checkpoint_path` and `load_step` name; the runner's step count becomes theirs."""
    folder, step = find_models(args.checkpoint_path, args.load_step)
    try:
        parts.learner.load_models(str(folder))
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"The models in {folder} do not fit this configuration: {reason}") from None
    parts.runner.t_env = step
    return folder


def evaluate(parts: Parts, args: SimpleNamespace, path: Path) -> dict[str, Any]:
    """Play `test_nepisode` episodes without learning, write them to the CSV file `path`, return the summary."""
    rows: list[dict[str, Any]] = []
    recorded = getattr(args, "save_replay", False) and replays.begin(parts.runner, args, path.parent / "replays")
    while len(rows) < args.test_nepisode:
        with torch.no_grad():
            parts.runner.run(test_mode=True)
        played = getattr(parts.runner, "last_episodes", None)
        if not played:
            raise UserError(f'The runner "{type(parts.runner).__name__}" does not report single episodes; use another.')
        rows.extend(played)
    del rows[args.test_nepisode :]
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", restval="")
        writer.writeheader()
        for number, row in enumerate(rows):
            counts = {key: int(value) for key, value in row.items() if key in COLUMNS[2:]}
            writer.writerow({**counts, "episode": number, "return": float(row["return"])})
    returns = student([float(row["return"]) for row in rows])
    summary: dict[str, Any] = {"episodes": len(rows), "csv": str(path), "return": vars(returns)}
    if all("battle_won" in row for row in rows):
        summary["win_rate"] = vars(wilson(sum(bool(row["battle_won"]) for row in rows), len(rows)))
    if getattr(args, "save_replay", False) and not recorded:
        replays.ask_environment(parts.runner)
    return summary

"""One recorded run, wherever it was kept: what the index stores and the reader turns into rows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from run.identity import configuration_hash

# One metric: steps int64 [n] and values float64 [n]
Series = tuple[np.ndarray, np.ndarray]


@dataclass
class RunRecord:
    """A run as plain data.

    `key` finds it in its source (a relative path, a database id), `stamp` changes whenever its records do, `fields`
    are its row of the frame, `problems` one sentence for each thing that could not be read.
    """

    key: str
    stamp: str
    fields: dict[str, Any]
    config: dict[str, Any]
    series: dict[str, Series] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def describe(
    config: Mapping[str, Any], run: Mapping[str, Any], summary: Mapping[str, Any], series: Mapping[str, Series]
) -> dict[str, Any]:
    """Return the fields of a run from its configuration, sacred's entry, its summary (may be empty) and its metrics.

    Costs come from the summary, else from the last values logged, so that runs which were killed have them too.
    """
    env_args = dict(config.get("env_args") or {})
    engine = dict(config.get("engine_info") or {})
    meta = dict(run.get("meta") or {})

    def cost(name: str) -> float | None:
        if isinstance(summary.get(name), int | float):
            return float(summary[name])
        return float(series[name][1][-1]) if name in series and len(series[name][1]) else None

    return {
        "algorithm": str(config.get("name", "")),
        "map": str(env_args.get("map_name") or env_args.get("key") or config.get("env", "")),
        "engine": str(engine.get("engine") or config.get("env", "")),
        "engine_version": engine.get("engine_version"),
        "map_checksum": engine.get("map_checksum"),
        "seed": config.get("seed"),
        "status": str(run.get("status") or "UNKNOWN"),
        "t_max": config.get("t_max"),
        "t_env": max((int(steps[-1]) for steps, _ in series.values() if len(steps)), default=None),
        "started": timestamp(run.get("start_time")),
        "finished": timestamp(run.get("stop_time")),
        "heartbeat": timestamp(run.get("heartbeat")),
        "wall_s": cost("wall_seconds"),
        "cpu_s": cost("cpu_seconds"),
        "peak_memory_mib": cost("peak_memory_mib"),
        "gpu_memory_mib": cost("gpu_memory_mib"),
        "host": (run.get("host") or {}).get("hostname"),
        "test_nepisode": config.get("test_nepisode"),
        "test_greedy": config.get("test_greedy"),
        "experiment": config.get("experiment") or None,
        "label": config.get("label"),
        "commit": _commit(run),
        "evaluate": bool(config.get("evaluate")),
        "token": meta.get("token") or _last_part(summary.get("models")),
        "resumed_from": _last_part(str(config.get("resume") or "").removesuffix("checkpoint.pt").rstrip("/")),
        "identity": configuration_hash(config),
    }


def make_series(content: Mapping[str, Any]) -> tuple[Series, str]:
    """Return one metric of `{"steps": [...], "values": [...]}`, and a sentence where it is damaged ("" if it is whole).

    A value that is no number becomes NaN; lists of different length are cut to the shorter one.
    """
    steps, values = content.get("steps"), content.get("values")
    if not isinstance(steps, Sequence) or not isinstance(values, Sequence):
        return (np.empty(0, np.int64), np.empty(0)), "it has no steps or no values"
    try:
        made = np.asarray(steps, np.int64), np.asarray(values, np.float64)
        trouble = ""
    except (TypeError, ValueError, OverflowError):
        numbers = [(_float(step), _float(value)) for step, value in zip(steps, values)]
        kept = [(step, value) for step, value in numbers if math.isfinite(step)]
        made = np.array([step for step, _ in kept], np.int64), np.array([value for _, value in kept], np.float64)
        trouble = "some of its values are no numbers"
    n = min(len(made[0]), len(made[1]))
    if n < max(len(made[0]), len(made[1])):
        trouble = f"it has {len(made[0])} steps but {len(made[1])} values"
    return (made[0][:n], made[1][:n]), trouble


def timestamp(value: Any) -> str | None:
    """Return a time (UTC) as ISO text, from sacred's text or a database's datetime; None where it is neither."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat()
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).isoformat()
        except ValueError:
            return None
    return None


def to_json(content: Any) -> str:
    """Return JSON text, whatever odd values another program put into a configuration."""
    return json.dumps(content, default=str, separators=(",", ":"))


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _last_part(path: Any) -> str | None:
    """Return the last part of a path, whatever machine wrote it."""
    return str(path).replace("\\", "/").rpartition("/")[2] or None if path else None


def _commit(run: Mapping[str, Any]) -> str | None:
    """Return the git commit a run was started from, with a plus sign where files had been changed."""
    repositories = (run.get("experiment") or {}).get("repositories") or []
    if not repositories or not isinstance(repositories[0], Mapping) or not repositories[0].get("commit"):
        return None
    return str(repositories[0]["commit"])[:12] + ("+" if repositories[0].get("dirty") else "")

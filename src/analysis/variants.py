"""Configurations compared: which keys tell variants of an algorithm apart, and which differ between runs."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from run.identity import FREE_KEYS
from utils.errors import UserError, nearest

# Keys that say where, when and for how long a run went on, not what it was.
BOOKKEEPING = FREE_KEYS | {
    *("plugins", "engine_info", "buffer_cpu_only", "runner_log_interval", "learner_log_interval", "name"),
    *("env_args.seed", "env_args.map_name", "env_args.replay_dir", "env_args.replay_prefix"),
}
SHOWN = frozenset({"t_max", "max_episodes", "max_minutes", "stop_win_rate", "stop_evaluations"})  # though a budget


def labels(frame: pd.DataFrame, group_by: Sequence[str] = ()) -> list[str]:
    """Return each run's algorithm with the values of the keys that tell variants apart: `group_by`, else what a sweep
    varied.
    """
    configs = [flat(config) for config in frame["config"]]
    known = set().union(*configs) if group_by else set()
    for key in group_by:
        if key not in known:
            raise UserError(f'--group-by: no run has the configuration key "{key}".{nearest(key, known)}')
    found = []
    variants = _variant_keys(frame, configs)
    for algorithm, map_name, config in zip(frame["algorithm"], frame["map"], configs, strict=True):
        keys = group_by or variants.get((algorithm, map_name), ())
        found.append(" ".join([algorithm, *(f"{key}={as_text(config.get(key))}" for key in keys)]))
    return found


def differing_keys(frame: pd.DataFrame) -> dict[str, dict[str, list[str]]]:
    """Return {key: {"algorithm on map": its values as text}} for every key that is not the same in all runs."""
    texts: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    rows = [f"{algorithm} on {m}" for algorithm, m in zip(frame["label"], frame["map"], strict=True)]
    for row, config in zip(rows, frame["config"], strict=True):
        for key, value in flat(config).items():
            if key not in BOOKKEEPING - SHOWN:
                texts[key][row].add(as_text(value))
    everyone = set(rows)
    return {
        key: {row: sorted(values, key=natural) for row, values in by_row.items()}
        for key, by_row in sorted(texts.items())
        if set(by_row) != everyone or len(set().union(*by_row.values())) > 1
    }


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a configuration with nested keys joined by dots."""
    items: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            items |= flat(value, f"{prefix}{key}.")
        else:
            items[f"{prefix}{key}"] = value
    return items


def natural(name: str) -> list[Any]:
    """Sort key under which 3m comes before 10m."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def _variant_keys(frame: pd.DataFrame, configs: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[str]]:
    """Return {(algorithm, map): keys} where runs of the same seed differ in their configuration: a sweep."""
    twins: dict[tuple[str, str, Any], list[Mapping[str, Any]]] = defaultdict(list)
    for row in zip(frame["algorithm"], frame["map"], frame["seed"], configs, strict=True):
        twins[row[:3]].append(row[3])
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for (algorithm, map_name, _), group in twins.items():
        for other in group[1:]:
            keys = (group[0].keys() | other.keys()) - BOOKKEEPING
            different = {key for key in keys if as_text(group[0].get(key)) != as_text(other.get(key))}
            if different:
                found[algorithm, map_name] |= different
    return {group: sorted(keys) for group, keys in found.items()}


def as_text(value: Any) -> str:
    """Return a value of a configuration as text."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)

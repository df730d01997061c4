"""What may be compared with what: one engine, one map (by checksum), one protocol of evaluation, each seed once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from utils.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

WORDS = {
    "engine": "engines",
    "engine_version": "versions of the engine",
    "difficulty": "difficulties of the enemy",
    "profile": "profiles of unit data",
    "build": "builds of unit data",
    "test_nepisode": "numbers of test episodes",
    "test_greedy": "ways of testing (greedy or sampled)",
    "map_checksum": "versions of a map",
}
NAMED = 3
"""So many runs are named on either side of a refusal."""


class MixedProtocolsError(UserError):
    """Runs that must not be compared; the message names the field, its values and the runs."""


def protocol_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a run (a row of the runs frame) that all runs of a comparison must share; None: not recorded.

    Taken from the row's own columns, else from its `config` and the config's `env_args`.
    """
    config = run.get("config")
    config = config if isinstance(config, Mapping) else {}
    env_args = config.get("env_args")
    sources: list[Mapping[str, Any]] = [run, config, env_args if isinstance(env_args, Mapping) else {}]
    return {key: next((s[key] for s in sources if key in s and _known(s[key])), None) for key in WORDS}


def problem(runs: pd.DataFrame) -> str | None:
    """A sentence saying why these runs must not be compared, or None where they may.

    `runs` has run_id, algorithm, map, seed and the fields of `protocol_of`. The map's checksum must agree within each
    map, everything else over all runs. A field that a run does not tell counts as a value of its own.
    """
    rows: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in runs.to_dict("records")]
    protocols = [protocol_of(row) for row in rows]
    for key, words in WORDS.items():
        for members in _groups(rows, by_map=key == "map_checksum"):
            by_value: dict[str, list[str]] = {}
            for index in members:
                value = _text(protocols[index][key])
                by_value.setdefault(value, []).append(str(rows[index]["run_id"]))
            if len(by_value) > 1:
                on_map = f" {rows[members[0]].get('map')}" if key == "map_checksum" else ""
                told = "; ".join(f"{key}={value} in {_names(names)}" for value, names in by_value.items())
                return (
                    f"These runs differ in their {words}{on_map} and must not be compared: {told}."
                    f" Keep one with a filter such as {key}={next(iter(by_value))}."
                )
    return None


def check(runs: pd.DataFrame) -> None:
    """Raise MixedProtocolsError unless the runs may be compared (see `problem`)."""
    sentence = problem(runs)
    if sentence:
        raise MixedProtocolsError(sentence)


def partition(runs: pd.DataFrame) -> list[pd.DataFrame]:
    """Parts of the runs that may be compared among themselves, the largest first; order within is kept.

    Parts differ in a field of the protocol, or, on a map, in its checksum (then the other maps' runs stay with the
    checksum that most runs of that map have).
    """
    rows: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in runs.to_dict("records")]
    parts: dict[tuple[str, ...], list[int]] = {}
    counts: dict[str, dict[str, int]] = {}
    protocols = [protocol_of(row) for row in rows]
    for row, protocol in zip(rows, protocols, strict=True):
        of_map = counts.setdefault(str(row.get("map")), {})
        checksum = _text(protocol["map_checksum"])
        of_map[checksum] = of_map.get(checksum, 0) + 1
    for index, (row, protocol) in enumerate(zip(rows, protocols, strict=True)):
        of_map = counts[str(row.get("map"))]
        usual = max(of_map, key=lambda checksum: of_map[checksum])
        checksum = _text(protocol["map_checksum"])
        odd = "" if checksum == usual else f"{row.get('map')}:{checksum}"
        shared = tuple(_text(protocol[key]) for key in WORDS if key != "map_checksum")
        parts.setdefault((*shared, odd), []).append(index)
    return [runs.iloc[indices] for indices in sorted(parts.values(), key=len, reverse=True)]


def without_duplicates(
    runs: pd.DataFrame, by: Sequence[str] = ("algorithm", "map", "seed")
) -> tuple[pd.DataFrame, list[str]]:
    """Keep one run per algorithm, map and seed, and say in a sentence each what was left out and why.

    Runs of the same seed are no independent evidence. The completed one is kept, of several the one started last.
    `by` may name further columns (a swept key), so that runs that differ in them are told apart.
    """
    if runs.empty:
        return runs, []
    order = runs.assign(
        _completed=(runs["status"] == "COMPLETED") if "status" in runs else True,
        _started=runs["started"].astype(str) if "started" in runs else "",
    ).sort_values(["_completed", "_started"], kind="stable")
    kept: list[Any] = []
    sentences = []
    for key, group in order.groupby(list(by), sort=False, dropna=False):
        kept.append(group.index[-1])
        if len(group) > 1:
            left = [str(run) for run in group["run_id"].iloc[:-1]]
            what = ", ".join(f"{name} {value}" for name, value in zip(by, key, strict=True))
            differing = _differing(group)
            hint = f" Their configs differ in {differing}: group by it to keep them apart." if differing else ""
            sentences.append(
                f"{len(group)} runs have the same {what}; only {group['run_id'].iloc[-1]} is counted, not"
                f" {_names(left)}.{hint}"
            )
    return runs.loc[runs.index.isin(kept)], sentences


def _groups(rows: Sequence[Mapping[str, Any]], by_map: bool) -> list[list[int]]:
    if not by_map:
        return [list(range(len(rows)))]
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(str(row.get("map")), []).append(index)
    return list(groups.values())


def _known(value: Any) -> bool:
    return value is not None and value == value and value != ""  # NaN is not itself


def _text(value: Any) -> str:
    return "unknown" if value is None else str(value)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMED])
    return f"{shown} and {len(names) - NAMED} more" if len(names) > NAMED else shown


def _differing(group: pd.DataFrame) -> str:
    """Config keys in which runs of a group differ, leaving out what every run has of its own."""
    if "config" not in group:
        return ""
    configs = [config for config in group["config"] if isinstance(config, Mapping)]
    keys = {key for config in configs for key in config}
    own = {"unique_token", "experiment_run", "resume", "resumed_from", "label", "experiment"}
    found = sorted(
        str(key)
        for key in keys - own
        if len({json.dumps(config.get(key), sort_keys=True, default=str) for config in configs}) > 1
    )
    return ", ".join(found[:NAMED])

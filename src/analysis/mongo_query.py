"""Conditions as MongoDB queries: what `query.py` asks a database, and shows with --show-query."""

from __future__ import annotations

import pprint
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from analysis.filters import TIMES, Condition

# Column of the frame -> fields of sacred's document; where there are several, the first that is set counts
COLUMN_FIELDS: dict[str, tuple[str, ...]] = {
    "algorithm": ("config.name",),
    "map": ("config.env_args.map_name", "config.env_args.key", "config.env"),
    "engine": ("config.engine_info.engine", "config.env"),
    "engine_version": ("config.engine_info.engine_version",),
    "map_checksum": ("config.engine_info.map_checksum",),
    "started": ("start_time",),
    "finished": ("stop_time",),
    "host": ("host.hostname",),
    "status": ("status",),
    **{
        name: (f"config.{name}",)
        for name in ("seed", "t_max", "test_nepisode", "test_greedy", "experiment", "label", "evaluate")
    },
}
INDEXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "runs": (
        ("meta.token",),
        ("config.name", "config.env_args.map_name", "config.seed"),
        ("config.experiment",),
        ("status",),
        ("start_time",),
    ),
    "metrics": (("run_id", "name"), ("name",)),
}
_SIGNS = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
_NUMBERS = {"$filter": {"input": "$values", "cond": {"$gte": ["$$this", float("-inf")]}}}  # NaN sorts below all
_REDUCED: dict[str, Any] = {"last": {"$last": "$values"}, "max": {"$max": "$values"}, "min": {"$min": _NUMBERS}}


@dataclass
class MongoQuery:
    """A query in two steps: `pipelines` on `metrics` give run ids, `runs` is the filter that all must meet besides."""

    runs: dict[str, Any] = field(default_factory=dict)
    pipelines: list[list[dict[str, Any]]] = field(default_factory=list)

    def text(self) -> str:
        """Return it as lines of Python for pymongo, `db` being the database."""
        parts, lines = [self.runs] if self.runs else [], []
        for number, pipeline in enumerate(self.pipelines, 1):
            shown = pprint.pformat(pipeline, width=110, sort_dicts=False)
            lines.append(f'ids_{number} = [row["run_id"] for row in db.metrics.aggregate({shown})]')
        shown = pprint.pformat(_all_of(parts), width=110, sort_dicts=False)
        ids = "".join(f', {{"_id": {{"$in": ids_{number + 1}}}}}' for number in range(len(self.pipelines)))
        lines.append(f'db.runs.find({{"$and": [{shown}{ids}]}})' if ids else f"db.runs.find({shown})")
        return "\n".join(lines)

    def filter(self, database: Any) -> dict[str, Any]:
        """Run the first step; return the filter of the second."""
        parts = [self.runs] if self.runs else []
        for pipeline in self.pipelines:
            parts.append({"_id": {"$in": [row["run_id"] for row in database.metrics.aggregate(pipeline)]}})
        return _all_of(parts)


def translate(conditions: Sequence[Condition], database: Any) -> MongoQuery:
    """Return the query for the conditions that a database can decide; the others are left to the reader.

    `database` tells configuration keys from metrics.
    """
    query, parts = MongoQuery(), []
    for condition in conditions:
        key = condition.key
        if condition.reduction is None and key in COLUMN_FIELDS:
            part = _on_column(condition)
        elif condition.reduction is None and database.runs.find_one({f"config.{key}": {"$exists": True}}, {"_id": 1}):
            part = {f"config.{key}": _comparison(condition)}
        elif database.metrics.find_one({"name": key}, {"_id": 1}):
            query.pipelines.append(_pipeline(condition))
            continue
        else:
            continue
        parts += [part] if part else []
    query.runs = _all_of(parts)
    return query


def make_indexes(database: Any) -> list[str]:
    """Create the indexes that queries and writers use, where they are missing; return their names."""
    return [
        f"{collection}.{database[collection].create_index([(key, 1) for key in keys])}"
        for collection, wanted in INDEXES.items()
        for keys in wanted
    ]


def _on_column(condition: Condition) -> dict[str, Any] | None:
    fields = COLUMN_FIELDS[condition.key]
    if condition.key == "status" and condition.value == "PROBABLY_DEAD":
        return {"status": "RUNNING"} if condition.operator == "=" else None
    if condition.key == "status" and condition.operator != "=":
        return None
    if condition.key in TIMES:
        interval = _interval(str(condition.value))
        return {fields[0]: _time_comparison(condition.operator, *interval)} if interval else None
    if len(fields) == 1:
        return {fields[0]: _comparison(condition)}
    return {"$or": [{name: _comparison(condition)} for name in fields]} if condition.operator == "=" else None


def _comparison(condition: Condition) -> dict[str, Any]:
    value, sign = condition.value, condition.operator
    if sign in _SIGNS:
        return {_SIGNS[sign]: value}
    if sign == "~":
        return {"$regex": value}
    # the number 7 also means the text "7", as in the reader
    either = [value] if isinstance(value, str) or value is None else [value, str(value)]
    if len(either) == 1:
        return {"$eq" if sign == "=" else "$ne": value}
    return {"$in" if sign == "=" else "$nin": either}


def _pipeline(condition: Condition) -> list[dict[str, Any]]:
    return [
        {"$match": {"name": condition.key}},
        {"$project": {"run_id": 1, "value": _REDUCED[condition.reduction or "last"]}},
        {"$match": {"value": _comparison(condition)}},
    ]


def _interval(text: str) -> tuple[datetime, datetime] | None:
    """Return the first moment of a day, hour, minute or second, and the first after it."""
    text = text.replace(" ", "T")
    for pattern, length in (
        (r"\d{4}-\d\d-\d\d", timedelta(days=1)),
        (r"\d{4}-\d\d-\d\dT\d\d", timedelta(hours=1)),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d", timedelta(minutes=1)),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", timedelta(seconds=1)),
    ):
        if re.fullmatch(pattern, text):
            start = datetime.fromisoformat(text)
            return start, start + length
    return None


def _time_comparison(sign: str, start: datetime, end: datetime) -> dict[str, Any]:
    within = {"$gte": start, "$lt": end}
    others: dict[str, dict[str, Any]] = {
        "!=": {"$not": within},
        ">": {"$gte": end},
        ">=": {"$gte": start},
        "<": {"$lt": start},
    }
    others |= {"=": within, "<=": {"$lt": end}, "~": {"$exists": True}}
    return others[sign]


def _all_of(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {} if not parts else parts[0] if len(parts) == 1 else {"$and": list(parts)}

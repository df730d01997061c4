"""A warm index of recorded runs: one SQLite file that remembers what was read, so that only what changed is read again.

It is a cache: whatever is wrong with it (another version, a damaged file, a full or read-only disk), it is made anew or
done without, and the records themselves are never touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from analysis.run_record import RunRecord, Series, to_json

VERSION = 2
FILE = ".index.sqlite"
_CHUNK = 200  # runs written in one transaction
_PAGE = 16384  # bytes; a metric of a hundred points stays within a page
# Keys in which runs of one experiment differ; without them they share one configuration, which is parsed once
_OWN = ("seed", "resume", "experiment_run", "checkpoint_path", "repeat_id")

_TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, key TEXT UNIQUE, stamp TEXT, fields TEXT, problems TEXT, own TEXT, config INTEGER
);
CREATE TABLE configs (id INTEGER PRIMARY KEY, content TEXT UNIQUE);
CREATE TABLE metrics (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE series (metric INTEGER, run INTEGER, steps BLOB, vals BLOB, PRIMARY KEY (metric, run)) WITHOUT ROWID;
CREATE INDEX series_by_run ON series (run);
"""


class Index:
    """The index in `path`; None keeps it in memory, for this process alone. A context manager."""

    def __init__(self, path: Path | None) -> None:
        self._database = _open(path) or _in_memory()
        self._metric_ids: dict[str, int] = {}

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def update(
        self, present: Mapping[str, str], read: Callable[[Sequence[str]], Iterable[RunRecord]], complete: bool = True
    ) -> int:
        """Make the index agree with the source; return how many runs were read.

        `present` maps the key of each run that is there to its stamp; `read` reads the runs with these keys. Runs that
        are not in `present` are forgotten if it is `complete`.
        """
        known = dict(self._database.execute("SELECT key, stamp FROM runs"))
        gone = [key for key in known if key not in present] if complete else []
        changed = [key for key, stamp in present.items() if known.get(key) != stamp]
        self._remove(gone)
        for start in range(0, len(changed), _CHUNK):
            keys = changed[start : start + _CHUNK]
            records = list(read(keys))
            self._remove(keys)
            with self._database:
                for record in records:
                    self._insert(record)
        if gone or changed:
            with self._database:
                self._database.execute("DELETE FROM configs WHERE id NOT IN (SELECT config FROM runs)")
        return len(changed)

    def _remove(self, keys: Sequence[str]) -> None:
        with self._database:
            for key in keys:
                self._database.execute("DELETE FROM series WHERE run = (SELECT id FROM runs WHERE key = ?)", (key,))
                self._database.execute("DELETE FROM runs WHERE key = ?", (key,))

    def _insert(self, record: RunRecord) -> None:
        shared, own = _split(record.config)
        content = to_json(shared)
        self._database.execute("INSERT OR IGNORE INTO configs (content) VALUES (?)", (content,))
        run = self._database.execute(
            "INSERT OR REPLACE INTO runs (key, stamp, fields, problems, own, config)"
            " VALUES (?, ?, ?, ?, ?, (SELECT id FROM configs WHERE content = ?))",
            (record.key, record.stamp, to_json(record.fields), to_json(record.problems), to_json(own), content),
        ).lastrowid
        self._database.executemany(
            "INSERT INTO series VALUES (?, ?, ?, ?)",
            [
                (self._metric_id(name), run, steps.astype("<i8").tobytes(), values.astype("<f8").tobytes())
                for name, (steps, values) in record.series.items()
            ],
        )

    def _metric_id(self, name: str) -> int:
        if name not in self._metric_ids:
            self._database.execute("INSERT OR IGNORE INTO metrics (name) VALUES (?)", (name,))
            self._metric_ids = dict(self._database.execute("SELECT name, id FROM metrics"))
        return self._metric_ids[name]

    def records(self) -> list[tuple[int, RunRecord]]:
        """Return (number in this index, run without its metrics) of every run, in the order of their first reading.

        Values within configurations that are equal are shared between runs: they are to be read only.
        """
        configs = {
            number: json.loads(content) for number, content in self._database.execute("SELECT id, content FROM configs")
        }
        rows = self._database.execute("SELECT id, key, stamp, fields, problems, own, config FROM runs ORDER BY id")
        return [
            (number, RunRecord(key, stamp, json.loads(fields), _joined(configs[config], own), {}, json.loads(problems)))
            for number, key, stamp, fields, problems, own, config in rows
        ]

    def metric_names(self) -> list[str]:
        """Return the name of every metric that some run has."""
        query = "SELECT name FROM metrics WHERE EXISTS (SELECT 1 FROM series WHERE metric = metrics.id) ORDER BY name"
        return [name for (name,) in self._database.execute(query)]

    def series(self, metric: str) -> dict[int, Series]:
        """Return the steps and values of one metric by run number."""
        query = "SELECT run, steps, vals FROM series WHERE metric = (SELECT id FROM metrics WHERE name = ?)"
        return {
            run: (np.frombuffer(steps, "<i8"), np.frombuffer(values, "<f8"))
            for run, steps, values in self._database.execute(query, (metric,))
        }


def _split(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a configuration without the keys in which runs of one experiment differ, and those keys."""
    shared = {key: value for key, value in config.items() if key not in _OWN}
    own = {key: config[key] for key in _OWN if key in config}
    env_args = shared.get("env_args")
    if isinstance(env_args, dict) and "seed" in env_args:
        shared["env_args"] = {key: value for key, value in env_args.items() if key != "seed"}
        own["env_args.seed"] = env_args["seed"]
    return shared, own


def _joined(shared: dict[str, Any], own: str) -> dict[str, Any]:
    keys = json.loads(own)
    if "env_args.seed" in keys:
        return {**shared, "env_args": {**shared["env_args"], "seed": keys.pop("env_args.seed")}, **keys}
    return {**shared, **keys}


def cache_folder() -> Path:
    """Return where indexes of databases are kept: AMAL_CACHE, else a folder in the user's cache."""
    if os.environ.get("AMAL_CACHE"):
        return Path(os.environ["AMAL_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amal"


def _in_memory() -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    _prepare(database)
    return database


def _open(path: Path | None) -> sqlite3.Connection | None:
    """Open an index with its tables; a damaged or outdated file is replaced. None where the place cannot be written."""
    if path is None:
        return None
    for attempt in range(2):
        database = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(path, timeout=60)
            _prepare(database)
            return database
        except (OSError, sqlite3.OperationalError):  # read-only, full, or locked for a minute
            if database is not None:
                database.close()
            return None
        except sqlite3.DatabaseError:  # not a database, or a damaged one
            if database is not None:
                database.close()
            if attempt:
                return None
            path.unlink(missing_ok=True)
    return None


def _prepare(database: sqlite3.Connection) -> None:
    """Create the tables unless this version's are there."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        database.execute("BEGIN IMMEDIATE").close()  # fails here rather than later where the file is read-only
        database.rollback()
        return
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        with contextlib.suppress(sqlite3.OperationalError):
            database.execute(f'DROP TABLE "{name}"')
    database.execute(f"PRAGMA page_size = {_PAGE}")
    database.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")

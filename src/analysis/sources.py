"""Where recorded runs are: folders and databases, each opened with its warm index."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from analysis import run_folders, run_mongo
from analysis.filters import Condition, value_of
from analysis.index import FILE, Index, cache_folder
from analysis.run_record import RunRecord
from tracking.database import is_url
from utils.errors import UserError, nearest

# A run that says RUNNING but has not been heard of for so long was killed, or its machine was
DEAD_AFTER = timedelta(minutes=5)

COLUMNS = (
    *("run_id", "source", "algorithm", "map", "engine", "engine_version", "map_checksum", "seed", "status"),
    *("t_max", "t_env", "started", "finished", "wall_s", "cpu_s", "peak_memory_mib", "gpu_memory_mib", "host"),
    *("test_nepisode", "test_greedy", "experiment", "label", "commit", "evaluate", "superseded", "folder", "config"),
)


@dataclass
class FoundRun:
    """A run on its way into the tables: its record, and where its metrics are."""

    run_id: str
    source: str
    record: RunRecord
    index: Index
    number: int
    superseded: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What is known of the run, by column."""
        return self.record.fields

    @property
    def status(self) -> str:
        """Sacred's status; a run that claims to be running but is silent is PROBABLY_DEAD, as Omniboard names it."""
        status = str(self.fields["status"])
        heard = self.fields["heartbeat"] or self.fields["started"]
        if status == "RUNNING" and heard:
            silent = datetime.now(UTC).replace(tzinfo=None) - datetime.fromisoformat(heard)
            return "PROBABLY_DEAD" if silent > DEAD_AFTER else status
        return status

    def value(self, key: str) -> Any:
        """Return a column's or a configuration key's value, None where there is none."""
        own = {"run_id": self.run_id, "source": self.source, "superseded": self.superseded}
        if key in own:
            return own[key]
        if key == "status":
            return self.status
        return self.fields.get(key) if key in COLUMNS else value_of(self.record.config, key)


class Source:
    """A folder or a database; its runs' ids begin with its name where it is not the `only` one."""

    def __init__(self, source: str, only: bool) -> None:
        self.shown = run_mongo.shown(source) if is_url(source) else source.rstrip("/") or "/"
        self.prefix = "" if only else f"{self.shown}:"
        self.root: Path | None = None
        self.database: run_mongo.RunDatabase | None = None
        if is_url(source):
            self.database = run_mongo.RunDatabase(source)
        else:
            self.root = Path(source)
            if not self.root.is_dir():
                raise UserError(f'There is no folder "{source}".{_similar_folder(self.root)}')
        self.metric_names: set[str] = set()

    def open(self, index: bool, wanted: Sequence[Condition]) -> Index:
        """Open the index and make it agree with the source; a database is asked only for runs that may be `wanted`."""
        if self.database is not None:
            self._path = cache_folder() / f"{self.database.fingerprint()}.sqlite"
            self._present, self._complete = self.database.present(wanted), not wanted
            self._index = self._updated(index, self.database.read)
            self.metric_names.update(() if self._complete else self.database.metric_names())
        else:
            assert self.root is not None
            root, present = self.root, dict(run_folders.find(self.root))
            self._path, self._present, self._complete = root / FILE, present, True
            self._index = self._updated(index, lambda keys: [run_folders.read(root, key, present[key]) for key in keys])
        self.metric_names.update(self._index.metric_names())
        return self._index

    def _updated(self, index: bool, read: Callable[[Sequence[str]], list[RunRecord]]) -> Index:
        opened = Index(self._path if index else None)
        try:
            opened.update(self._present, read, self._complete)
        except sqlite3.Error:  # the disk is full, or another process keeps it locked: do without a file
            opened = Index(None)
            opened.update(self._present, read, self._complete)
        return opened

    def runs(self, problems: list[str]) -> list[FoundRun]:
        """Return the readable runs; what is wrong goes to `problems`."""
        found = [(number, record) for number, record in self._index.records() if record.key in self._present]
        if not found and self._complete:
            problems.append(f"{self.shown} holds no runs.")
        runs = []
        for number, record in found:
            name = self.shown if record.key == "." else f"{self.prefix}{record.key}"
            if record.fields:
                record.fields["folder"] = str(self.root / record.key) if self.root else None
                runs.append(FoundRun(name, self.shown, record, self._index, number))
            if record.problems:
                outcome = "" if record.fields else "; it is left out"
                problems.append(f"Run {name}: {', '.join(record.problems)}{outcome}.")
        return runs


def _similar_folder(path: Path) -> str:
    parent = path.parent
    return nearest(path.name, [other.name for other in parent.iterdir() if other.is_dir()]) if parent.is_dir() else ""

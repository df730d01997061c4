"""Runs that sacred keeps in a MongoDB: collections `runs` and `metrics`, as its MongoObserver writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from analysis.filters import Condition
from analysis.mongo_query import translate
from analysis.run_record import RunRecord, Series, describe, make_series
from tracking import database as access
from utils.errors import UserError

# What a run's document holds besides, and nobody needs here: output, sources, PyMARL's lists
FIELDS = (
    *("config", "status", "start_time", "stop_time", "heartbeat", "host.hostname", "meta.token", "info.summary"),
    "experiment.repositories",
)
# What changes whenever a run's records do
_STAMP = ("status", "heartbeat", "stop_time", "synced")


def shown(source: str) -> str:
    """Return a database's address as it may be shown: `host:port/database`."""
    server, name = access.parts_of(access.resolve("" if source == access.ENVIRONMENT else source))
    return f"{server}/{name or access.DEFAULT_DATABASE}"


class RunDatabase:
    """The runs of one database; `source` is `mongodb://host:port/database`, credentials from the environment."""

    def __init__(self, source: str) -> None:
        address = access.resolve("" if source == access.ENVIRONMENT else source)
        if not address:
            raise UserError(f'The source "{source}" means the database that {access.URL} names, which is not set.')
        self.shown = shown(source)
        self.name = self.shown.rpartition("/")[2]
        self._client = access.connect(address)
        access.check(self._client, self.name, self.shown)
        self.database = self._client[self.name]

    def fingerprint(self) -> str:
        """Return a name for this database's index: the same as long as address and database are."""
        return hashlib.sha256(self.shown.encode()).hexdigest()[:16]

    def metric_names(self) -> list[str]:
        """Return the name of every metric in the database."""
        return sorted(str(name) for name in self.database.metrics.distinct("name"))

    def present(self, wanted: Sequence[Condition] = ()) -> dict[str, str]:
        """Return the key of every run with its stamp, of those alone that meet what conditions it can decide."""
        query = translate(wanted, self.database).filter(self.database) if wanted else {}
        documents = self.database.runs.find(query, dict.fromkeys(_STAMP, 1), batch_size=10_000)
        return {_key(document["_id"]): " ".join(str(document.get(name)) for name in _STAMP) for document in documents}

    def read(self, keys: Sequence[str]) -> list[RunRecord]:
        """Read the runs with these keys."""
        wanted = [_identifier(key) for key in keys]
        runs = list(self.database.runs.find({"_id": {"$in": wanted}}, dict.fromkeys((*FIELDS, *_STAMP), 1)))
        series: dict[Any, dict[str, Series]] = {run["_id"]: {} for run in runs}
        problems: dict[Any, list[str]] = {run["_id"]: [] for run in runs}
        documents = self.database.metrics.find(
            {"run_id": {"$in": wanted}}, {"run_id": 1, "name": 1, "steps": 1, "values": 1}, batch_size=2000
        )
        for document in documents:
            run_id, name = document.get("run_id"), str(document.get("name"))
            if run_id not in series:
                continue
            made, trouble = make_series(document)
            if trouble:
                problems[run_id].append(f"its metric {name} is damaged: {trouble}")
            if len(made[0]):
                series[run_id][name] = made
        return [self._record(run, series[run["_id"]], problems[run["_id"]]) for run in runs]

    def _record(self, run: dict[str, Any], series: dict[str, Series], problems: list[str]) -> RunRecord:
        stamp = " ".join(str(run.get(name)) for name in _STAMP)
        config = run.get("config")
        if not isinstance(config, dict):
            return RunRecord(_key(run["_id"]), stamp, {}, {}, problems=["it has no configuration"])
        info = run.get("info")
        summary = info.get("summary") if isinstance(info, dict) else None
        fields = describe(config, run, summary if isinstance(summary, dict) else {}, series)
        if not series and not fields["evaluate"]:
            problems.append("it has no metrics")
        return RunRecord(_key(run["_id"]), stamp, fields, config, series, problems)


def _key(identifier: Any) -> str:
    """Return a run's id as text that tells numbers (57) from text ("57" becomes '57')."""
    return str(identifier) if isinstance(identifier, int) else repr(str(identifier))


def _identifier(key: str) -> Any:
    return key[1:-1] if key.startswith(("'", '"')) else int(key)

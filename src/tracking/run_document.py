"""One run in a MongoDB, in the form of sacred's MongoObserver, written so that writing again never does harm.

Collection `runs` holds a document per run, `metrics` one per run and metric with the lists steps, values, timestamps;
GridFS holds the sources. A run is known by `meta.token`, which its files hold too, and a metric's document by an id
made from token and name, so whoever writes first, a second writer adds only what is missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCHEMA = "MongoObserver-0.7.0"
OUTPUT_CHARACTERS = 1_000_000  # of the printed output that the document keeps; a document must stay below 16 MB
_ATTEMPTS = 5  # at writing beside another writer of the same run

# A metric: steps, values and timestamps, lists of the same length that only ever grow
Points = tuple[list[int], list[float], list[Any]]


class RunDocument:
    """The document of the run `token` in a pymongo `database`; all methods raise the driver's errors."""

    def __init__(self, database: Any, token: str) -> None:
        self._database = database
        self.token = token
        self.id: Any = None
        self._stored: dict[str, int] | None = None  # points the database has, by metric; None: not known

    def forget(self) -> None:
        """Ask the database again what it has: after any error, which may have come before or after the writing."""
        self._stored = None

    def write(self, entry: Mapping[str, Any], points: Mapping[str, Points]) -> int:
        """Make the run's documents agree with `entry` and `points`; return how many values were added."""
        entry = encodable({**entry, "format": SCHEMA})
        if self.id is None:
            self.id = self._find_or_insert(entry)
        added = self._write_points(points)
        metrics = [{"name": name, "id": str(self._metric_id(name))} for name in points]
        info = {**entry.get("info", {}), "metrics": metrics}
        content = {**entry, "info": info, "captured_out": _tail(str(entry.get("captured_out", "")))}
        self._database.runs.update_one({"_id": self.id}, {"$set": content}, upsert=True)
        return added

    def _find_or_insert(self, entry: Mapping[str, Any]) -> Any:
        """Return the id of this run's document; a new one gets the next whole number, as sacred gives them."""
        from pymongo.errors import DuplicateKeyError

        runs = self._database.runs
        found = runs.find_one({"meta.token": self.token}, {"_id": 1})
        while found is None:
            last = next(iter(runs.find({"_id": {"$type": "number"}}, {"_id": 1}).sort("_id", -1).limit(1)), {"_id": 0})
            document = {**entry, "_id": int(last["_id"]) + 1, "heartbeat": None, "captured_out": ""}
            try:
                runs.insert_one(document)
                return document["_id"]
            except DuplicateKeyError:  # another run took the number
                continue
        return found["_id"]

    def _metric_id(self, name: str) -> Any:
        from bson import ObjectId

        return ObjectId(hashlib.md5(f"{self.token}/{name}".encode(), usedforsecurity=False).digest()[:12])

    def _write_points(self, points: Mapping[str, Points]) -> int:
        from pymongo import UpdateOne
        from pymongo.errors import BulkWriteError

        added = 0
        for _ in range(_ATTEMPTS):
            stored = self._counts()
            updates, new = [], 0
            for name, (steps, values, times) in points.items():
                n = stored.get(name, 0)
                if len(steps) <= n:
                    continue
                new += len(steps) - n
                key = {"_id": self._metric_id(name)}
                if n == 0:
                    whole = {"run_id": self.id, "name": name, "steps": steps, "values": values, "timestamps": times}
                    updates.append(UpdateOne(key, {"$setOnInsert": whole}, upsert=True))
                else:  # only if it still has the number of values it had
                    rest = {"steps": steps[n:], "values": values[n:], "timestamps": times[n:]}
                    push = {name: {"$each": more} for name, more in rest.items()}
                    updates.append(UpdateOne({**key, "steps": {"$size": n}}, {"$push": push}))
            if not updates:
                return added
            self._stored = None  # until it has answered
            try:
                result = self._database.metrics.bulk_write(updates, ordered=False)
                written = result.upserted_count + result.modified_count == len(updates)
            except BulkWriteError as error:
                if any(failure.get("code") != 11000 for failure in error.details.get("writeErrors", [])):
                    raise
                written = False  # another writer inserted the same metric in the same moment
            if written:
                self._stored = {**stored, **{name: max(stored.get(name, 0), len(p[0])) for name, p in points.items()}}
                added += new
                return added
        return added

    def _counts(self) -> dict[str, int]:
        if self._stored is None:
            pipeline = [{"$match": {"run_id": self.id}}, {"$project": {"name": 1, "n": {"$size": "$steps"}}}]
            self._stored = {found["name"]: int(found["n"]) for found in self._database.metrics.aggregate(pipeline)}
        return self._stored


def store_sources(database: Any, sources: list[Any], folder: Path) -> list[Any]:
    """Put source files into GridFS, each version once; return sacred's list of [name, file id].

    `sources` is the list that sacred's file store keeps: [name, path of the copy relative to `folder`].
    """
    import gridfs

    files = gridfs.GridFS(database)
    stored = []
    for name, copy in sources:
        path = folder / copy
        if not path.is_file():
            continue
        content = path.read_bytes()
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        found = database["fs.files"].find_one({"filename": name, "metadata.md5": digest}, {"_id": 1})
        stored.append([name, found["_id"] if found else files.put(content, filename=name, metadata={"md5": digest})])
    return stored


def encodable(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a run's entry that BSON can hold: what it cannot is turned into text, as sacred does."""
    plain: dict[str, Any] = _encodable(dict(entry))
    return plain


def _encodable(value: Any) -> Any:
    import bson
    from bson.errors import InvalidDocument

    try:
        bson.encode({"value": value})
        return value
    except (InvalidDocument, OverflowError):
        pass
    if isinstance(value, Mapping):
        return {str(key): _encodable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(inner) for inner in value]
    return str(value)


def _tail(text: str) -> str:
    if len(text) <= OUTPUT_CHARACTERS:
        return text
    return f"[the run's cout.txt has it all; these are the last characters]\n{text[-OUTPUT_CHARACTERS:]}"

"""The second copy of a run, in MongoDB, beside its files: never in the way of training, never lost in an outage.

A thread of its own does all writing. When the server is away it keeps trying, training and files go on, and what the
database missed is added when it is back. If it is not back before the run ends, a small file `mongo_behind.json` in
the run's folder says so, and the next run with the same database, or `query.py --sync`, brings it up to date.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sacred.observers import RunObserver

from tracking import database as access
from tracking.observers import PRIORITY, RunFolder
from tracking.run_document import Points, RunDocument, store_sources
from tracking.sync import MARKER, catch_up

RETRY_SECONDS = 3.0
FINAL_SECONDS = 20.0  # at most, for the last values at the end of a run


class MongoRecords(RunObserver):
    """Copies a run into `client[database]`; `folder` is the observer that writes the run's files."""

    priority = PRIORITY - 1  # after the files, whose numbering thus has nothing to do with the database's

    def __init__(self, client: Any, database: str, shown: str, folder: RunFolder, console: logging.Logger) -> None:
        self._database = client[database]
        self._shown = f"{shown}/{database}"
        self._sources: list[Any] | None = None
        self._folder = folder
        self._console = console
        self._lock = threading.Lock()  # of entry, points and changed
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._entry: dict[str, Any] = {}
        self._points: dict[str, Points] = {}
        self._changed = False
        self._end = threading.Event()
        self._behind = False
        self._document: RunDocument | None = None

    @classmethod
    def connected(cls, address: str, database: str, folder: RunFolder, console: logging.Logger) -> MongoRecords:
        """Return an observer of a server that answered; raises UserError, within two seconds, where none does.

        `address` as `database.resolve` returns it; an empty `database` means the one it names, else "sacred".
        """
        client = access.connect(address, socketTimeoutMS=20_000)
        shown, named = access.parts_of(address)
        database = database or named or access.DEFAULT_DATABASE
        access.check(client, database, shown, write=True)
        return cls(client, database, shown, folder, console)

    # --- sacred's events, none of which waits for the server ---------------------------------------------------------

    def queued_event(
        self,
        ex_info: Mapping[str, Any],
        command: str,
        host_info: Mapping[str, Any],
        queue_time: datetime,
        config: Mapping[str, Any],
        meta_info: Mapping[str, Any],
        _id: Any,
    ) -> Any:
        """Store a run that is only queued."""
        self._begin(ex_info, command, host_info, config, meta_info, status="QUEUED")
        self._close()
        return _id

    def started_event(
        self,
        ex_info: Mapping[str, Any],
        command: str,
        host_info: Mapping[str, Any],
        start_time: datetime,
        config: Mapping[str, Any],
        meta_info: Mapping[str, Any],
        _id: Any,
    ) -> Any:
        """Begin the run's document."""
        self._begin(ex_info, command, host_info, config, meta_info, status="RUNNING", start_time=start_time)
        return _id

    def _begin(
        self,
        ex_info: Mapping[str, Any],
        command: str,
        host_info: Mapping[str, Any],
        config: Mapping[str, Any],
        meta_info: Mapping[str, Any],
        **more: Any,
    ) -> None:
        from sacred.serializer import flatten

        fields = {"experiment": dict(ex_info), "command": command, "host": dict(host_info), "config": flatten(config)}
        empty: dict[str, Any] = {
            "resources": [],
            "artifacts": [],
            "captured_out": "",
            "info": {},
            "heartbeat": None,
            "result": None,
        }
        self._entry = {**fields, "meta": dict(meta_info), **empty, **more}
        self._document = RunDocument(self._database, str(meta_info["token"]))
        self._changed = True
        self._thread = threading.Thread(target=self._work, name="mongo-records", daemon=True)
        self._thread.start()
        self._wake.set()

    def heartbeat_event(self, info: Mapping[str, Any], captured_out: str, beat_time: datetime, result: Any) -> None:
        """Take what has come since the last beat."""
        copied = {key: list(value) if isinstance(value, list) else value for key, value in dict(info).items()}
        self._set(info=copied, captured_out=captured_out, heartbeat=beat_time, result=result)

    def log_metrics(self, metrics_by_name: Mapping[str, Mapping[str, Any]], info: Any) -> None:
        """Take new values; they are sent with the beat that follows."""
        with self._lock:
            for name, new in metrics_by_name.items():
                known = self._points.setdefault(name, ([], [], []))
                known[0].extend(new["steps"])
                known[1].extend(new["values"])
                known[2].extend(new["timestamps"])

    def artifact_event(self, name: str, filename: str, metadata: Any = None, content_type: Any = None) -> None:
        """Note an artifact by name; the run's folder holds the file."""
        with self._lock:
            artifacts = [*self._entry["artifacts"], {"name": name, "file": str(filename)}]
        self._set(artifacts=artifacts)

    def completed_event(self, stop_time: datetime, result: Any) -> None:
        """Write the end of a run that went through."""
        self._set(status="COMPLETED", stop_time=stop_time, result=result)
        self._close()

    def interrupted_event(self, interrupt_time: datetime, status: str) -> None:
        """Write the end of a run that was stopped."""
        self._set(status=status, stop_time=interrupt_time)
        self._close()

    def failed_event(self, fail_time: datetime, fail_trace: list[str]) -> None:
        """Write the end of a run that crashed."""
        trace = [access.without_credentials(line) for line in fail_trace]
        self._set(status="FAILED", stop_time=fail_time, fail_trace=trace)
        self._close()

    # --- the thread --------------------------------------------------------------------------------------------------

    def _set(self, **fields: Any) -> None:
        with self._lock:
            self._entry.update(fields)
            self._changed = True
        if self._end.is_set() and self._thread is not None and not self._thread.is_alive():
            self._flush()  # a last beat that came after the end
        self._wake.set()

    def _work(self) -> None:
        """Write whenever something came; when that fails, again and again until it does or the run ends."""
        if self._flush():
            self._catch_up()
        while not self._end.is_set():
            if self._behind:  # beats must not make it hammer on a dead server
                self._end.wait(RETRY_SECONDS)
            else:
                self._wake.wait()
            self._wake.clear()
            self._flush()
        if not self._flush():
            self._flush()

    def _flush(self) -> bool:
        """Bring the database up to date; return whether it is."""
        with self._writing:
            with self._lock:
                if not self._changed:
                    return True
                self._changed = False
                entry = dict(self._entry)
                points: dict[str, Points] = {k: (list(a), list(b), list(c)) for k, (a, b, c) in self._points.items()}
            assert self._document is not None
            try:
                entry["experiment"] = {**entry["experiment"], "sources": self._stored_sources()}
                self._document.write(entry, points)
            except Exception as error:  # of the driver, of the server, of a file: none may end the copying
                with self._lock:
                    self._changed = True
                self._document.forget()
                self._fall_behind(error)
                return False
            self._come_back()
            return True

    def _stored_sources(self) -> list[Any]:
        """Put the sources, as the file store keeps them, into the database once; return sacred's list of them."""
        if self._sources is None:
            files = self._entry["experiment"].get("sources") or []
            self._sources = store_sources(self._database, files, Path(self._folder.basedir))
        return self._sources

    def _fall_behind(self, error: Exception) -> None:
        if self._behind:
            return
        self._behind = True
        self._console.warning(
            f"MongoDB at {self._shown} cannot be written ({type(error).__name__}); the run goes on in its files, and"
            " what the database misses is added as soon as that is possible"
        )
        with contextlib.suppress(OSError):
            self._marker().write_text(json.dumps({"database": self._shown}), encoding="utf-8")

    def _come_back(self) -> None:
        if self._behind:
            self._behind = False
            self._marker().unlink(missing_ok=True)
            self._console.info(f"MongoDB at {self._shown} is back and has everything")

    def _marker(self) -> Path:
        return Path(str(self._folder.dir)) / MARKER

    def _close(self) -> None:
        """Let the thread write what is left, and end it; say so where the database stays behind."""
        self._end.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(FINAL_SECONDS)
        if self._behind or self._changed:
            server, _, name = self._shown.rpartition("/")
            self._console.warning(
                f"MongoDB is behind the files of this run. To bring it up to date:"
                f" python3 src/query.py --sync {self._folder.dir} --to mongodb://{server}/{name}"
            )

    def _catch_up(self) -> None:
        """Bring up to date what earlier runs could not write."""
        from pymongo.errors import PyMongoError

        try:
            caught_up = catch_up(self._database, self._shown, Path(self._folder.basedir).parents[1])
        except (PyMongoError, OSError):
            return  # the next start tries again
        if caught_up:
            runs = "an earlier run" if caught_up == 1 else f"{caught_up} earlier runs"
            self._console.info(f"Brought {runs} up to date in MongoDB at {self._shown}")

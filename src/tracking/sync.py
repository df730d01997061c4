"""From a run's files into MongoDB: for runs that were recorded without one, or while it was away."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tracking.run_document import Points, RunDocument, store_sources

MARKER = "mongo_behind.json"  # in the folder of a run that a database is behind of
STILL_RUNNING = timedelta(minutes=2)  # since the last beat; a running run looks after itself


class Unreadable(Exception):
    """A run's files cannot be read; the text says which and why."""


def sync_run(database: Any, folder: Path) -> int:
    """Write the run in `folder` into `database`, or what is missing there of it; return how many values were added.

    Raises Unreadable for broken files and the driver's errors.
    """
    run, config = _load(folder, "run.json"), _load(folder, "config.json")
    metrics = _load(folder, "metrics.json", required=False)
    info = _load(folder, "info.json", required=False)
    summary = _load(folder, "summary.json", required=False)
    recorded: dict[str, Any] = run.get("meta") or {}
    meta = {"token": _token(folder, run, config), **recorded}
    output = folder / "cout.txt"
    experiment = dict(run.get("experiment") or {})
    sources = [source for source in experiment.get("sources") or [] if len(source) == 2]
    experiment["sources"] = store_sources(database, sources, folder.parent)
    times: dict[str, Any] = {
        name: _datetime(run[name]) for name in ("start_time", "stop_time", "heartbeat") if name in run
    }
    entry: dict[str, Any] = {
        **run,
        **times,
        "experiment": experiment,
        "config": config,
        "meta": meta,
        "info": {**info, "summary": summary} if summary else info,
        "captured_out": output.read_text(encoding="utf-8", errors="replace") if output.is_file() else "",
        "synced": datetime.now(UTC).replace(tzinfo=None),
    }
    points: dict[str, Points] = {}
    for name, content in metrics.items():
        steps, values, stamps = (list(content.get(part) or []) for part in ("steps", "values", "timestamps"))
        n = min(len(steps), len(values))
        moments = [_datetime(stamp) for stamp in stamps[:n]] + [None] * (n - len(stamps))
        points[name] = (steps[:n], values[:n], moments)
    return RunDocument(database, meta["token"]).write(entry, points)


def catch_up(database: Any, shown: str, sacred_folder: Path) -> int:
    """Bring every ended run below `sacred_folder` up to date whose marker names this database; return how many."""
    done = 0
    for folder in behind(sacred_folder, shown):
        try:
            sync_run(database, folder)
        except Unreadable:
            continue
        (folder / MARKER).unlink(missing_ok=True)
        done += 1
    return done


def behind(sacred_folder: Path, shown: str) -> Iterator[Path]:
    """Yield the folders of ended runs that the database is behind of."""
    for marker in sacred_folder.glob(f"*/*/*/{MARKER}"):
        try:
            named = json.loads(marker.read_text(encoding="utf-8"))["database"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if named == shown and not is_running(marker.parent):
            yield marker.parent


def is_running(folder: Path) -> bool:
    """Return whether the run in a folder gave a sign of life lately, and has not ended."""
    try:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        heard = _datetime(run.get("heartbeat") or run.get("start_time"))
    except (OSError, ValueError):
        return False
    now = datetime.now(UTC).replace(tzinfo=None)
    return run.get("status") == "RUNNING" and heard is not None and now - heard < STILL_RUNNING


def _load(folder: Path, name: str, required: bool = True) -> dict[str, Any]:
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise Unreadable(f"{folder / name} is missing") from None
        return {}
    except (OSError, ValueError):
        raise Unreadable(f"{folder / name} is broken") from None
    if not isinstance(content, dict):
        raise Unreadable(f"{folder / name} holds no JSON object")
    return content


def _token(folder: Path, run: dict[str, Any], config: dict[str, Any]) -> str:
    """Return a name for a run that was recorded without one: always the same for the same files."""
    facts = json.dumps([run.get("start_time"), run.get("host"), config], sort_keys=True, default=str)
    return f"{config.get('name', folder.name)}_{hashlib.sha256(facts.encode()).hexdigest()[:16]}"


def _datetime(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None

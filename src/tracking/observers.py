"""Sacred's file store, safe against a kill in the middle of a write and against a heartbeat in the middle of a step."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from sacred.observers import FileStorageObserver
from sacred.serializer import flatten

PRIORITY = 10  # below sacred's own observers: where several are there, theirs choose the run's id


class RunFolder(FileStorageObserver):
    """A `FileStorageObserver` whose JSON files are whole at any moment, in a folder numbered by itself."""

    def __init__(self, basedir: Path) -> None:
        super().__init__(basedir, priority=PRIORITY)

    def save_json(self, obj: Any, filename: str) -> None:
        """Write to a temporary name and rename: a reader never sees half a file."""
        path = Path(str(self.dir)) / filename
        temporary = path.with_name(f".{filename}.{threading.get_ident()}.tmp")
        temporary.write_text(json.dumps(flatten(obj), sort_keys=True, indent=2), encoding="utf-8")
        os.replace(temporary, path)

    def _make_run_dir(self, _id: Any) -> None:
        """Make the run's folder: the number another observer chose if that is free here, else the next free one."""
        taken = _id is not None and (Path(self.basedir) / str(_id)).exists()
        super()._make_run_dir(None if taken else _id)

    def queued_event(self, ex_info: Any, *args: Any, **kwargs: Any) -> Any:
        """Store a queued run without its sources, which sacred would look for in the working directory."""
        return super().queued_event({**ex_info, "sources": []}, *args, **kwargs)

    def heartbeat_event(self, info: Any, captured_out: Any, beat_time: Any, result: Any) -> None:
        """Write a beat with a copy of `info`: this runs in sacred's thread while training goes on appending."""
        copied = {key: list(value) if isinstance(value, list) else value for key, value in dict(info).items()}
        super().heartbeat_event(copied, captured_out, beat_time, result)

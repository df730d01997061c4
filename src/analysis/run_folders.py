"""Runs that sacred's file store keeps in folders: finding them, noticing changes, reading one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analysis.run_record import RunRecord, Series, describe, make_series

FILES = ("config.json", "run.json", "metrics.json", "summary.json")
# Below a results folder, what never holds runs
_PASSED_OVER = frozenset({"models", "tb_logs", "experiments", "wandb", "reference", "_sources", "_resources"})


def find(root: Path) -> Iterator[tuple[str, str]]:
    """Yield (path relative to `root`, stamp) of every run in or below it; the stamp tells sizes and times of its files.

    A folder with run.json or config.json is a run; so is an empty folder named by a number, which a run that was
    killed at its very start leaves behind.
    """
    yield from _find(str(root), "")


def _find(path: str, relative: str) -> Iterator[tuple[str, str]]:
    files: dict[str, os.DirEntry[str]] = {}
    folders: list[str] = []
    empty = True
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                empty = False
                if entry.name in FILES:
                    files[entry.name] = entry
                elif entry.name not in _PASSED_OVER and not entry.name.startswith(".") and entry.is_dir():
                    folders.append(entry.name)
    except OSError:
        return  # gone meanwhile, or not ours to read
    if "run.json" in files or "config.json" in files or (empty and os.path.basename(path).isdigit()):
        yield relative or ".", _stamp(files)
        return
    for name in sorted(folders, key=lambda name: (int(name), name) if name.isdigit() else (0, name)):
        yield from _find(f"{path}/{name}", f"{relative}/{name}" if relative else name)


def _stamp(files: dict[str, os.DirEntry[str]]) -> str:
    parts = []
    for name in FILES:
        if name in files:
            try:
                status = files[name].stat()
            except FileNotFoundError:
                continue
            parts.append(f"{name[0]}{status.st_mtime_ns}:{status.st_size}")
    return " ".join(parts)


def read(root: Path, key: str, stamp: str) -> RunRecord:
    """Read the run in `root / key`; what is broken or missing becomes a sentence in its `problems`."""
    folder = root / key
    problems: list[str] = []

    def load(name: str, missing: str = "") -> dict[str, Any]:
        try:
            content = json.loads((folder / name).read_bytes())
        except FileNotFoundError:
            if missing:
                problems.append(missing)
            return {}
        except OSError as error:
            problems.append(f"{name} cannot be read ({error.strerror})")
            return {}
        except ValueError:
            problems.append(f"{name} is broken JSON")
            return {}
        if not isinstance(content, dict):
            problems.append(f"{name} holds no JSON object")
            return {}
        return content

    if not stamp:
        return RunRecord(key, stamp, {}, {}, problems=["the folder is empty"])
    config = load("config.json", "config.json is missing")
    run = load("run.json", "run.json is missing")
    summary = load("summary.json")
    series = _series(load("metrics.json"), problems) or _info_lists(folder)
    record = RunRecord(key, stamp, {}, config, series, problems)
    if config:
        record.fields = describe(config, run, summary, series)
        if not series and not record.fields["evaluate"] and "metrics.json is broken JSON" not in problems:
            problems.append("it has no metrics")
    return record


def _series(metrics: dict[str, Any], problems: list[str]) -> dict[str, Series]:
    series: dict[str, Series] = {}
    for name, content in metrics.items():
        if not isinstance(content, dict):
            problems.append(f"its metric {name} is damaged")
            continue
        made, trouble = make_series(content)
        if trouble:
            problems.append(f"its metric {name} is damaged: {trouble}")
        if len(made[0]):
            series[name] = made
    return series


def _info_lists(folder: Path) -> dict[str, Series]:
    """Return the metrics of a run of PyMARL or PyMARL2, which keep them as `<name>` and `<name>_T` in info.json."""
    try:
        info = json.loads((folder / "info.json").read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(info, dict):
        return {}
    series = {}
    for name in info:
        if isinstance(info.get(f"{name}_T"), list) and isinstance(info[name], list):
            # PyMARL's values may be NumPy scalars as jsonpickle writes them
            values = [value.get("value") if isinstance(value, dict) else value for value in info[name]]
            made, trouble = make_series({"steps": info[f"{name}_T"], "values": values})
            if len(made[0]) and not trouble:
                series[name] = made
    return series

"""Runs as sacred records them, without training: folders for the tests and the benchmark of the reader."""

import json
from datetime import datetime, timedelta

NOON = datetime(2026, 1, 1, 12)
CONFIG = {
    "name": "mappo",
    "env": "sc2",
    "env_args": {"map_name": "3m", "difficulty": "7", "seed": 1},
    "engine_info": {"engine": "skirmish", "engine_version": "0.1.0", "map_checksum": "55591da932e27c6a"},
    "seed": 1,
    "t_max": 10000,
    "lr": 0.0005,
    "gamma": 0.99,
    "hidden_layers": [64, 64],
    "test_nepisode": 32,
    "test_greedy": True,
    "evaluate": False,
    "resume": "",
    "label": "default_label",
    "experiment": "",
}


def config(**changes):
    """The configuration above with keys changed; `env_args.map_name` is written `map_name`."""
    made = {**CONFIG, **changes}
    made["env_args"] = {**CONFIG["env_args"], "seed": made["seed"], **changes.get("env_args", {})}
    if "map_name" in made:
        made["env_args"]["map_name"] = made.pop("map_name")
    return made


def run_entry(status="COMPLETED", start=NOON, token=None, minutes=10, host="vm"):
    """A run.json."""
    stop = start + timedelta(minutes=minutes)
    return {
        "command": "train",
        "experiment": {"name": "amal", "sources": [], "repositories": [{"commit": "c" * 40, "dirty": False}]},
        "host": {"hostname": host},
        "meta": {"command": "train", **({"token": token} if token else {})},
        "status": status,
        "start_time": start.isoformat(),
        "heartbeat": stop.isoformat(),
        "stop_time": stop.isoformat() if status != "RUNNING" else None,
        "resources": [],
        "artifacts": [],
        "result": None,
    }


def metric(values, every=100, start=NOON):
    """A metric of metrics.json: one value per `every` steps."""
    steps = [every * (n + 1) for n in range(len(values))]
    times = [(start + timedelta(seconds=n)).isoformat() for n in range(len(values))]
    return {"steps": steps, "values": list(values), "timestamps": times}


def write_run(folder, metrics=None, changes=None, summary=None, **entry):
    """Write a run's folder; `metrics` maps names to lists of values. Returns the folder."""
    folder.mkdir(parents=True)
    contents = {
        "config.json": config(**(changes or {})),
        "run.json": run_entry(**entry),
        "metrics.json": {name: metric(values) for name, values in (metrics or {}).items()},
        "summary.json": summary,
    }
    for name, content in contents.items():
        if content is not None:
            (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder

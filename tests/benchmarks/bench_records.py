"""How long the reader of records takes: `python tests/benchmarks/bench_records.py [--runs 10000]`.

Makes synthetic runs of 100 points each in a temporary folder and in a temporary MongoDB, then measures for both, each
in a process of its own: the first indexing, a query with a warm index (the whole command), loading one metric of all
runs as the report does, and the largest resident size. Targets for 10,000 runs: 5 minutes, 2 s, 2 GiB.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from mongo_server import MongoServer, unavailable
from run_writer import NOON, config, metric, run_entry

ROOT = Path(__file__).resolve().parents[2]
METRICS = ("test_battle_won_mean", "test_return_mean", "return_mean", "wall_seconds")
QUERY = ("env_args.map_name=8m", "lr>0.0005", "test_battle_won_mean>=0.9", "--format=csv")


def synthetic(number, points):
    """The contents of one run's files: configuration as long as a real one, METRICS with `points` values each."""
    keys = {f"key_{n}": n / 7 for n in range(80)}
    map_name, name = ("3m", "8m", "2s3z", "MMM")[number % 4], ("mappo", "qmix", "amal")[number % 3]
    made = config(**keys, seed=number, map_name=map_name, name=name, lr=(0.0005, 0.001)[number // 4 % 2])
    start = NOON + timedelta(minutes=number)
    curve = [1 / (1 + math.exp(-(n - points / 2 + number % 17) / 8)) for n in range(points)]
    metrics = {name: metric([value * (k + 1) for value in curve], 10_000, start) for k, name in enumerate(METRICS)}
    return made, run_entry(start=start, token=f"run-{number}"), metrics


def make_folders(root, runs, points):
    for number in range(runs):
        made, entry, metrics = synthetic(number, points)
        folder = root / "sacred" / made["env_args"]["map_name"] / made["name"] / str(number)
        folder.mkdir(parents=True)
        for name, content in (("config", made), ("run", entry), ("metrics", metrics)):
            (folder / f"{name}.json").write_text(json.dumps(content, indent=2))


def make_documents(database, runs, points):
    from analysis.mongo_query import make_indexes

    make_indexes(database)
    for start in range(0, runs, 500):
        documents, metrics = [], []
        for number in range(start, min(start + 500, runs)):
            made, entry, series = synthetic(number, points)
            documents.append({**entry, "_id": number, "config": made, "info": {}, "captured_out": "x" * 2000})
            metrics += [{"run_id": number, "name": name, **content} for name, content in series.items()]
        database.runs.insert_many(documents)
        database.metrics.insert_many(metrics)


# Runs a program given by its arguments and prints seconds, CPU-seconds and MiB; what it prints itself goes nowhere
_TIMED = """
import resource, subprocess, sys, time
start = time.monotonic()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
sys.exit(code)
"""
_LOAD = """
import sys
from analysis.records import load
records = load([sys.argv[1]], metrics=["test_battle_won_mean"])
assert len(records.metrics) == int(sys.argv[2]), len(records.metrics)
"""


def measure(cache, *arguments):
    """Seconds, CPU-seconds and MiB of Python with these arguments, in a process of its own."""
    environment = {**os.environ, "AMAL_CACHE": str(cache), "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", _TIMED, sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr)
    return tuple(float(part) for part in done.stdout.split())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        room = Path(temporary)
        sources = {"files": room / "results"}
        make_folders(sources["files"], options.runs, options.points)
        server = None
        if missing := unavailable():
            print(f"MongoDB left out: {missing}")
        else:
            import pymongo

            server = MongoServer(room / "mongod").start()
            with pymongo.MongoClient(server.url) as client:
                make_documents(client.records, options.runs, options.points)
            sources["MongoDB"] = f"{server.url}/records"
        print(f"{options.runs:,} runs, {len(METRICS)} metrics of {options.points} points each")
        print(f"{'':<10}{'':<28}{'seconds':>10}{'CPU-seconds':>14}{'MiB':>8}")
        cache, values = room / "cache", options.runs * options.points
        for name, source in sources.items():
            query = (ROOT / "src" / "query.py", source, *QUERY)
            rows = {
                "first indexing of all": measure(cache, "-c", _LOAD, source, values),
                "query with a warm index": min(measure(cache, *query) for _ in range(3)),
                "load one metric of all runs": min(measure(cache, "-c", _LOAD, source, values) for _ in range(3)),
            }
            for what, (seconds, cpu_seconds, memory) in rows.items():
                print(f"{name:<10}{what:<28}{seconds:>10.2f}{cpu_seconds:>14.2f}{memory:>8.0f}")
        if server is not None:
            server.stop()


if __name__ == "__main__":
    main()

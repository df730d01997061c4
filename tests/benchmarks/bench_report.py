"""How long a report of many runs takes, and how much memory: 10,000 runs of 100 points each by default.

    python tests/benchmarks/bench_report.py [--runs 10000] [--points 100]

5 algorithms on 20 maps. Reading the runs is no part of it (bench_records.py measures that); records are made in memory.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "analysis"))

from analysis.report import Options, write
from conftest import make

ALGORITHMS = ("amal", "mappo", "qmix", "vdn", "iql")
MAPS = 20
TARGET_SECONDS, TARGET_MIB = 60, 2048


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=100)
    options = parser.parse_args()
    seeds = max(1, options.runs // len(ALGORITHMS) // MAPS)
    maps = [f"{number}m" for number in range(1, MAPS + 1)]
    records = make(algorithms=ALGORITHMS, maps=maps, seeds=seeds, points=options.points)
    wall, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        page = write(records, folder, Options(published=True))
        size = page.stat().st_size / 1024**2
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"report of {len(records.runs):,} runs of {options.points} points: {wall:.1f} s ({cpu:.1f} CPU-seconds; target "
        f"{TARGET_SECONDS}), peak memory {memory:,.0f} MiB (target {TARGET_MIB:,}), page {size:.1f} MiB"
    )
    return int(cpu > TARGET_SECONDS or memory > TARGET_MIB)


if __name__ == "__main__":
    sys.exit(main())

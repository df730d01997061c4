"""What a run costs."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import tracking
from tracking.resources import Resources


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_time_grows_and_memory_is_there():
    resources = Resources()
    before = resources.summary()
    burn(0.1)
    after = resources.summary()
    assert after["cpu_seconds"] >= before["cpu_seconds"] + 0.08
    assert after["wall_seconds"] > before["wall_seconds"]
    assert after["peak_memory_mib"] > 10


def test_workers_count_while_they_live_and_after():
    resources = Resources()
    before = resources.cpu_seconds()
    worker = multiprocessing.get_context("fork").Process(target=burn, args=(0.2,))
    worker.start()
    worker.join()
    assert resources.cpu_seconds() >= before + 0.15


def test_a_resumed_run_adds_to_its_predecessor():
    first, second = Resources(), Resources()
    second.load_state_dict({"wall": 1000.0, "cpu": 500.0})
    assert second.wall_seconds() >= first.wall_seconds() + 999
    assert second.cpu_seconds() >= 500
    assert second.this_process_seconds() < 900 + first.this_process_seconds()


def test_what_a_shell_or_a_large_parent_did_before_is_not_ours():
    ballast = bytearray(os.urandom(1)) * 400_000_000
    code = (
        "from tracking.resources import Resources; r = Resources().summary(); "
        "print(r['wall_seconds'], r['cpu_seconds'], r['peak_memory_mib'])"
    )
    # bash replaces itself by its last command, which inherits the age and the ended children of the shell
    burn_first = "import time; t = time.process_time() + 1; x = bytes(300_000_000)\nwhile time.process_time() < t: pass"
    script = f"{sys.executable} -c '{burn_first}' && {sys.executable} -c \"{code}\""
    environment = {**os.environ, "PYTHONPATH": str(Path(tracking.__file__).parent.parent)}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=True)
    wall, cpu, memory = (float(number) for number in done.stdout.split())
    assert wall < 0.9
    assert cpu < 0.9
    assert memory < 250
    assert len(ballast) == 400_000_000

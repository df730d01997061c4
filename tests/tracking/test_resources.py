"""What a run costs."""

import multiprocessing
import time

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

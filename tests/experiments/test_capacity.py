"""Cores and memory."""

import os

import psutil
import pytest

from experiments import capacity
from experiments.capacity import ASSUMED_MIB, MemoryBook


class TestMemoryBook:
    def test_a_run_is_expected_to_need_what_one_of_its_kind_needed(self):
        book = MemoryBook()
        assert book.expect("amal 3m") == ASSUMED_MIB
        book.see("amal 3m", 400)
        assert book.expect("amal 3m") == ASSUMED_MIB  # it may still grow
        book.see("amal 3m", 5000)
        assert book.expect("amal 3m") == 5000
        book.finish("vdn 3m", 700)
        assert book.expect("vdn 3m") == 700
        book.see("vdn 3m", 900)
        assert book.expect("vdn 3m") == 900
        book.finish("iql 3m", 0)  # taken over at its very end: nothing was measured
        assert book.expect("iql 3m") == ASSUMED_MIB

    def test_room_is_what_is_free_without_what_running_ones_will_still_take_and_the_reserve(self):
        book = MemoryBook(finished={"a": 2000.0})
        running = [("a", 500.0), ("a", 2000.0)]  # 1500 MiB are still to come; 5 % of 10,000 are kept
        assert book.room_for("a", running, 10_000, 4000)
        assert not book.room_for("a", running, 10_000, 3999)
        assert book.room_for("a", [], 10_000, 2500)


class TestContainers:
    @pytest.fixture
    def cgroup(self, tmp_path, monkeypatch):
        monkeypatch.setattr(capacity, "CGROUP", tmp_path)

        def write(**files):
            for name, content in files.items():
                (tmp_path / name.replace("_", ".")).write_text(content)

        return write

    def test_the_quota_bounds_the_cores(self, cgroup, monkeypatch):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
        assert capacity.cores() == 16
        cgroup(cpu_max="max 100000")
        assert capacity.cores() == 16
        cgroup(cpu_max="450000 100000")
        assert capacity.cores() == 4
        cgroup(cpu_max="50000 100000")
        assert capacity.cores() == 1

    def test_the_containers_limit_bounds_the_memory(self, cgroup):
        machine = psutil.virtual_memory()
        assert capacity.memory_mib()[0] == machine.total / 2**20
        cgroup(memory_max="max", memory_current="1", memory_stat="inactive_file 0")
        assert capacity.memory_mib()[0] == machine.total / 2**20
        mib = 2**20
        cgroup(memory_max=str(512 * mib), memory_current=str(300 * mib))
        cgroup(memory_stat=f"anon 5\ninactive_file {50 * mib}")
        assert capacity.memory_mib() == (512, 262)

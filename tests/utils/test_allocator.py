"""Freed memory is kept where the C library is glibc."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"

PAGE_FAULTS = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from utils.allocator import keep_freed_memory
import numpy as np
if sys.argv[2] == "keep":
    assert keep_freed_memory()
for round in range(30):
    np.ones(8 * 2**20)
    if round == 19:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc alone is told")
def test_arrays_of_64_mib_use_the_same_pages_again():
    def faults(mode):
        command = [sys.executable, "-c", PAGE_FAULTS, str(SOURCE), mode]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert faults("keep") < 100 < faults("give back")

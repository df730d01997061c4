"""Cached machine code is used only as long as all its sources are what they were."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"
KERNEL = """
import sys
from numba import int64, njit
from skirmish import kernel_cache
import helper

@njit(cache=True)
def kernel(x):
    return helper.change(x)

SOURCES = kernel_cache.sources(helper, __file__)
ready = kernel_cache.is_ready([kernel], SOURCES)
kernel_cache.compile_all({kernel: (int64,)}, SOURCES)
print(ready, kernel(1))
"""
HELPER = """
from numba import njit

@njit(forceinline=True)
def change(x):
    return x + {amount}
"""


def run(folder):
    environment = {**os.environ, "PYTHONPATH": f"{SRC}{os.pathsep}{folder}", "NUMBA_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, folder / "kernel.py"], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_a_change_in_an_inlined_function_is_noticed(tmp_path):
    (tmp_path / "kernel.py").write_text(textwrap.dedent(KERNEL))
    (tmp_path / "helper.py").write_text(textwrap.dedent(HELPER.format(amount=1)))
    assert run(tmp_path) == ["False", "2"]
    assert run(tmp_path) == ["True", "2"]
    (tmp_path / "helper.py").write_text(textwrap.dedent(HELPER.format(amount=41)))
    assert run(tmp_path) == ["False", "42"]
    assert run(tmp_path) == ["True", "42"]

"""Where the time of a run goes, from what the profiler counted."""

import pstats
import re

import pytest

from configuration import ROOT
from experiments import profiling

SRC = str(ROOT / "src")
ITERATE = (f"{SRC}/run/training.py", 10, "_iterate")
TEST = (f"{SRC}/run/training.py", 20, "_test")
LOOP = (f"{SRC}/run/training.py", 30, "run")
PLAY = (f"{SRC}/runners/base_runner.py", 5, "run")
LEARN = (f"{SRC}/run/training.py", 40, "learn")
SAVE = (f"{SRC}/run/training.py", 50, "save_checkpoint")
GEMM = ("~", 0, "<built-in method torch.mm>")
IMPORT = ("<frozen importlib._bootstrap>", 1, "_find_and_load")


@pytest.fixture
def stats():
    """20 s in all: 5 before and after, 15 of training, of which 6 + 5 played, 3 learned, 1 saved."""
    made = pstats.Stats()
    made.stats = {  # calls, primitive calls, own, cumulative, callers
        LOOP: (1, 1, 0.0, 15.0, {}),
        ITERATE: (9, 9, 0.0, 10.0, {LOOP: (9, 9, 0.0, 10.0)}),
        TEST: (2, 2, 0.0, 5.0, {ITERATE: (1, 1, 0.0, 3.0), LOOP: (1, 1, 0.0, 2.0)}),
        PLAY: (11, 11, 7.0, 11.0, {ITERATE: (9, 9, 4.0, 6.0), TEST: (2, 2, 3.0, 5.0)}),
        LEARN: (9, 9, 2.0, 3.0, {ITERATE: (9, 9, 2.0, 3.0)}),
        SAVE: (1, 1, 1.0, 1.0, {LOOP: (1, 1, 1.0, 1.0)}),
        GEMM: (99, 99, 5.0, 5.0, {PLAY: (90, 90, 4.0, 4.0), LEARN: (9, 9, 1.0, 1.0)}),
        IMPORT: (50, 50, 5.0, 5.0, {}),
    }
    made.total_tt = 20.0
    return made


def test_phases_are_apart_and_add_up(stats):
    shares = profiling.phases(stats, 20.0)
    assert [share.seconds for share in shares] == [5.0, 6.0, 3.0, 5.0, 0.0, 1.0, 0.0]
    assert sum(share.seconds for share in shares) == 20.0
    assert "play" in shares[1].name


def test_parts_count_built_in_functions_to_their_callers(stats):
    shares = {share.name: share.seconds for share in profiling.parts(stats)}
    assert shares == {"src/runners": 11.0, "imports": 5.0, "src/run": 4.0}


def test_the_slowest_functions(stats):
    assert profiling.slowest(stats)[:2] == [
        ("runners/base_runner.py:5 run", 7.0, 11),
        ("<built-in method torch.mm>", 5.0, 99),
    ]


def test_a_command_is_profiled_and_its_code_handed_on(tmp_path, capsys):
    path = tmp_path / "p.pstats"
    assert profiling.profile_main(path, ["--config=mapo"]) == 2
    assert "There is no algorithm" in capsys.readouterr().err
    text = profiling.report(path)
    assert "Where the" in text
    assert re.search(r"^  imports +\d", text, re.MULTILINE)

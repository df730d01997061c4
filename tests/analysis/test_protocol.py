"""What may be compared, and what is said where it may not."""

import pandas as pd
import pytest

from analysis import protocol, require
from utils.errors import UserError


def frame(*rows):
    base = {
        "algorithm": "amal", "map": "3m", "engine": "skirmish", "engine_version": "0.1.0", "map_checksum": "55aa",
        "test_nepisode": 32, "test_greedy": True, "status": "COMPLETED", "started": "2026-01-01",
        "config": {"lr": 0.1, "env_args": {"difficulty": "7"}},
    }  # fmt: skip
    return pd.DataFrame([{**base, "run_id": f"r{i}", "seed": i, **row} for i, row in enumerate(rows)])


def test_runs_of_one_protocol_may_be_compared():
    runs = frame({}, {"algorithm": "mappo"}, {"map": "8m", "map_checksum": "77bb"})
    assert protocol.problem(runs) is None
    protocol.check(runs)
    assert protocol.problem(runs.iloc[:0]) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"engine": "sc2"},
            "differ in their engines and must not be compared: engine=skirmish in r0; engine=sc2 in r1",
        ),
        ({"engine_version": "0.2.0"}, "versions of the engine"),
        ({"map_checksum": "66cc"}, "versions of a map 3m and must not be compared: map_checksum=55aa in r0"),
        ({"test_nepisode": 10}, "numbers of test episodes"),
        ({"test_greedy": False}, "ways of testing"),
        ({"test_greedy": None}, "test_greedy=unknown in r1"),
        ({"config": {"env_args": {"difficulty": "A"}}}, "difficulty=7 in r0; difficulty=A in r1"),
    ],
)
def test_a_mix_is_refused_and_the_runs_are_named(change, words):
    with pytest.raises(protocol.MixedProtocolsError, match="Keep one with a filter such as") as refusal:
        protocol.check(frame({}, change))
    assert words in str(refusal.value)
    assert isinstance(refusal.value, UserError)


def test_of_many_runs_only_some_are_named():
    assert "r1, r2, r3 and 2 more" in protocol.problem(frame({}, *[{"engine": "sc2"}] * 5))


def test_a_mix_is_parted_with_the_largest_part_first():
    runs = frame({"engine": "sc2"}, {}, {}, {"map": "8m", "map_checksum": "77bb"}, {"map_checksum": "odd"})
    parts = [part["run_id"].tolist() for part in protocol.partition(runs)]
    assert parts == [["r1", "r2", "r3"], ["r0"], ["r4"]]
    assert all(protocol.problem(part) is None for part in protocol.partition(runs))


def test_a_seed_counts_once_the_completed_run_before_the_later():
    runs = frame({"seed": 1}, {"seed": 1, "status": "FAILED", "started": "2026-02-02"}, {"seed": 2})
    kept, said = protocol.without_duplicates(runs)
    assert kept["run_id"].tolist() == ["r0", "r2"]
    assert said == ["2 runs have the same algorithm amal, map 3m, seed 1; only r0 is counted, not r1."]
    later, _ = protocol.without_duplicates(frame({"seed": 1}, {"seed": 1, "started": "2026-02-02"}))
    assert later["run_id"].tolist() == ["r1"]


def test_runs_of_a_sweep_are_told_apart_where_asked():
    runs = frame({"seed": 1, "lr": 0.1}, {"seed": 1, "lr": 0.2, "config": {"lr": 0.2, "env_args": {"difficulty": "7"}}})
    _, said = protocol.without_duplicates(runs)
    assert said[0].endswith("Their configs differ in lr: group by it to keep them apart.")
    kept, said = protocol.without_duplicates(runs, by=("algorithm", "map", "seed", "lr"))
    assert len(kept) == 2 and not said


def test_a_missing_library_is_answered_with_the_pip_line():
    require("numpy", "json")
    with pytest.raises(UserError, match=r"needs no_such_library.*pip install -r requirements-analysis\.txt"):
        require("numpy", "no_such_library")

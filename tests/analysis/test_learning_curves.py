"""Tables of runs: medians with runs that never got there, engines that must not be mixed, there and back."""

import json

import pytest

from analysis.learning_curves import censored_median, main, ratio, read_runs, table, win_rate_at


def write_run(folder, algorithm, seed, steps_to_90, engine="skirmish"):
    folder.mkdir(parents=True)
    summary = {
        "name": algorithm,
        "map": "3m",
        "seed": seed,
        "engine_info": {"engine": engine},
        "t_env": 9000,
        "wall_seconds": 10.0,
        "cpu_seconds": 8.0,
        "peak_memory_mib": 100.0,
    }
    if steps_to_90 is not None:
        for key in ("steps_to_90", "steps_to_sustained_90", "seconds_to_sustained_90", "cpu_seconds_to_sustained_90"):
            summary[key] = steps_to_90
    (folder / "summary.json").write_text(json.dumps(summary))
    curve = {"steps": [0, 5000, 9000], "values": [0.0, 0.5, 1.0]}
    (folder / "metrics.json").write_text(json.dumps({"test_battle_won_mean": curve}))


@pytest.fixture
def results(tmp_path):
    for seed, steps in enumerate([4000, 5000, 6000]):
        write_run(tmp_path / "runs" / "amal" / str(seed), "amal", seed, steps)
        write_run(tmp_path / "runs" / "mappo" / str(seed), "mappo", seed, 2 * steps)
    return tmp_path


def test_a_run_that_never_gets_there_counts_as_later_than_all_others():
    assert censored_median([3.0, None, 1.0]) == 3.0
    assert censored_median([None, None, 1.0]) is None
    assert censored_median([]) is None


def test_win_rates_between_tests_and_after_the_end(results):
    write_run(results / "runs" / "amal" / "9", "amal", 9, None)
    won, lost = (run for run in read_runs([results / "runs"]) if run["algorithm"] == "amal" and run["seed"] in (0, 9))
    assert win_rate_at(won, 2500) == pytest.approx(0.25)
    assert win_rate_at(won, 20_000) == 1.0
    assert win_rate_at(lost, 20_000) is None
    assert "(n = 3)" in table(read_runs([results / "runs"]))


def test_the_ratio_of_runs_twice_as_fast_is_a_half(results):
    sentence = ratio(read_runs([results / "runs"]), "amal", "mappo")
    assert "0.50" in sentence and "n = 3" in sentence


def test_no_ratio_with_censored_runs(results):
    write_run(results / "runs" / "amal" / "9", "amal", 9, None)
    runs = read_runs([results / "runs"])
    assert "not every run got there" in ratio(runs, "amal", "mappo")
    assert "not in 9,000" in table(runs)


def test_engines_are_never_mixed(results):
    write_run(results / "runs" / "x", "amal", 5, 1000, engine="starcraft2")
    with pytest.raises(ValueError, match="must not be compared"):
        read_runs([results / "runs"])


def test_the_kept_summary_makes_the_same_table(results, capsys):
    pytest.importorskip("matplotlib")
    assert main([str(results / "runs"), "--output", str(results / "kept" / "3m")]) == 0
    first = capsys.readouterr().out
    assert main([str(results / "kept" / "3m.json"), "--output", str(results / "again")]) == 0
    assert capsys.readouterr().out == first
    assert (results / "again.png").stat().st_size > 5000


def test_no_runs_is_the_users_mistake(tmp_path):
    assert main([str(tmp_path), "--output", str(tmp_path / "x")]) == 2

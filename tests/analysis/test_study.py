"""What is compared: runs that must not be mixed, doubled seeds, variants of a sweep, and what a run reached."""

import numpy as np
import pandas as pd
import pytest

from analysis import study
from analysis.records import Records
from analysis.variants import differing_keys, natural
from utils.errors import UserError


def change(records, mask, **columns):
    """Set columns of the runs a mask selects, those of the configuration too."""
    for key, value in columns.items():
        records.runs.loc[mask, key] = value
    return records


def with_config(records, **keys):
    """Give every run's configuration other values: key -> function of the run's row."""
    configs = [{**row.config, **{k: f(row) for k, f in keys.items()}} for row in records.runs.itertuples()]
    records.runs["config"] = configs
    return records


def test_runs_are_grouped_by_algorithm_and_map(make_records):
    found = study.gather(make_records(seeds=3))
    assert found.algorithms == ["amal", "mappo"]
    assert found.maps == ["3m", "8m"]
    assert [run.seed for run in found.group("mappo", "8m")] == [1, 2, 3]
    assert found.problems == []


def test_a_run_in_numbers(make_records):
    records = make_records(algorithms=["mappo"], maps=["3m"], seeds=1)
    values = [0.0, 0.5, 0.9, 0.95, 1.0, 0.9]
    run_id = records.runs["run_id"][0]
    clock = {"run_id": run_id, "metric": "wall_seconds", "step": [0, 500], "value": [0.0, 50.0]}
    curve = {"run_id": run_id, "metric": "test_battle_won_mean", "step": range(0, 600, 100), "value": values}
    records.metrics = pd.concat([pd.DataFrame(curve), pd.DataFrame(clock)])
    (run,) = study.gather(records).runs
    assert run.final == pytest.approx(0.95)
    assert (run.reach.step, run.reach.censored) == (400, False)
    assert run.seconds_to_reach == pytest.approx(40)
    assert np.isnan(run.cpu_seconds_to_reach)
    (run,) = study.gather(records, threshold=0.99, last=1).runs
    assert (run.reach.step, run.reach.censored) == (500, True)
    assert run.final == 0.9


def test_only_a_run_that_its_own_rule_stopped_is_held_beyond_its_end(make_records):
    records = make_records(algorithms=["amal"], maps=["3m"], seeds=2)
    assert not any(run.won for run in study.gather(records).runs)
    with_config(records, stop_win_rate=lambda row: 0.9 if row.seed == 1 else 0.0)
    assert [run.won for run in study.gather(records).runs] == [True, False]


def test_whether_a_run_won_is_told_by_its_win_rate_whatever_is_compared(make_records):
    records = make_records(algorithms=["amal"], maps=["3m"], seeds=1)
    with_config(records, stop_win_rate=lambda row: 0.9)
    lost = records.metrics["metric"] == "test_battle_won_mean"
    returns = records.metrics[lost].assign(metric="test_return_mean", value=20.0)
    records.metrics.loc[lost, "value"] = 0.0
    records.metrics = pd.concat([records.metrics, returns])
    assert not study.gather(records, "test_return_mean").runs[0].won


def test_unknown_metric_names_the_nearest(make_records):
    with pytest.raises(UserError, match=r'Did you mean "test_battle_won_mean"\?'):
        study.gather(make_records(), "test_battle_won")


def test_unknown_names_are_one_sentence_with_the_nearest(make_records):
    with pytest.raises(UserError, match=r'algorithm "mapo".* Did you mean "mappo"\?'):
        study.gather(make_records(), algorithms=["mapo"])
    with pytest.raises(UserError, match=r'configuration key "lrr".* Did you mean "lr"\?'):
        study.gather(make_records(), group_by=["lrr"])


def test_runs_without_the_metric_are_named_and_the_rest_is_shown(make_records):
    records = make_records(seeds=2)
    gone = records.runs["run_id"][0]
    records.metrics = records.metrics[records.metrics["run_id"] != gone]
    found = study.gather(records)
    assert len(found.runs) == len(records.runs) - 1
    assert found.problems == [f'Without the metric "test_battle_won_mean", so left out: {gone}.']


def test_engines_are_never_mixed(make_records):
    records = make_records(seeds=3)
    change(records, (records.runs["seed"] == 3) & (records.runs["map"] == "3m"), engine="starcraft2")
    found = study.gather(records)
    assert set(found.frame["engine"]) == {"skirmish"}
    assert len(found.runs) == 10
    (problem,) = found.problems
    assert "must not be compared" in problem
    assert problem.endswith("Here: the 10 runs that belong together; 2 left out.")


def test_the_same_seed_counts_once(make_records):
    records = make_records(algorithms=["amal"], maps=["3m"], seeds=2)
    double = records.runs.iloc[[0]].assign(run_id="again", status="FAILED")
    copied = records.metrics[records.metrics["run_id"] == records.runs["run_id"][0]].assign(run_id="again")
    records = Records(pd.concat([records.runs, double]), pd.concat([records.metrics, copied]), [])
    found = study.gather(records)
    assert sorted(run.run_id for run in found.runs) == ["3m/amal/1", "3m/amal/2"]
    (problem,) = found.problems
    assert "again" in problem


def test_a_sweep_becomes_variants_of_the_algorithm(make_records):
    first, second = make_records(algorithms=["amal"], seeds=2), make_records(algorithms=["amal"], seeds=2)
    with_config(second, lambda_info=lambda row: 0.5)
    with_config(first, lambda_info=lambda row: 0.1)
    second.runs["run_id"] += "b"
    second.metrics["run_id"] += "b"
    both = Records(pd.concat([first.runs, second.runs]), pd.concat([first.metrics, second.metrics]), [])
    found = study.gather(both)
    assert found.algorithms == ["amal lambda_info=0.1", "amal lambda_info=0.5"]
    assert found.problems == []


def test_keys_that_differ_between_runs(make_records):
    found = study.gather(make_records(maps=["3m"], seeds=2))
    assert differing_keys(found.frame) == {"lr": {"amal on 3m": ["0.0005"], "mappo on 3m": ["0.001"]}}


def test_nothing_to_compare_is_said_with_the_reasons():
    empty = Records(pd.DataFrame(columns=["run_id"]), pd.DataFrame(columns=["run_id", "metric"]), ["x holds no runs."])
    with pytest.raises(UserError, match=r"There is no run to compare\.\nx holds no runs\."):
        study.gather(empty)


def test_maps_sort_as_people_count():
    assert sorted(["10m_vs_11m", "3m", "2s3z", "8m"], key=natural) == ["2s3z", "3m", "8m", "10m_vs_11m"]

"""marl-eval's JSON: out, in, and refused."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import marl_eval
from utils.errors import UserError

WIN, RETURN = "test_battle_won_mean", "test_return_mean"
names = st.text("abcdef_123", min_size=1, max_size=5)
numbers = st.one_of(st.integers(-5, 5), st.floats(allow_nan=False, allow_infinity=False))
steps = st.dictionaries(
    names.filter(lambda name: name != "step_count"), st.lists(numbers, min_size=1, max_size=4) | numbers, max_size=3
)
tested = st.builds(lambda step, metrics: {"step_count": step, **metrics}, st.integers(0, 10**7), steps)
run = st.builds(
    lambda tests, absolute: {**{f"step_{k}": t for k, t in enumerate(tests, 1)}, "absolute_metrics": absolute},
    st.lists(tested, max_size=3),
    steps,
)
documents = st.dictionaries(
    names,
    st.dictionaries(
        names, st.dictionaries(names, st.dictionaries(names, run, min_size=1, max_size=2), min_size=1, max_size=2),
        min_size=1, max_size=2,
    ),
    max_size=2,
)  # fmt: skip


def records(algorithms=("amal", "mappo"), maps=("3m", "MMM"), seeds=(1, 2), tests=3):
    runs, metrics = [], []
    for a, algorithm in enumerate(algorithms):
        for name in maps:
            for seed in seeds:
                key = f"smac/{name}/{algorithm}/seed_{seed}"
                runs.append((key, algorithm, name, seed, "smac"))
                for k in range(tests):
                    metrics.append((key, WIN, 1000.0 * k, (a + k + seed) / 32))
                    metrics.append((key, RETURN, 1000.0 * k, 3.3 * k + seed))
    return (
        pd.DataFrame(runs, columns=["run_id", "algorithm", "map", "seed", "engine"]),
        pd.DataFrame(metrics, columns=["run_id", "metric", "step", "value"]),
    )


@given(documents)
@settings(deadline=None, max_examples=40)
def test_a_document_survives_the_way_in_and_out(document):
    text = json.dumps(document)
    assert marl_eval.from_table(marl_eval.to_table(json.loads(text))) == document


def test_records_survive_the_way_out_and_in(tmp_path):
    runs, metrics = records()
    document, said = marl_eval.export(runs, metrics)
    (tmp_path / "out.json").write_text(json.dumps(document))
    runs_again, metrics_again = marl_eval.to_records(marl_eval.read(tmp_path / "out.json"))
    order = ["algorithm", "map", "seed"]
    pd.testing.assert_frame_equal(
        runs_again[runs.columns].sort_values(order, ignore_index=True), runs.sort_values(order, ignore_index=True)
    )
    tests = metrics_again[~metrics_again["metric"].str.startswith("absolute_")]
    by = ["run_id", "metric", "step"]
    pd.testing.assert_frame_equal(tests.sort_values(by, ignore_index=True), metrics.sort_values(by, ignore_index=True))
    assert said == ["absolute_metrics holds the last test of each run, not a re-test of its best parameters."]


def test_the_layout_is_what_marl_eval_reads():
    """Lower case, the same keys in the same order everywhere, absolute_metrics last, lists of values."""
    runs, metrics = records()
    document, said = marl_eval.export(runs, metrics, absolute={key: {WIN: 0.9, RETURN: 19.0} for key in runs["run_id"]})
    assert said == [] and list(document["smac"]) == ["3m", "mmm"]
    for algorithms in document["smac"].values():
        assert list(algorithms) == ["amal", "mappo"]
        for of_algorithm in algorithms.values():
            assert list(of_algorithm) == ["seed_1", "seed_2"]
            for of_run in of_algorithm.values():
                assert list(of_run) == ["step_1", "step_2", "step_3", "absolute_metrics"]
                assert of_run["absolute_metrics"] == {"win_rate": [0.9], "return": [19.0]}
                assert all(of_run[f"step_{k}"]["step_count"] == 1000 * (k - 1) for k in (1, 2, 3))
    assert document["smac"]["3m"]["amal"]["seed_1"]["step_2"] == {
        "step_count": 1000, "win_rate": [2 / 32], "return": [4.3],
    }  # fmt: skip


def ragged():
    runs, metrics = records()
    gone = (metrics["run_id"] == "smac/3m/amal/seed_1") & (metrics["step"] > 1500)
    alone = pd.DataFrame([("x", "qmix", "3m", 1, "smac"), ("y", "amal", "3m", 9, "smac")], columns=runs.columns)
    more = pd.DataFrame([("x", WIN, 0.0, 1.0), ("y", WIN, 0.0, 1.0)], columns=metrics.columns)
    return pd.concat([runs, alone], ignore_index=True), pd.concat([metrics[~gone], more], ignore_index=True)


def test_what_is_not_a_block_is_refused_with_every_reason():
    with pytest.raises(UserError) as refusal:
        marl_eval.export(*ragged())
    for reason in ("Algorithm qmix has no run on MMM", "Seeds 9 were not run everywhere", "Only the first 2 tests"):
        assert reason in str(refusal.value)


def test_or_cut_to_the_block_that_all_share_and_said():
    document, said = marl_eval.export(*ragged(), cut=True)
    block = document["smac"]
    assert {len(r) for a in block.values() for runs in a.values() for r in runs.values()} == {3}  # 2 tests, absolute
    assert [list(a) for a in block.values()] == [["amal", "mappo"]] * 2
    assert len(said) == 4 and "7 runs have more" in said[2]


def test_a_metric_missing_from_one_test_is_left_out():
    runs, metrics = records()
    document, said = marl_eval.export(runs, metrics.drop(index=metrics.index[1]), cut=True)
    assert "The metrics test_return_mean are not in every test: left out." in said
    assert list(document["smac"]["3m"]["mappo"]["seed_1"]["step_1"]) == ["step_count", "win_rate"]


def test_runs_without_tests_and_seeds_met_twice_are_left_out_and_said():
    runs, metrics = records()
    twice = runs.iloc[[0]].assign(run_id="again")
    silent = runs.iloc[[0]].assign(run_id="silent", seed=5)
    extra = metrics[metrics["run_id"] == runs["run_id"][0]].assign(run_id="again")
    _, said = marl_eval.export(pd.concat([runs, twice, silent]), pd.concat([metrics, extra]))
    assert "Run silent has none of the metrics and is left out." in said
    assert any(sentence.startswith("Run again has the same algorithm, map and seed as smac/3m") for sentence in said)


def test_nothing_to_export_is_said():
    runs, metrics = records()
    with pytest.raises(UserError, match="nothing to export"):
        marl_eval.export(runs, metrics, names={"unknown": "x"})
    with pytest.raises(UserError, match="forbids commas"):
        marl_eval.export(runs.assign(algorithm="a,b"), metrics)
    with pytest.raises(UserError, match="No seed was run by every algorithm"):
        marl_eval.export(
            *(pd.concat(p) for p in zip(records(("a",)), records(("b",), seeds=(7,)), strict=True)), cut=True
        )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as marl-eval's JSON"),
        ("[1]", "the file should hold names with braces below them, not list"),
        ('{"smac": {"3m": {"amal": {"seed_1": {"step_1": 5}}}}}', "smac/3m/amal/seed_1/step_1 should hold"),
        ('{"smac": {"3m": {"amal": {"seed_1": {"step_1": {"win": []}}}}}}', "step_1/win should be a list of numbers"),
        (
            '{"smac": {"3m": {"amal": {"seed_1": {"step_1": {"win": ["1"]}}}}}}',
            "step_1/win should be a list of numbers",
        ),
    ],
)
def test_other_files_are_refused_saying_where(tmp_path, text, words):
    (tmp_path / "in.json").write_text(text)
    with pytest.raises(UserError) as refusal:
        marl_eval.read(tmp_path / "in.json")
    assert words in str(refusal.value)

"""The one reader: folders and MongoDB give the same tables, and bad records a sentence each."""

import os
import shutil
import sqlite3
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from run_writer import NOON, write_run

from analysis.records import COLUMNS, load
from tracking.sync import sync_run
from utils.errors import UserError


@pytest.fixture
def results(tmp_path):
    """Three runs: mappo on 3m with seeds 1 and 2, and amal on 8m."""
    base = tmp_path / "results" / "sacred"
    write_run(base / "3m/mappo/1", {"win": [0.0, 0.5], "loss": [2.0, 1.0]}, token="a")
    write_run(base / "3m/mappo/2", {"win": [0.5, 1.0]}, {"seed": 2, "lr": 0.001}, token="b", status="FAILED")
    summary = {"wall_seconds": 12.5, "cpu_seconds": 10.0, "peak_memory_mib": 700.0, "gpu_memory_mib": 0.0}
    write_run(base / "8m/amal/1", {"win": [1.0]}, {"name": "amal", "map_name": "8m"}, summary, token="c")
    return tmp_path / "results"


def ids(records):
    return list(records.runs["run_id"])


def test_a_run_is_a_row_and_a_value_is_a_row(results):
    records = load([str(results)])
    assert ids(records) == ["sacred/3m/mappo/1", "sacred/3m/mappo/2", "sacred/8m/amal/1"]
    assert list(records.runs.columns) == list(COLUMNS)
    row = records.runs.iloc[2]
    assert (row["algorithm"], row["map"], row["engine"], row["map_checksum"]) == (
        "amal", "8m", "skirmish", "55591da932e27c6a",
    )  # fmt: skip
    assert (row["seed"], row["t_env"], row["wall_s"], row["host"], row["test_nepisode"]) == (1, 100, 12.5, "vm", 32)
    assert row["started"] == pd.Timestamp(NOON)
    assert row["config"]["gamma"] == 0.99
    wins = records.metrics[records.metrics["metric"] == "win"]
    assert list(wins["value"]) == [0.0, 0.5, 0.5, 1.0, 1.0]
    assert list(wins["step"]) == [100, 200, 100, 200, 100]
    assert records.metric_names == ["loss", "win"]
    assert records.problems == []


def test_only_the_metrics_asked_for_are_read(results):
    assert set(load([str(results)], metrics=["loss"]).metrics["metric"]) == {"loss"}
    assert load([str(results)], metrics=[]).metrics.empty
    records = load([str(results)], metrics=["wins"])
    assert records.problems == ['No run has a metric "wins". Did you mean "win"?']
    assert len(records.runs) == 3


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["env_args.map_name=8m"], ["sacred/8m/amal/1"]),
        (["map=3m", "seed=2"], ["sacred/3m/mappo/2"]),
        (["lr>0.0005"], ["sacred/3m/mappo/2"]),
        (["status=FAILED"], ["sacred/3m/mappo/2"]),
        (["win>=0.9"], ["sacred/3m/mappo/2", "sacred/8m/amal/1"]),
        (["min(win)<0.1"], ["sacred/3m/mappo/1"]),
        (["loss<=1"], ["sacred/3m/mappo/1"]),
        (["name~^am"], ["sacred/8m/amal/1"]),
        (["win>2"], []),
    ],
)
def test_filters_choose_runs_alike_in_files_and_in_a_database(results, mongo_database, mongod, filters, expected):
    assert ids(load([str(results)], filters=filters)) == expected
    for run in expected:
        sync_run(mongo_database, results / run)
    for run in ("sacred/3m/mappo/1", "sacred/3m/mappo/2", "sacred/8m/amal/1"):
        sync_run(mongo_database, results / run)
    stored = load([f"{mongod}/{mongo_database.name}"], filters=filters)
    assert ids(stored) == [str(number + 1) for number in range(len(expected))]


def test_an_unknown_key_is_refused_with_the_nearest(results):
    with pytest.raises(UserError, match='"map_nam"'):
        load([str(results)], filters=["map_nam=3m"])
    with pytest.raises(UserError, match=r'Did you mean "env_args\.map_name"'):
        load([str(results)], filters=["map_name=3m"])
    with pytest.raises(UserError, match=r'No run has a metric "wim"\. Did you mean "win"'):
        load([str(results)], filters=["max(wim)>1"])


def test_files_and_database_give_the_same_tables(results, mongo_database, mongod):
    records = load([str(results)])
    for run in ids(records):
        sync_run(mongo_database, results / run)
    stored = load([f"{mongod}/{mongo_database.name}"])
    same = [name for name in COLUMNS if name not in ("run_id", "source", "folder")]
    pd.testing.assert_frame_equal(records.runs[same], stored.runs[same])
    pd.testing.assert_frame_equal(records.metrics.drop(columns="run_id"), stored.metrics.drop(columns="run_id"))
    both = load([str(results), f"{mongod}/{mongo_database.name}"])
    assert len(both.runs) == 3
    assert any("3 runs are both in" in problem and "counted once" in problem for problem in both.problems)


class TestIndex:
    def test_it_changes_nothing_but_the_time(self, results):
        cold = load([str(results)], index=False)
        assert not (results / ".index.sqlite").exists()
        first, warm = load([str(results)]), load([str(results)])
        for other in (first, warm):
            pd.testing.assert_frame_equal(cold.runs, other.runs)
            pd.testing.assert_frame_equal(cold.metrics, other.metrics)

    def test_unchanged_runs_are_not_read_again(self, results, monkeypatch):
        load([str(results)])
        monkeypatch.setattr("analysis.run_folders.read", lambda *_: pytest.fail("a run was read again"))
        assert len(load([str(results)]).runs) == 3

    def test_changed_new_and_removed_runs_are_noticed(self, results):
        load([str(results)])
        shutil.rmtree(results / "sacred/8m")
        shutil.rmtree(results / "sacred/3m/mappo/2")
        write_run(results / "sacred/3m/mappo/2", {"win": [0.25]}, {"seed": 2})
        write_run(results / "sacred/3m/mappo/3", {"win": [0.75]}, {"seed": 3})
        records = load([str(results)], metrics=["win"])
        assert ids(records) == ["sacred/3m/mappo/1", "sacred/3m/mappo/2", "sacred/3m/mappo/3"]
        assert list(records.metrics["value"]) == [0.0, 0.5, 0.25, 0.75]

    @pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + bytes(4096)])
    def test_a_damaged_index_is_made_anew(self, results, content):
        (results / ".index.sqlite").write_bytes(content)
        assert len(load([str(results)]).runs) == 3
        assert sqlite3.connect(results / ".index.sqlite").execute("SELECT COUNT(*) FROM runs").fetchone() == (3,)

    def test_an_index_of_another_version_is_made_anew(self, results):
        load([str(results)])
        with sqlite3.connect(results / ".index.sqlite") as database:
            database.execute("PRAGMA user_version = 99")
            database.execute("DELETE FROM runs")
        assert len(load([str(results)]).runs) == 3

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_folder_that_cannot_be_written_is_read_without(self, results):
        results.chmod(0o555)
        assert len(load([str(results)]).runs) == 3
        results.chmod(0o755)

    def test_moved_results_are_found_where_they_are(self, results, tmp_path):
        load([str(results)])
        results.rename(tmp_path / "elsewhere")
        records = load([str(tmp_path / "elsewhere")])
        assert records.runs["folder"].iloc[0] == str(tmp_path / "elsewhere/sacred/3m/mappo/1")

    def test_a_database_that_changed_is_read_again(self, results, mongo_database, mongod):
        source = f"{mongod}/{mongo_database.name}"
        sync_run(mongo_database, results / "sacred/3m/mappo/1")
        assert len(load([source]).metrics) == 4
        changed = write_run(results / "sacred/changed/1", {"win": [0.0, 0.5, 0.75]}, token="a", minutes=20)
        sync_run(mongo_database, changed)
        assert len(load([source]).metrics) == 5
        mongo_database.runs.delete_many({})
        assert load([source]).problems == [f"{source.removeprefix('mongodb://')} holds no runs."]


class TestBadRecords:
    """A sentence each, and the other runs are still there."""

    def problem(self, results, of="3m/mappo/9", left=3):
        records = load([str(results)])
        assert len(records.runs) == left
        (sentence,) = records.problems
        assert of in sentence
        return sentence

    @pytest.mark.parametrize("name", ["config.json", "run.json", "metrics.json"])
    def test_broken_json_of_a_killed_run(self, results, name):
        folder = write_run(results / "sacred/3m/mappo/9", {"win": [1.0]}, {"seed": 9})
        text = (folder / name).read_text()
        (folder / name).write_text(text[: len(text) // 2])
        sentence = self.problem(results, left=3 if name == "config.json" else 4)
        assert f"{name} is broken JSON" in sentence

    @pytest.mark.parametrize("content", ["[]", "3", "null", '"x"'])
    def test_json_of_another_kind(self, results, content):
        folder = write_run(results / "sacred/3m/mappo/9", {"win": [1.0]}, {"seed": 9})
        (folder / "metrics.json").write_text(content)
        assert "metrics.json holds no JSON object" in self.problem(results, left=4)

    def test_a_metric_with_more_steps_than_values(self, results):
        folder = write_run(results / "sacred/3m/mappo/9", {}, {"seed": 9})
        (folder / "metrics.json").write_text('{"win": {"steps": [1, 2, 3], "values": [0.5, 0.25]}}')
        assert "3 steps but 2 values" in self.problem(results, left=4)
        assert list(load([str(results)], filters=["seed=9"]).metrics["value"]) == [0.5, 0.25]

    def test_values_that_are_no_numbers(self, results):
        folder = write_run(results / "sacred/3m/mappo/9", {}, {"seed": 9})
        (folder / "metrics.json").write_text('{"win": {"steps": [1, 2], "values": [0.5, "oops"]}, "x": 3}')
        sentence = self.problem(results, left=4)
        assert "some of its values are no numbers" in sentence
        assert "its metric x is damaged" in sentence
        np.testing.assert_equal(load([str(results)], filters=["seed=9"]).metrics["value"].to_numpy(), [0.5, np.nan])

    def test_a_run_without_metrics(self, results):
        write_run(results / "sacred/3m/mappo/9", {}, {"seed": 9})
        assert "has no metrics" in self.problem(results, left=4)

    def test_a_folder_that_a_killed_run_left_empty(self, results):
        (results / "sacred/3m/mappo/9").mkdir()
        assert "the folder is empty; it is left out" in self.problem(results)

    def test_results_without_runs(self, tmp_path):
        records = load([str(tmp_path)])
        assert records.problems == [f"{tmp_path} holds no runs."]
        assert records.runs.empty
        assert list(records.runs.columns) == list(COLUMNS)
        assert list(records.metrics.columns) == ["run_id", "metric", "step", "value"]
        assert load([str(tmp_path)], filters=["lr>1"]).runs.empty

    def test_a_folder_that_is_not_there(self, results):
        with pytest.raises(UserError, match=r'no folder ".*resuls"\. Did you mean "results"'):
            load([str(results.parent / "resuls")])

    def test_two_runs_of_the_same_seed_are_counted_once(self, results):
        write_run(results / "sacred/3m/mappo/9", {"win": [0.0, 0.5, 0.75]})
        sentence = self.problem(results, "same seed 1")
        assert "sacred/3m/mappo/9 went furthest and is the one that counts, not sacred/3m/mappo/1" in sentence
        everything = load([str(results)], everything=True).runs.set_index("run_id")["superseded"]
        assert everything["sacred/3m/mappo/1"] == "repeated as sacred/3m/mappo/9"

    def test_the_same_seed_of_another_configuration_is_another_run(self, results):
        write_run(results / "sacred/3m/mappo/9", {"win": [0.75]}, {"gamma": 0.9})
        assert len(load([str(results)]).runs) == 4

    def test_a_server_that_is_not_there(self):
        pytest.importorskip("pymongo")
        with pytest.raises(UserError, match=r"No MongoDB answers at 127\.0\.0\.1:1/x"):
            load(["mongodb://127.0.0.1:1/x"])


class TestResumedRuns:
    def chain(self, results, last_metrics):
        base = results / "sacred/3m/mappo"
        write_run(base / "7", {"win": [0.1, 0.2, 0.3]}, {"seed": 7}, token="first", status="RUNNING")
        resume = {"seed": 7, "resume": "/elsewhere/results/models/first/checkpoint.pt"}
        write_run(base / "8", last_metrics, resume, token="second", start=NOON + timedelta(hours=1))

    def test_the_last_part_counts_and_began_with_the_first(self, results):
        self.chain(results, {"win": [0.1, 0.2, 0.35, 0.4]})
        records = load([str(results)], filters=["seed=7"])
        assert ids(records) == ["sacred/3m/mappo/8"]
        assert list(records.metrics["value"]) == [0.1, 0.2, 0.35, 0.4]
        assert records.runs["started"].iloc[0] == pd.Timestamp(NOON)
        assert records.problems == []
        everything = load([str(results)], filters=["seed=7"], everything=True).runs
        assert list(everything["superseded"]) == ["resumed as sacred/3m/mappo/8", None]

    def test_a_last_part_that_got_nowhere_does_not_count(self, results):
        self.chain(results, {})
        assert ids(load([str(results)], filters=["seed=7"])) == ["sacred/3m/mappo/7"]

    def test_a_run_that_fell_silent_is_probably_dead(self, results):
        write_run(results / "sacred/3m/mappo/7", {"win": [0.1]}, {"seed": 7}, status="RUNNING")
        assert list(load([str(results)], filters=["status=PROBABLY_DEAD"]).runs["seed"]) == [7]


def test_evaluations_are_left_out(results):
    write_run(results / "sacred/3m/mappo/9", {}, {"evaluate": True})
    assert len(load([str(results)]).runs) == 3
    assert len(load([str(results)], everything=True).runs) == 4


def test_pymarl_runs_with_lists_in_info_are_read(results):
    folder = write_run(results / "sacred/3m/mappo/9", {}, {"seed": 9})
    (folder / "metrics.json").unlink()
    scalar = '{"py/object": "numpy.float64", "dtype": "float64", "value": 0.5}'
    (folder / "info.json").write_text(f'{{"win": [0.25, {scalar}], "win_T": [10, 20], "other": 3}}')
    records = load([str(results)], filters=["seed=9"])
    assert list(records.metrics["value"]) == [0.25, 0.5]
    assert list(records.metrics["step"]) == [10, 20]
    assert records.problems == []


def test_costs_of_a_killed_run_come_from_its_last_values(results):
    write_run(results / "sacred/3m/mappo/9", {"wall_seconds": [1.0, 7.5]}, {"seed": 9}, status="RUNNING")
    assert load([str(results)], filters=["seed=9"]).runs["wall_s"].iloc[0] == 7.5


def test_folders_of_several_sources_are_told_apart(results, tmp_path):
    write_run(tmp_path / "more/1", {"win": [1.0]}, {"seed": 5})
    records = load([str(results), str(tmp_path / "more")])
    assert len(set(ids(records))) == 4
    assert f"{tmp_path / 'more'}:1" in ids(records)
    nested = load([str(results), str(results / "sacred/8m")])
    assert len(nested.runs) == 3

"""Weights & Biases: a copy where it is installed, one warning where anything goes wrong, and never the end of a run."""

import importlib.util
import logging
import sys
import types

import pytest
from run_writer import config

from tracking.weights_and_biases import WeightsAndBiases

SETTINGS = config(wandb_project="amal", wandb_team="", wandb_mode="offline")


def start(tmp_path):
    return WeightsAndBiases(SETTINGS, tmp_path, "token", logging.getLogger("amal.test"))


class Fake(types.ModuleType):
    """A wandb that keeps what it is given, and fails where it is told to."""

    def __init__(self, fails=()):
        super().__init__("wandb")
        self.fails = fails
        self.rows = []
        self.options = {}

    def Settings(self, **options):
        return options

    def _may(self, what):
        if what in self.fails:
            raise RuntimeError(f"{what} failed")

    def init(self, **options):
        self._may("init")
        self.options = options
        return self

    def define_metric(self, *arguments, **options):
        pass

    def log(self, row):
        self._may("log")
        self.rows.append(row)

    def finish(self):
        self._may("finish")


def test_values_of_a_step_go_out_together(tmp_path, monkeypatch):
    fake = Fake()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    copy = start(tmp_path)
    for name, value, step in (("a", 1.0, 10), ("b", 2.0, 10), ("a", 3.0, 20), ("a", 4.0, 20)):
        copy.scalar(name, value, step)
    copy.close()
    assert fake.rows == [{"a": 1.0, "b": 2.0, "t_env": 10}, {"a": 3.0, "t_env": 20}, {"a": 4.0, "t_env": 20}]
    assert fake.options["mode"] == "offline"
    assert fake.options["config"]["env_args.map_name"] == "3m"


@pytest.mark.parametrize("fails", ["init", "log", "finish"])
def test_a_failure_is_one_warning(tmp_path, monkeypatch, caplog, fails):
    monkeypatch.setitem(sys.modules, "wandb", Fake([fails]))
    copy = start(tmp_path)
    for step in range(5):
        copy.scalar("a", 1.0, step)
    copy.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"{fails} failed" in caplog.text


def test_a_missing_package_is_one_warning_with_the_way_out(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "wandb", None)
    copy = start(tmp_path)
    copy.scalar("a", 1.0, 1)
    copy.close()
    assert len(caplog.records) == 1
    assert "pip install wandb" in caplog.text


def test_a_run_goes_on_without_it(run_main, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    settings = (f"local_results_path={tmp_path}", "t_max=40", "test_nepisode=2", "save_model=False")
    run = run_main("--config=mappo", "--env-config=matrix_game", "with", *settings, "use_wandb=True")
    assert run[0] == 0
    assert run[1].count("Weights & Biases gets nothing of this run") == 1


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is optional and not installed")
def test_the_real_package_writes_an_offline_run(tmp_path, caplog):
    copy = start(tmp_path)
    copy.scalar("test_battle_won_mean", 0.5, 100)
    copy.close()
    assert caplog.text == ""
    assert list((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))

"""Checkpoints: always whole, found again, and the streams they carry."""

import json
import os
import random

import numpy as np
import pytest
import torch

from run import checkpoints
from utils.errors import UserError

CONFIG = {
    "name": "mappo",
    "lr": 0.1,
    "t_max": 100,
    "seed": None,
    "resume": "auto",
    "env_args": {"map_name": "3m", "seed": None},
}


def label(config, seed=1):
    return {"configuration": checkpoints.configuration_hash(config), "seed": seed, "config": config}


class TestHash:
    @pytest.mark.parametrize("change", [{"t_max": 1}, {"seed": 3}, {"resume": ""}, {"device": "cpu"}, {"label": "x"}])
    def test_budgets_and_records_do_not_make_another_experiment(self, change):
        assert checkpoints.configuration_hash(CONFIG) == checkpoints.configuration_hash({**CONFIG, **change})

    @pytest.mark.parametrize("change", [{"lr": 0.2}, {"env_args": {"map_name": "8m"}}, {"new_key": 1}])
    def test_everything_else_does(self, change):
        assert checkpoints.configuration_hash(CONFIG) != checkpoints.configuration_hash({**CONFIG, **change})

    def test_the_environments_seed_and_the_order_of_keys_do_not_count(self):
        other = {**dict(reversed(CONFIG.items())), "env_args": {"seed": 5, "map_name": "3m"}}
        assert checkpoints.configuration_hash(CONFIG) == checkpoints.configuration_hash(other)


class TestFile:
    def test_what_is_saved_is_loaded(self, tmp_path):
        state = {"learner": {"w": torch.arange(3), "n": 2, "names": ["a", None, True]}, "x": (1.5, {"y": "z"})}
        path = checkpoints.save(tmp_path / "new", state, label(CONFIG))
        loaded = checkpoints.load(path)
        assert torch.equal(loaded["learner"]["w"], torch.arange(3))
        assert loaded["learner"]["names"] == ["a", None, True]
        assert loaded["x"] == (1.5, {"y": "z"})
        assert sorted(file.name for file in path.parent.iterdir()) == ["checkpoint.json", "checkpoint.pt"]

    @pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
    def test_a_failure_at_any_point_leaves_the_old_one(self, tmp_path, monkeypatch, fails):
        path = checkpoints.save(tmp_path, {"n": 1}, label(CONFIG))

        def broken(*arguments):
            raise OSError("disk full")

        def half(content, file):
            file.write_bytes(b"half")
            raise OSError("disk full")

        if fails == "write":
            monkeypatch.setattr(torch, "save", half)
        else:
            monkeypatch.setattr(os, fails, broken)
        with pytest.raises(OSError, match="disk full"):
            checkpoints.save(tmp_path, {"n": 2}, label(CONFIG))
        monkeypatch.undo()
        assert checkpoints.load(path)["n"] == 1
        assert sorted(file.name for file in tmp_path.iterdir()) == ["checkpoint.json", "checkpoint.pt"]

    def test_data_is_on_the_disk_before_it_gets_its_name(self, tmp_path, monkeypatch):
        calls = []
        fsync, replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", lambda f: (calls.append("fsync"), fsync(f)))
        monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
        checkpoints.write_atomically(tmp_path / "x", lambda path: path.write_bytes(b"1") and None)
        assert calls == ["fsync", "replace", "fsync"]

    def test_a_broken_file_is_one_sentence(self, tmp_path):
        (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
        with pytest.raises(UserError, match="cannot be read") as error:
            checkpoints.load(tmp_path / "checkpoint.pt")
        assert "\n" not in str(error.value)

    def test_another_format_is_refused(self, tmp_path):
        torch.save({"format": 99}, tmp_path / "checkpoint.pt")
        with pytest.raises(UserError, match="has format 99; this version reads format 2"):
            checkpoints.load(tmp_path / "checkpoint.pt")

    def test_a_folder_that_was_moved_takes_its_files_along(self, tmp_path):
        before, after = tmp_path / "before" / "token", tmp_path / "after" / "token"
        elsewhere = str(tmp_path / "elsewhere" / "buffer")
        state = {"buffer": {"frames": {"directory": str(before / "buffer" / "real")}, "directory": elsewhere}}
        checkpoints.save(before, state, {})
        after.parent.mkdir()
        before.rename(after)
        buffer = checkpoints.load(after / "checkpoint.pt")["buffer"]
        assert buffer == {"frames": {"directory": str(after / "buffer" / "real")}, "directory": elsewhere}

    def test_nothing_in_a_checkpoint_is_executed(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (os.mkdir, (str(tmp_path / "executed"),))

        torch.save({"format": 1, "x": Evil()}, tmp_path / "checkpoint.pt")
        with pytest.raises(UserError):
            checkpoints.load(tmp_path / "checkpoint.pt")
        assert not (tmp_path / "executed").exists()


class TestFind:
    def save(self, models, token, config, seed, age):
        path = checkpoints.save(models / token, {}, label(config, seed))
        os.utime(path, (1000.0 - age, 1000.0 - age))
        return path

    def test_auto_takes_the_newest_of_this_configuration_and_seed(self, tmp_path):
        self.save(tmp_path, "old", CONFIG, 1, age=30)
        of_seed_1 = self.save(tmp_path, "new", CONFIG, 1, age=20)
        of_seed_2 = self.save(tmp_path, "seed2", CONFIG, 2, age=10)
        self.save(tmp_path, "other", {**CONFIG, "lr": 0.2}, 1, age=0)
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "checkpoint.json").write_text("{")
        assert checkpoints.find("auto", tmp_path, {**CONFIG, "seed": 1}) == of_seed_1
        assert checkpoints.find("auto", tmp_path, CONFIG) == of_seed_2
        assert checkpoints.find("auto", tmp_path, {**CONFIG, "seed": 3}) is None

    def test_auto_does_not_cross_the_border_of_an_experiment(self, tmp_path):
        inside = {**CONFIG, "experiment": "small", "experiment_run": "mappo_3m_seed1"}
        alone = self.save(tmp_path, "alone", CONFIG, 1, age=30)
        part = self.save(tmp_path, "part", inside, 1, age=20)
        assert checkpoints.find("auto", tmp_path, CONFIG) == alone
        assert checkpoints.find("auto", tmp_path, inside) == part
        assert checkpoints.find("auto", tmp_path, {**inside, "experiment": "other"}) is None
        assert checkpoints.require_same(part, {**CONFIG, "seed": 1}) == 1  # named by its path it may go on anywhere

    def test_a_path_may_be_the_folder_or_the_file(self, tmp_path):
        path = self.save(tmp_path, "token", CONFIG, 1, age=0)
        assert checkpoints.find(str(path), tmp_path, CONFIG) == path
        assert checkpoints.find(str(path.parent), tmp_path, CONFIG) == path
        with pytest.raises(UserError, match="names no checkpoint"):
            checkpoints.find(str(tmp_path / "nowhere"), tmp_path, CONFIG)

    def test_another_configuration_is_refused_by_its_keys(self, tmp_path):
        path = self.save(tmp_path, "token", CONFIG, 1, age=0)
        assert checkpoints.require_same(path, {**CONFIG, "t_max": 7}) == 1
        with pytest.raises(UserError, match="of another configuration: gamma, lr differ"):
            checkpoints.require_same(path, {**CONFIG, "lr": 0.2, "gamma": 1})
        with pytest.raises(UserError, match="is of seed 1, not 2"):
            checkpoints.require_same(path, {**CONFIG, "seed": 2})

    def test_a_checkpoint_without_its_label_is_refused(self, tmp_path):
        path = self.save(tmp_path, "token", CONFIG, 1, age=0)
        path.with_name("checkpoint.json").unlink()
        with pytest.raises(UserError, match=r"no readable checkpoint\.json"):
            checkpoints.require_same(path, CONFIG)


def test_random_streams_continue(tmp_path):
    def draw():
        return random.random(), np.random.normal(), torch.rand(1).item()

    np.random.normal()  # leaves a second normal number in NumPy's cache, which the state must carry
    path = checkpoints.save(tmp_path, {"random": checkpoints.random_state()}, label(CONFIG))
    expected = [draw() for _ in range(3)]
    checkpoints.set_random_state(checkpoints.load(path)["random"])
    assert [draw() for _ in range(3)] == expected
    assert json.loads((tmp_path / "checkpoint.json").read_text())["seed"] == 1

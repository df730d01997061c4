"""The run's folder."""

import json
import os
from datetime import datetime

import pytest

from tracking.observers import RunFolder

NOON = datetime(2026, 1, 1, 12)


@pytest.fixture
def start(tmp_path):
    def started(_id=None):
        folder = RunFolder(tmp_path / "runs")
        experiment = {"sources": [], "base_dir": str(tmp_path), "name": "x"}
        returned = folder.started_event(experiment, "train", {}, NOON, {"seed": 1}, {}, _id)
        return folder, returned

    return started


def test_runs_are_numbered(start, tmp_path):
    assert [os.path.basename(start()[0].dir) for _ in range(3)] == ["1", "2", "3"]


def test_a_number_chosen_elsewhere_is_taken_only_if_it_is_free(start):
    folder, returned = start(7)
    assert (os.path.basename(folder.dir), returned) == ("7", 7)
    folder, returned = start(7)
    assert (os.path.basename(folder.dir), returned) == ("8", 7)


def test_a_write_that_fails_leaves_the_old_file(start, monkeypatch):
    folder, _ = start()
    folder.save_json({"a": 1}, "x.json")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        folder.save_json({"a": 2}, "x.json")
    with open(os.path.join(folder.dir, "x.json")) as file:
        assert json.load(file) == {"a": 1}


def test_a_beat_writes_a_copy_of_info(start):
    folder, _ = start()
    info = {"loss": [1.0]}
    folder.heartbeat_event(info, "", NOON, None)
    info["loss"].append(2.0)
    assert folder.info == {"loss": [1.0]}

"""The copy of a run in MongoDB: complete, in sacred's form, and never in the way."""

import json
import logging
import subprocess
import time
from datetime import timedelta

import mongo_server
import pytest
from run_writer import NOON, write_run

from tracking import mongo
from tracking.mongo import MongoRecords
from tracking.observers import RunFolder
from tracking.sync import MARKER, catch_up, sync_run

EXPERIMENT = {"name": "amal", "sources": [], "base_dir": "."}


class Recorder:
    """Plays sacred: a run folder and a database copy that get the same events."""

    def __init__(self, tmp_path, client, name, token="token-1", basedir=None):
        self.folder = RunFolder(basedir or tmp_path / "sacred" / "3m" / "mappo")
        console = logging.getLogger("amal.test")
        self.copy = MongoRecords(client, name, "here:1", self.folder, console)
        self.sent = {}
        start = (dict(EXPERIMENT), "train", {"hostname": "vm"}, NOON, {"name": "mappo", "seed": 1}, {"token": token})
        self.id = self.folder.started_event(*start, None)
        self.copy.started_event(*start, self.id)

    def log(self, name, *points):
        times = [NOON + timedelta(seconds=step) for step, _ in points]
        new = {"steps": [s for s, _ in points], "values": [v for _, v in points], "timestamps": times}
        for observer in (self.folder, self.copy):
            observer.log_metrics({name: {key: list(value) for key, value in new.items()}}, {})
        sent = self.sent.setdefault(name, {"steps": [], "values": []})
        sent["steps"] += new["steps"]
        sent["values"] += new["values"]

    def beat(self):
        for observer in (self.folder, self.copy):
            observer.heartbeat_event({"loss": [1.0], "loss_T": [5]}, "printed", NOON, None)

    def complete(self):
        for observer in (self.folder, self.copy):
            observer.completed_event(NOON + timedelta(hours=1), 0.5)

    def stored(self, database):
        return {
            metric["name"]: {"steps": metric["steps"], "values": metric["values"]}
            for metric in database.metrics.find({"run_id": database.runs.find_one({"meta.token": "token-1"})["_id"]})
        }


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_run_is_stored_as_sacred_does(tmp_path, mongo_database):
    run = Recorder(tmp_path, mongo_database.client, mongo_database.name)
    run.log("win", (10, 0.25), (20, 0.5))
    run.log("loss", (10, float("nan")))
    run.beat()
    wait_for(lambda: (mongo_database.runs.find_one() or {}).get("heartbeat"))
    assert mongo_database.runs.find_one()["status"] == "RUNNING"
    run.log("win", (30, 1.0))
    run.beat()
    run.complete()
    document = mongo_database.runs.find_one()
    assert (document["_id"], document["status"], document["result"]) == (1, "COMPLETED", 0.5)
    assert document["config"] == {"name": "mappo", "seed": 1}
    assert document["captured_out"] == "printed"
    assert document["info"]["loss"] == [1.0]
    assert run.stored(mongo_database)["win"] == {"steps": [10, 20, 30], "values": [0.25, 0.5, 1.0]}
    listed = {entry["name"]: entry["id"] for entry in document["info"]["metrics"]}
    assert {str(metric["_id"]) for metric in mongo_database.metrics.find()} == set(listed.values())
    assert not (tmp_path / "sacred/3m/mappo/1" / MARKER).exists()


def test_ids_count_up_and_have_nothing_to_do_with_the_folders(tmp_path, mongo_database):
    mongo_database.runs.insert_one({"_id": 41})
    first = Recorder(tmp_path, mongo_database.client, mongo_database.name, "a")
    second = Recorder(tmp_path, mongo_database.client, mongo_database.name, "b")
    first.complete()
    second.complete()
    assert (first.id, second.id) == ("1", "2")
    assert sorted(run["_id"] for run in mongo_database.runs.find()) == [41, 42, 43]


def test_values_that_bson_cannot_hold_become_text(tmp_path, mongo_database):
    run = Recorder(tmp_path, mongo_database.client, mongo_database.name)
    run.copy.heartbeat_event({"odd": {1: 2}, "big": 2**80}, "", NOON, None)
    run.complete()
    info = mongo_database.runs.find_one()["info"]
    assert info["odd"] == {"1": 2}
    assert info["big"] == str(2**80)


def test_a_server_killed_in_the_middle_loses_no_metric(tmp_path, start_mongod, monkeypatch, caplog):
    import pymongo

    monkeypatch.setattr(mongo, "RETRY_SECONDS", 0.1)
    caplog.set_level("INFO")
    server = start_mongod()
    client = pymongo.MongoClient(server.url, serverSelectionTimeoutMS=300, connectTimeoutMS=300)
    run = Recorder(tmp_path, client, "records")
    marker = tmp_path / "sacred/3m/mappo/1" / MARKER
    run.log("win", (10, 0.1))
    run.beat()
    wait_for(lambda: client.records.metrics.find_one({"steps": [10]}))
    server.kill()
    start = time.monotonic()
    for step in range(20, 60, 10):
        run.log("win", (step, step / 100))
        run.log("loss", (step, 1.0))
        run.beat()
    assert time.monotonic() - start < 0.5  # the run did not wait
    wait_for(marker.exists)
    assert "cannot be written" in caplog.text
    server.start()
    wait_for(lambda: not marker.exists())
    run.log("win", (60, 0.6))
    run.beat()
    run.complete()
    assert run.stored(client.records) == run.sent
    assert client.records.runs.find_one()["status"] == "COMPLETED"
    assert "is back" in caplog.text


def test_a_server_that_stays_away_is_caught_up_at_the_next_start(tmp_path, start_mongod, monkeypatch, caplog):
    import pymongo

    monkeypatch.setattr(mongo, "RETRY_SECONDS", 0.1)
    caplog.set_level("INFO")
    server = start_mongod()
    client = pymongo.MongoClient(server.url, serverSelectionTimeoutMS=300, connectTimeoutMS=300)
    run = Recorder(tmp_path, client, "records")
    run.log("win", (10, 0.1))
    run.beat()
    wait_for(lambda: client.records.metrics.find_one())
    server.kill()
    run.log("win", (20, 0.2))
    run.beat()
    start = time.monotonic()
    run.complete()
    assert time.monotonic() - start < 5
    folder = tmp_path / "sacred/3m/mappo/1"
    assert (folder / MARKER).exists()
    assert f"query.py --sync {folder} --to mongodb://here:1/records" in caplog.text
    server.start()
    other = Recorder(tmp_path, client, "records", "token-2", tmp_path / "sacred" / "8m" / "amal")
    wait_for(lambda: not (folder / MARKER).exists())
    other.complete()
    assert run.stored(client.records) == run.sent
    assert client.records.runs.find_one({"meta.token": "token-1"})["status"] == "COMPLETED"


def test_a_second_writer_adds_only_what_is_missing(tmp_path, mongo_database):
    folder = write_run(tmp_path / "1", {"win": [0.1, 0.2], "loss": [1.0]}, token="t")
    assert sync_run(mongo_database, folder) == 3
    assert sync_run(mongo_database, folder) == 0
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["win"] = {"steps": [100, 200, 300], "values": [0.1, 0.2, 0.3], "timestamps": [NOON.isoformat()] * 3}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert sync_run(mongo_database, folder) == 1
    assert mongo_database.runs.count_documents({}) == 1
    assert mongo_database.metrics.find_one({"name": "win"})["values"] == [0.1, 0.2, 0.3]


def test_runs_recorded_without_a_token_are_recognised_too(tmp_path, mongo_database):
    folder = write_run(tmp_path / "1", {"win": [0.1]})
    assert [sync_run(mongo_database, folder), sync_run(mongo_database, folder)] == [1, 0]
    assert mongo_database.runs.count_documents({}) == 1


def test_runs_that_still_run_and_those_of_other_databases_are_left_alone(tmp_path, mongo_database):
    for number, named in ((1, "here:1/other"), (2, "here:1/records")):
        folder = write_run(tmp_path / "3m/mappo" / str(number), {"win": [0.1]}, token=f"t{number}")
        (folder / MARKER).write_text(json.dumps({"database": named}))
    assert catch_up(mongo_database, "here:1/records", tmp_path) == 1
    assert [run["meta"]["token"] for run in mongo_database.runs.find()] == ["t2"]


class TestCommandLine:
    TINY = ("--config=mappo", "--env-config=matrix_game")

    def run(self, run_main, tmp_path, *updates):
        settings = (f"local_results_path={tmp_path}", "t_max=60", "test_nepisode=2", "seed=3", "save_model=False")
        return run_main(*self.TINY, "with", *settings, "checkpoint_interval=0", *updates)

    def test_the_database_holds_what_the_files_hold(self, run_main, tmp_path, mongod, mongo_database):
        code, out, err = self.run(run_main, tmp_path, f"mongo_url={mongod}", f"mongo_db={mongo_database.name}")
        assert code == 0, out + err
        (folder,) = (tmp_path / "sacred").glob("*/*/1")
        files = json.loads((folder / "metrics.json").read_text())
        stored = {metric["name"]: metric for metric in mongo_database.metrics.find()}
        assert {name: (m["steps"], m["values"]) for name, m in files.items()} == {
            name: (m["steps"], m["values"]) for name, m in stored.items()
        }
        document = mongo_database.runs.find_one()
        assert document["status"] == "COMPLETED"
        assert document["info"]["summary"] == json.loads((folder / "summary.json").read_text())
        names = [name for name, _ in document["experiment"]["sources"]]
        assert "main.py" in names
        assert mongo_database["fs.files"].count_documents({"filename": "main.py"}) == 1

    def test_a_server_that_is_not_there_ends_the_command_in_a_sentence(self, run_main, tmp_path):
        start = time.monotonic()
        code, _, err = self.run(run_main, tmp_path, f"mongo_url=mongodb://127.0.0.1:{mongo_server.free_port()}")
        assert code == 2
        assert err.count("\n") == 1
        assert "No MongoDB answers at 127.0.0.1:" in err
        assert time.monotonic() - start < 20
        assert not (tmp_path / "sacred").exists()

    @pytest.mark.parametrize(
        "how", [("with", "mongo_url=mongodb://ann:hunter2@here:1"), ("-m", "ann:hunter2@here:1:db")]
    )
    def test_a_password_on_the_command_line_is_refused_and_not_repeated(self, run_main, how):
        code, out, err = run_main(*self.TINY, *how)
        assert code == 2
        assert "AMAL_MONGO_PASSWORD" in err
        assert "hunter2" not in out + err

    def test_no_secret_reaches_any_record(self, run_main, tmp_path, start_mongod, monkeypatch):
        import pymongo

        server = start_mongod(auth=True)
        with pymongo.MongoClient(server.url) as client:
            client.admin.command("createUser", "ann", pwd="hunter2", roles=["readWriteAnyDatabase"])
        monkeypatch.setenv("AMAL_MONGO_URL", server.url.replace("//", "//ann:hunter2@") + "/records?authSource=admin")
        code, out, err = self.run(run_main, tmp_path, "use_tensorboard=True")
        assert code == 0, out + err
        assert "hunter2" not in out + err
        files = [path for path in tmp_path.rglob("*") if path.is_file() and "mongod" not in str(path)]
        assert len(files) > 5
        assert not [path for path in files if b"hunter2" in path.read_bytes()]
        with pymongo.MongoClient(server.url, username="ann", password="hunter2") as client:
            assert "hunter2" not in str(client.records.runs.find_one())
            assert client.records.runs.find_one()["status"] == "COMPLETED"

    @pytest.mark.long
    def test_a_training_run_outlives_a_kill_of_the_database(self, command, tmp_path, start_mongod):
        import pymongo

        server = start_mongod()
        settings = [f"local_results_path={tmp_path / 'results'}", "env_args.map_name=2m_vs_1m", "t_max=1000000"]
        intervals = ["test_interval=500", "test_nepisode=4", "log_interval=500", "runner_log_interval=500"]
        more = ["max_minutes=0.5", "stop_win_rate=0", "checkpoint_interval=0", f"mongo_url={server.url}/records"]
        run = subprocess.Popen([*command, "--config=mappo", "-b", "1", "with", *settings, *intervals, *more])
        with pymongo.MongoClient(server.url) as client:
            wait_for(lambda: client.records.metrics.count_documents({"name": "test_battle_won_mean"}), 120)
            server.kill()
            time.sleep(6)
            server.start()
            assert run.wait(120) == 0
            (folder,) = (tmp_path / "results" / "sacred").glob("*/*/1")
            files = json.loads((folder / "metrics.json").read_text())
            stored = {metric["name"]: metric for metric in client.records.metrics.find()}
            assert {name: m["values"] for name, m in files.items()} == {n: m["values"] for n, m in stored.items()}
            assert len(files["test_battle_won_mean"]["values"]) > 20
            assert client.records.runs.find_one()["status"] == "COMPLETED"
        assert "is back and has everything" in (folder / "cout.txt").read_text()

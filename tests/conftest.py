"""What several folders of tests share."""

import os
import secrets
import sys
from pathlib import Path

import mongo_server
import pytest
import torch
from hypothesis import settings

# The same examples in every run, so that a change is judged by what it changed;
# `pytest --hypothesis-profile=default` looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")
torch.set_num_threads(1)  # the networks are small; threads that wait for each other take minutes on a busy machine

ROOT = Path(__file__).resolve().parent.parent


def pytest_xdist_auto_num_workers(config):
    """The whole suite on every core; what is named on the command line in this process, where a debugger works."""
    named = [word for word in config.invocation_params.args if Path(str(word).split("::")[0]).exists()]
    return 0 if named else len(os.sched_getaffinity(0))


@pytest.fixture
def run_main(capsys):
    """Call the command line in this process: `run_main("--config=x", "with", "a=1") -> (exit code, stdout, stderr)`."""
    from main import main

    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def command():
    """The command line as a list, for tests that need a process of its own."""
    return [sys.executable, str(ROOT / "src" / "main.py")]


@pytest.fixture(scope="session")
def mongod(tmp_path_factory):
    """The address of a MongoDB server: the one that AMAL_TEST_MONGO_URL names, else one that is started for the tests.

    Where there is none the test is skipped, but under CI it fails.
    """
    _require_mongo(mongo_server.unavailable())
    if os.environ.get(mongo_server.URL):
        yield os.environ[mongo_server.URL]
        return
    server = mongo_server.MongoServer(tmp_path_factory.mktemp("mongod")).start()
    yield server.url
    server.stop()


@pytest.fixture
def mongo_database(mongod):
    """A database of its own on that server, as pymongo gives it; dropped in the end."""
    import pymongo

    with pymongo.MongoClient(mongod) as client:
        database = client[f"amal_test_{secrets.token_hex(4)}"]
        yield database
        client.drop_database(database.name)


@pytest.fixture
def start_mongod(tmp_path):
    """Start a server of the test's own, which it may kill: `start_mongod() -> MongoServer`."""
    _require_mongo(mongo_server.unavailable() or ("" if mongo_server.executable() else "no mongod that may be killed"))
    started = []

    def start(**options):
        started.append(mongo_server.MongoServer(tmp_path / f"mongod{len(started)}", **options).start())
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(autouse=True)
def no_database_of_the_user(monkeypatch, tmp_path_factory):
    """Tests must not write into the MongoDB, nor the index folder, of whoever runs them."""
    for name in ("AMAL_MONGO_URL", "AMAL_MONGO_USER", "AMAL_MONGO_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AMAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def _require_mongo(missing):
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)


@pytest.fixture(autouse=True)
def no_game_of_the_user(monkeypatch):
    """Where StarCraft II is installed, tests still play on the embedded engine unless they say otherwise."""
    monkeypatch.setenv("SC2PATH", "")

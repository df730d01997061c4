"""TensorBoard: the names of the records, hparams and a board of win rates, read back and served by the real thing."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request

import mongo_server
import pytest
from run_writer import config

from tracking.tensorboard import BOARD, TensorBoard, hyperparameters


@pytest.fixture
def logs(tmp_path):
    """Two runs of different algorithms."""
    for name, more, win in (("mappo", {"eps_clip": 0.2}, 0.5), ("amal", {"lambda_info": 0.3}, 1.0)):
        board = TensorBoard(tmp_path / f"{name}_seed1", config(name=name, **more))
        for step in (100, 200):
            board.scalar("test_battle_won_mean", win * step / 200, step)
            board.scalar("return_mean", 10.0, step)
        board.close()
    return tmp_path


def test_scalars_keep_the_names_of_the_records(logs):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logs / "amal_seed1"), size_guidance={"scalars": 0})
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"test_battle_won_mean", "return_mean"}
    assert [(e.step, e.value) for e in events.Scalars("test_battle_won_mean")] == [(100, 0.5), (200, 1.0)]


def test_hparams_are_what_makes_a_difference():
    shown = hyperparameters(config(seed=4))
    assert list(shown)[:4] == ["name", "env_args.map_name", "seed", "t_max"]
    assert shown["lr"] == 0.0005
    assert shown["hidden_layers"] == "[64, 64]"
    assert not {"resume", "label", "env_args.seed", "env_args"} & set(shown)


def test_a_server_shows_hparams_and_the_board_of_all_runs(logs):
    port = mongo_server.free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), "--port", str(port)]
    server = subprocess.Popen([*command, "--host", "127.0.0.1", "--load_fast=false"], stderr=subprocess.DEVNULL)

    def ask(path, content=None):
        data = None if content is None else json.dumps(content).encode()
        url = f"http://127.0.0.1:{port}/data/plugin/{path}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    try:
        end = time.monotonic() + 90
        while True:
            try:
                if len(ask("scalars/tags")) == 2:
                    break
            except (urllib.error.URLError, ConnectionError):
                pass
            assert time.monotonic() < end, "tensorboard does not start"
            time.sleep(0.2)
        assert set(ask("scalars/tags")["mappo_seed1"]) == {"test_battle_won_mean", "return_mean"}
        layout = ask("custom_scalars/layout")
        titles = {board["title"]: [chart["title"] for chart in board["chart"]] for board in layout["category"]}
        assert titles == {board: list(charts) for board, charts in BOARD.items()}
        keys = {info["name"] for info in ask("hparams/experiment", {"experimentName": ""})["hparamInfos"]}
        assert {"name", "eps_clip", "lambda_info"} <= keys
        groups = ask(
            "hparams/session_groups",
            {
                "experimentName": "",
                "allowedStatuses": ["STATUS_SUCCESS", "STATUS_RUNNING", "STATUS_UNKNOWN"],
                "colParams": [{"metric": {"tag": "test_battle_won_mean", "group": ""}, "order": "ORDER_DESC"}],
                "startIndex": 0,
                "sliceSize": 10,
            },
        )["sessionGroups"]
        assert [group["hparams"]["name"] for group in groups] == ["amal", "mappo"]
        metrics = {m["name"]["tag"]: m["value"] for group in groups[:1] for m in group["metricValues"]}
        assert metrics["test_battle_won_mean"] == 1.0
        assert groups[0]["sessions"][0]["status"] == "STATUS_SUCCESS"
    finally:
        server.terminate()
        server.wait(30)

"""save_replay, replay_episodes and replay_to: what a run writes, and what it refuses before playing."""

import csv
from types import SimpleNamespace

import pytest

from run import replays
from runners.lockstep_runner import EnvServer
from skirmish.replay import load
from utils.errors import UserError

SMALL = ("--config=mappo", "with", "env_args.map_name=3m", "rnn_hidden_dim=8", "use_tensorboard=False", "seed=1")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Models after a few episodes on 3m."""
    from main import main

    results = tmp_path_factory.mktemp("results")
    short = ("t_max=100", "test_interval=100000", "batch_size_run=2", "buffer_size=2", "batch_size=2")
    assert main([*SMALL, *short, f"local_results_path={results}", "test_nepisode=1"]) == 0
    return next((results / "models").iterdir())


@pytest.mark.parametrize("runner", ["vector", "episode", pytest.param("parallel", marks=pytest.mark.long)])
def test_the_first_test_episodes_are_recorded_under_their_numbers(run_main, models, tmp_path, runner):
    code, _, err = run_main(
        *SMALL, "evaluate=True", "save_replay=True", "replay_episodes=3", "test_nepisode=4",
        f"checkpoint_path={models}", "batch_size_run=2", "buffer_size=2", "batch_size=2", f"runner={runner}",
        f"local_results_path={tmp_path}",
        *(["replay_to=html"] if runner == "vector" else []),
    )  # fmt: skip
    assert code == 0, err
    (folder,) = tmp_path.glob("sacred/3m/mappo/*/replays")
    assert sorted(path.stem for path in folder.glob("*.npz")) == ["3m_0000", "3m_0001", "3m_0002"]
    assert len(list(folder.glob("*.html"))) == (3 if runner == "vector" else 0)
    with open(folder.parent / "evaluation.csv") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows[:3]):
        result = load(folder / f"3m_{number:04d}.npz").result
        assert result["length"] == int(row["length"])
        assert result["return"] == pytest.approx(float(row["return"]), rel=1e-6)
        assert result["dead_enemies"] == int(row["dead_enemies"])


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["save_replay=True"], "give evaluate=True and checkpoint_path="),
        (["replay_to=html"], "shows what save_replay=True records"),
        (["save_replay=True", "evaluate=True", "replay_to=htm"], 'Did you mean "html"?'),
        (["replay_episodes=0"], "replay_episodes=0 is out of range"),
    ],
)
def test_mistakes_are_refused_before_anything_is_played(run_main, tmp_path, keys, words):
    code, _, err = run_main(*SMALL, *keys, f"local_results_path={tmp_path}")
    assert code == 2
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_a_runner_without_recording_is_refused():
    args = SimpleNamespace(replay_episodes=1, test_nepisode=1)
    with pytest.raises(UserError, match='the runner "SimpleNamespace" records no replays of this environment'):
        replays.begin(SimpleNamespace(record_replays=lambda folder, episodes: False), args, "folder")


def test_an_environment_of_its_own_kind_is_asked_after_the_last_episode():
    environment = SimpleNamespace(save_replay=lambda: None)
    assert EnvServer(environment).handle("record_replays", {"folder": "x", "episodes": 1}) is False
    runner = SimpleNamespace(record_replays=lambda folder, episodes: False, save_replay=lambda: None)
    assert replays.begin(runner, SimpleNamespace(replay_episodes=1, test_nepisode=1), "folder") is False


def test_only_our_own_replays_can_be_shown(tmp_path):
    assert replays.show(tmp_path, "") == []
    with pytest.raises(UserError, match="only replays of the embedded engine"):
        replays.show(tmp_path, "html")

"""The actor's file: what it holds, that it is always whole, and what is said of one that does not fit."""

import json
import os
from types import SimpleNamespace

import pytest
import torch

from run import actor_file
from utils.errors import UserError

SMALL = [
    *("env_args.map_name=2m_vs_1m", "batch_size_run=2", "test_nepisode=4", "test_interval=200", "stop_win_rate=0"),
    *("log_interval=100", "runner_log_interval=100", "learner_log_interval=100", "t_max=150", "seed=3"),
]


@pytest.fixture
def run_small(run_main, tmp_path):
    """Run an algorithm on a small battle; results go under tmp_path."""

    def call(algorithm, *updates):
        return run_main(f"--config={algorithm}", "with", *SMALL, f"local_results_path={tmp_path / 'results'}", *updates)

    return call


def rows_of(results, number):
    (table,) = results.glob(f"sacred/*/*/{number}/evaluation.csv")
    return table.read_text()


@pytest.mark.parametrize(
    ("algorithm", "keys"), [("mappo", []), ("mappo", ["frame_stack=3", "rnn_hidden_dim=0"]), ("qmix", ["batch_size=2"])]
)
def test_train_and_export_then_evaluate_and_go_on(run_small, tmp_path, algorithm, keys):
    team, copy, results = tmp_path / "new" / "team.pt", tmp_path / "copy.pt", tmp_path / "results"
    code, out, err = run_small(algorithm, *keys, f"save_actor={team}")
    assert (code, err) == (0, "")
    assert str(team) in out
    models = next((results / "models").iterdir())
    evaluation = (algorithm, *keys, "evaluate=True")
    assert run_small(*evaluation, f"checkpoint_path={models}", f"save_actor={copy}")[0] == 0
    code, out, err = run_small(*evaluation, f"load_actor={team}")
    assert (code, err) == (0, "")
    assert f"Actor loaded from {team}: {algorithm} on 2m_vs_1m (skirmish)" in out
    assert rows_of(results, 2) == rows_of(results, 3), "the same episodes as with the run's models"
    first, second = actor_file.read(team), actor_file.read(copy)
    assert first.t_env == second.t_env > 150
    assert all(torch.equal(first.weights[name], value) for name, value in second.weights.items())
    assert run_small(algorithm, *keys, f"load_actor={team}", "t_max=10")[0] == 0


def test_training_starts_from_the_loaded_network_and_its_copies(run_small, tmp_path, monkeypatch):
    from learners.q_learner import QLearner

    team = tmp_path / "team.pt"
    assert run_small("vdn", f"save_actor={team}", "t_max=10")[0] == 0
    started = []
    monkeypatch.setattr(QLearner, "train", lambda self, *a: started.append((self.mac, self.target_mac)))
    assert run_small("vdn", f"load_actor={team}", "batch_size=2", "t_max=10", "seed=9")[0] == 0
    weights = actor_file.read(team).weights
    for mac in started[0]:
        assert all(torch.equal(value, weights[name]) for name, value in mac.agent.state_dict().items())


def test_the_file_is_small_plain_and_silent_about_its_maker(run_small, tmp_path):
    team = tmp_path / "team.pt"
    assert run_small("amal", f"save_actor={team}", "t_max=10", "world_model_hidden=[8]")[0] == 0
    content = torch.load(team, weights_only=True)
    assert set(content) == {"format", "kind", "config", "env_info", "t_env", "weights"}
    json.dumps([content["config"], content["env_info"]])
    assert not {"mongo_url", "local_results_path", "checkpoint_path", "save_actor"} & set(content["config"])
    assert content["config"]["engine_info"]["engine"] == "skirmish"
    assert (content["config"]["agent"], content["config"]["action_selector"]) == ("ppo_rnn", "multinomial")
    assert content["env_info"]["n_agents"] == 2
    assert team.stat().st_size < 400_000
    assert all(name.startswith(("trunk.", "head.")) for name in content["weights"])


@pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
def test_a_failure_at_any_point_leaves_the_old_file(tmp_path, monkeypatch, fails):
    mac = SimpleNamespace(agent=torch.nn.Linear(2, 2))
    path = actor_file.write(tmp_path / "team.pt", mac, {"name": "x"}, {"n_agents": 2}, 5)

    def broken(*arguments):
        raise OSError("disk full")

    def half(content, file):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(*((torch, "save", half) if fails == "write" else (os, fails, broken)))
    with pytest.raises(OSError, match="disk full"):
        actor_file.write(path, mac, {"name": "y"}, {"n_agents": 2}, 6)
    monkeypatch.undo()
    assert actor_file.read(path).t_env == 5
    assert [file.name for file in tmp_path.iterdir()] == ["team.pt"]


class TestMistakes:
    @pytest.fixture
    def team(self, run_small, tmp_path):
        path = tmp_path / "team.pt"
        assert run_small("mappo", f"save_actor={path}", "t_max=10")[0] == 0
        return path

    @pytest.mark.parametrize(
        ("keys", "sentence"),
        [
            (["env_args.map_name=3m"], "is for 2 agents, 7 actions, 15 numbers in an observation; this run has 3"),
            (["agent=ff"], "has agent=ppo_rnn; this run has agent=ff. Take --config=mappo or give these keys."),
            (["frame_stack=2", "obs_agent_id=False"], "has obs_agent_id=True, frame_stack=1; this run has"),
            (["checkpoint_path=x"], "checkpoint_path and load_actor both say what to start from"),
        ],
    )
    def test_an_actor_that_does_not_fit_is_refused_in_a_sentence(self, run_small, team, keys, sentence):
        code, _, err = run_small("mappo", f"load_actor={team}", *keys)
        assert code == 2
        assert sentence in err
        assert err.count("\n") == 1

    def test_another_network_under_the_same_keys_is_refused(self, team):
        with pytest.raises(UserError, match=r"mappo on 2m_vs_1m.* does not fit this network"):
            actor_file.put_weights(SimpleNamespace(agent=torch.nn.Linear(2, 2)), actor_file.read(team), team)

    def test_what_is_no_actor_file_is_refused(self, run_small, tmp_path):
        missing, junk, other = (tmp_path / name for name in ("missing.pt", "junk.pt", "other.pt"))
        junk.write_bytes(b"junk")
        torch.save({"format": actor_file.FORMAT}, other)
        sentences = {missing: "There is no actor file", junk: "cannot be read", other: "is no actor file"}
        for path, sentence in sentences.items():
            code, _, err = run_small("mappo", "evaluate=True", f"load_actor={path}")
            assert code == 2
            assert sentence in err

    def test_what_cannot_be_written_is_refused_before_anything_is_played(self, run_small, tmp_path):
        (tmp_path / "file").touch()
        for path, sentence in ((tmp_path, "is a folder"), (tmp_path / "file" / "team.pt", "cannot be written")):
            code, _, err = run_small("mappo", f"save_actor={path}")
            assert code == 2
            assert sentence in err
        assert not (tmp_path / "results").exists()

    def test_runs_of_an_experiment_cannot_share_a_file(self, run_small, tmp_path):
        code, _, err = run_small("mappo", f"save_actor={tmp_path / 't.pt'}", "experiment=x", "experiment_run=y")
        assert (code, "all runs of an experiment" in err) == (2, True)

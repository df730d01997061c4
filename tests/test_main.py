"""The command line from end to end: exit codes, sentences, records. Short runs on the small map 2m_vs_1m."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tracking.resources import MACHINE_METRICS

SOURCE = Path(__file__).resolve().parents[1] / "src"
SMALL = [
    *("env_args.map_name=2m_vs_1m", "batch_size_run=2", "stop_win_rate=0"),
    *("test_nepisode=2", "test_interval=200"),
    *("log_interval=100", "runner_log_interval=100", "learner_log_interval=100"),
]

# AMAL with every part at work within a few hundred steps
SMALL_AMAL = [
    *("world_model_min_steps=100", "world_model_first_updates=5", "world_model_updates_per_step=0.02"),
    *("imagination_start_steps=150", "imagination_updates=1", "imagination_rollouts=16", "imagined_epochs=1"),
    *("num_auxiliary_agents=4", "evolution_frequency=2", "cem_population_size=20", "cem_generations=2"),
    *("reuse_batches=1", "imagination_max_error=1.0", "isolation_shadow=True"),
]

# A ring that goes round, so that files of episodes come and go
SMALL_QMIX = ["buffer_size=60", "batch_size=16", "rnn_hidden_dim=16"]

# As shipped, on 3m; the run is killed after its first checkpoint
LONG = ["env_args.map_name=3m", "batch_size_run=16", "t_max=4000", "checkpoint_interval=2500", "test_nepisode=32"]


@pytest.fixture
def train(run_main, tmp_path):
    """Train MAPPO on a small battle; results go under tmp_path."""

    def call(*updates, name="results"):
        return run_main("--config=mappo", "with", *SMALL, f"local_results_path={tmp_path / name}", *updates)

    return call


def run_folder(results, number=1, map_name="2m_vs_1m"):
    return results / "sacred" / map_name / "mappo" / str(number)


def read(folder, name):
    return json.loads((folder / name).read_text())


def curves(folder):
    """Return steps and values of every metric that does not depend on the machine."""
    metrics = read(folder, "metrics.json")
    return {key: (m["steps"], m["values"]) for key, m in metrics.items() if key not in MACHINE_METRICS}


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ([], "Which algorithm? Add --config=NAME"),
            (["--config=mapo"], 'There is no algorithm "mapo" in src/config/algs/. Did you mean "mappo"?'),
            (["--config=mappo", "--env-config=sc"], 'There is no environment "sc" in src/config/envs/.'),
            (["--config=mappo", "with", "t_maxx=5"], 'Unknown key "t_maxx". Did you mean "t_max"?'),
            (["--config=mappo", "t_max=5"], '"t_max=5" stands without "with"; write: with t_max=5'),
            (["--config=mappo", "print_confg"], 'There is no command "print_confg". Did you mean "print_config"?'),
            (["--config=mappo", "--forse"], 'Unknown option --forse. Did you mean "--force"?'),
            (["--config=mappo", "with", "learner=ppo"], 'learner="ppo" does not exist. Known: '),
            (["--config=mappo", "with", "mac=basic"], 'mac="basic" does not exist. Did you mean "basic_mac"?'),
            (["--config=mappo", "with", "agent=rnnn"], 'agent="rnnn" does not exist. Did you mean "rnn"?'),
            (["--config=mappo", "with", "buffer=replayy"], 'buffer="replayy" does not exist. Did you mean "replay"?'),
            (["--config=mappo", "with", "runner=vectr"], 'runner="vectr" does not exist. Did you mean "vector"?'),
            (["--config=mappo", "with", "plugins=no_such_module"], 'The plug-in module "no_such_module" is not on'),
            (["--config=mappo", "with", "device=gpu"], 'device="gpu" is not a device; use auto, cpu, cuda or cuda:0.'),
            (["--config=mappo", "with", "evaluate=True"], "evaluate=True needs checkpoint_path="),
            (["--config=mappo", "with", "checkpoint_path=nowhere"], 'checkpoint_path="nowhere" is not a folder.'),
            (["--config=mappo", "with", "resume=nowhere"], 'resume="nowhere" names no checkpoint'),
            (["--config=mappo", "with", "env_args.engine=starcraft2"], "StarCraft II was not found"),
            (["--config=mappo", "-C", "all"], '--capture="all" is not one of no, sys, fd.'),
            (["--config=mappo", "-l", "LOUD"], '--loglevel="LOUD" is neither'),
        ],
    )
    def test_each_is_one_sentence_and_exit_code_2(self, run_main, arguments, sentence):
        code, out, err = run_main(*arguments)
        assert code == 2
        assert err.startswith("error: ")
        assert sentence in err
        assert err.count("\n") == 1
        assert "Traceback" not in out + err

    def test_an_observer_without_its_package_is_refused(self, run_main, monkeypatch):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        code, _, err = run_main("--config=mappo", "-m", "localhost:27017:runs")
        assert code == 2
        assert err == "error: --mongo_db needs the package pymongo, which is not installed: pip install pymongo\n"

    @pytest.mark.parametrize("name", ["3mm", "MMM3", "nonsense"])
    def test_unknown_maps_are_refused_with_those_there_are(self, run_main, name):
        code, _, err = run_main("--config=mappo", "with", f"env_args.map_name={name}")
        assert code == 2
        assert name in err
        assert all(known in err for known in ("3m", "8m", "27m_vs_30m", "2m_vs_1m"))

    def test_nothing_is_recorded_for_a_mistake(self, train, tmp_path):
        assert train("mac=basic")[0] == 2
        assert not (tmp_path / "results").exists()

    def test_a_process_ends_with_the_code_and_without_a_traceback(self, command):
        done = subprocess.run([*command, "--config=mappo", "with", "t_max=soon"], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "error: t_max='soon' is not a number.\n"


@pytest.mark.parametrize("algorithm", ["mappo", "qmix"])
def test_a_run_starts_without_what_it_does_not_need(algorithm, tmp_path):
    keys = [key for key in SMALL if algorithm == "mappo" or not key.startswith("epochs")]
    keys += ["t_max=50", "batch_size=2", f"local_results_path={tmp_path}"]
    program = f"""
import sys
import main
assert main.main(["--config={algorithm}", "with", *{keys}]) == 0
assert not {{"pandas", "torch._dynamo"}} & set(sys.modules)
import pandas
"""
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": str(SOURCE)})
    assert done.returncode == 0


class TestSacred:
    def test_help_shows_what_there_is(self, run_main):
        code, out, _ = run_main("--help")
        assert code == 0
        for word in ("--config=amal", "mappo", "sc2", "27m_vs_30m", "print_config", "--comment"):
            assert word in out

    def test_print_config_shows_what_comes_out(self, run_main):
        code, out, _ = run_main("print_config", "--config", "mappo", "with", "env_args.map_name=8m", "lr=5e-4")
        assert code == 0
        assert "map_name = '8m'" in out
        assert "lr = 0.0005" in out
        assert "learner = 'ppo_learner'" in out

    def test_flags_keep_working(self, run_main, tmp_path):
        store, results = tmp_path / "store", tmp_path / "results"
        arguments = ["--config=mappo", "with", *SMALL, f"local_results_path={results}", "t_max=30", "seed=1"]
        for number in (1, 2):
            code, _, err = run_main(*arguments, "-F", store, "-c", "a comment", "-n", "a name")
            assert (code, err) == (0, "")
            for folder in (store / str(number), run_folder(results, number)):
                run = read(folder, "run.json")
                assert run["status"] == "COMPLETED"
                assert run["meta"]["comment"] == "a comment"

    def test_a_queued_run_waits(self, run_main, tmp_path):
        code, _, err = run_main("--config=mappo", "-q", "with", *SMALL, f"local_results_path={tmp_path}", "t_max=30")
        assert (code, err) == (0, "")
        assert read(run_folder(tmp_path), "run.json")["status"] == "QUEUED"

    def test_an_unobserved_run_leaves_no_record(self, run_main, tmp_path):
        code, _, err = run_main("--config=mappo", "-u", "with", *SMALL, f"local_results_path={tmp_path}", "t_max=30")
        assert (code, err) == (0, "")
        assert not (tmp_path / "sacred").exists()


class TestTraining:
    def test_a_run_ends_with_its_records(self, train, tmp_path):
        results = tmp_path / "results"
        code, out, err = train("t_max=300", "seed=5", "use_tensorboard=True")
        assert (code, err) == (0, "")
        folder = run_folder(results)
        run = read(folder, "run.json")
        assert run["status"] == "COMPLETED"
        assert run["meta"]["config_updates"]["seed"] == 5
        config = read(folder, "config.json")
        assert (config["seed"], config["env_args"]["seed"]) == (5, 5)
        assert config["engine_info"]["engine"] == "skirmish"
        assert set(config["engine_info"]) == {
            *("engine", "engine_version", "map_checksum", "profile", "build", "rules")
        }
        summary = read(folder, "summary.json")
        assert summary["t_env"] > 300
        assert summary["ended_by"] == "t_max = 300 steps"
        assert 0 <= summary["test_battle_won_mean"] <= 1
        metrics, info = read(folder, "metrics.json"), read(folder, "info.json")
        for key in ("test_battle_won_mean", "return_mean", "dead_allies_mean", "dead_enemies_mean", "wall_seconds"):
            assert metrics[key]["values"] == info[key]
            assert metrics[key]["steps"] == info[f"{key}_T"]
        models = results / "models" / config_token(results)
        assert (models / str(summary["t_env"]) / "agent.th").exists()
        assert list((results / "tb_logs" / models.name).glob("events*"))
        for word in ("Done.", "test win rate:", str(folder), str(models)):
            assert word in out
            assert word in (folder / "cout.txt").read_text()

    def test_the_same_seed_gives_the_same_metrics(self, train, tmp_path):
        for name, seed in (("a", 7), ("b", 7), ("c", 8)):
            assert train("t_max=250", f"seed={seed}", name=name)[0] == 0
        a, b, c = (curves(run_folder(tmp_path / name)) for name in "abc")
        assert a == b
        assert a != c

    def test_without_a_seed_one_is_drawn_and_recorded(self, train, tmp_path):
        for _ in range(2):
            assert train("t_max=10")[0] == 0
        seeds = [read(run_folder(tmp_path / "results", number), "config.json")["seed"] for number in (1, 2)]
        assert seeds[0] != seeds[1]

    def test_a_crash_is_recorded_as_failed(self, train, tmp_path, monkeypatch):
        from runners.vector_runner import VectorRunner

        def crash(self, test_mode=False):
            raise RuntimeError("engine on fire")

        monkeypatch.setattr(VectorRunner, "run", crash)
        code, _, err = train("t_max=100")
        assert code == 1
        assert "engine on fire" in err
        assert "Traceback" in err
        run = read(run_folder(tmp_path / "results"), "run.json")
        assert run["status"] == "FAILED"
        assert "engine on fire" in "".join(run["fail_trace"])

    def test_evaluation_writes_a_row_per_episode(self, train, tmp_path):
        results = tmp_path / "results"
        assert train("t_max=60", "seed=1")[0] == 0
        models = results / "models" / config_token(results)
        code, out, err = train("evaluate=True", f"checkpoint_path={models}", "test_nepisode=5", "seed=2")
        assert (code, err) == (0, "")
        with open(run_folder(results, 2) / "evaluation.csv") as file:
            rows = list(csv.DictReader(file))
        assert [row["episode"] for row in rows] == ["0", "1", "2", "3", "4"]
        assert {row["battle_won"] for row in rows} <= {"0", "1"}
        summary = read(run_folder(results, 2), "summary.json")
        assert summary["win_rate"]["mean"] == sum(int(row["battle_won"]) for row in rows) / 5
        assert summary["win_rate"]["low"] <= summary["win_rate"]["mean"] <= summary["win_rate"]["high"]
        assert "5 episodes: win rate" in out
        assert len(list((results / "models").iterdir())) == 1

    def test_models_of_another_network_are_refused(self, train, tmp_path):
        assert train("t_max=10")[0] == 0
        models = tmp_path / "results" / "models" / config_token(tmp_path / "results")
        code, _, err = train("evaluate=True", f"checkpoint_path={models}", "rnn_hidden_dim=32")
        assert code == 2
        assert "do not fit this configuration" in err
        assert err.count("\n") == 1


class TestResume:
    def test_without_a_checkpoint_auto_starts_anew(self, train):
        code, out, _ = train("t_max=10", "resume=auto", "seed=1")
        assert code == 0
        assert "no checkpoint of this configuration yet" in out

    def test_a_longer_budget_continues(self, train, tmp_path):
        results = tmp_path / "results"
        assert train("t_max=100", "seed=3")[0] == 0
        code, out, _ = train("t_max=250", "resume=auto")
        assert code == 0
        assert "Resumed from" in out
        first, second = (read(run_folder(results, n), "metrics.json")["return_mean"] for n in (1, 2))
        assert second["steps"][: len(first["steps"])] == first["steps"]
        assert read(run_folder(results, 2), "config.json")["seed"] == 3
        resumed_from = read(run_folder(results, 2), "info.json")["resumed_from"]
        assert resumed_from["run"] == str(run_folder(results, 1))

    def test_another_configuration_is_refused_by_its_keys(self, train, tmp_path):
        assert train("t_max=10", "seed=1")[0] == 0
        checkpoint = next((tmp_path / "results" / "models").iterdir())
        code, _, err = train(f"resume={checkpoint}", "lr=0.5")
        assert code == 2
        assert "of another configuration: lr differs" in err

    @pytest.mark.parametrize(
        ("algorithm", "keys"),
        [
            pytest.param("mappo", ["t_max=1500", "checkpoint_interval=100"], id="mappo"),
            pytest.param("amal", ["t_max=600", "checkpoint_interval=100", *SMALL_AMAL], id="amal"),
            pytest.param("qmix", ["t_max=1500", "checkpoint_interval=100", *SMALL_QMIX], id="qmix"),
            pytest.param("mappo", LONG, id="mappo-3m", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
            pytest.param("amal", LONG, id="amal-3m", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
        ],
    )
    def test_a_killed_run_continues_as_if_nothing_had_happened(self, run_main, command, tmp_path, algorithm, keys):
        def arguments(name, *more):
            folder = f"local_results_path={tmp_path / name}"
            return [f"--config={algorithm}", "with", *SMALL, folder, "seed=11", *keys, *more]

        assert run_main(*arguments("whole"))[0] == 0
        results = tmp_path / "killed"
        with subprocess.Popen([*command, *arguments("killed")], stdout=subprocess.DEVNULL) as process:
            wait_for_checkpoint(results, process)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert run_main(*arguments("killed", "resume=auto"))[0] == 0
        killed, resumed = sorted(results.glob("sacred/*/*/[12]"))
        assert read(killed, "run.json")["status"] == "RUNNING"
        (whole,) = (tmp_path / "whole").glob("sacred/*/*/1")
        assert read(resumed, "info.json")["resumed_from"]["run"] == str(killed)
        assert curves(resumed) == curves(whole)
        if "isolation_shadow=True" in keys:
            divergence = read(resumed, "metrics.json")["isolation_kl"]["values"]
            assert divergence and set(divergence) == {0.0}

    def test_ctrl_c_leaves_a_checkpoint_and_a_run_marked_interrupted(self, command, tmp_path):
        results = tmp_path / "stopped"
        keys = [f"local_results_path={results}", "t_max=1000000", "seed=12", "checkpoint_interval=100"]
        arguments = [*command, "--config=mappo", "with", *SMALL, *keys]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            wait_for_checkpoint(results, process)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (130, "")
        assert "Stopped." in out
        assert "resume=auto" in out
        run = read(run_folder(results), "run.json")
        assert run["status"] == "INTERRUPTED"
        stopped_at = read(run_folder(results), "summary.json")["t_env"]
        assert read(next((results / "models").iterdir()), "checkpoint.json")["t_env"] == stopped_at


def config_token(results):
    """Return the token of the only run with models."""
    return next((results / "models").iterdir()).name


def wait_for_checkpoint(results, process, seconds=900):
    """Wait until the process has written a checkpoint."""
    end = time.monotonic() + seconds
    while not list(results.glob("models/*/checkpoint.json")):
        assert process.poll() is None, "the run ended before its first checkpoint"
        assert time.monotonic() < end, "no checkpoint came"
        time.sleep(0.02)

"""Parts from outside the tree: the example of docs/plugins.md as it stands there, in a folder of its own."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import configuration
from configuration import compose, overlay, overlay_name, parse_updates
from experiments import plan
from experiments.setting import Setting
from utils.errors import UserError
from utils.plugins import import_plugins

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```\w+\n# (\S+/\S+)\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = re.findall(r"^python3 (src/main\.py .*)$", PAGE, re.MULTILINE)
SMALL = ["seed=1", "test_nepisode=2", "learner_log_interval=100", "batch_size=8"]


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A working directory with the page's files; what they add to the path of this process is taken back."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def train(folder, words, python_path=""):
    """Run main.py in a process; returns the run's folder."""
    script, *rest = words if isinstance(words, list) else shlex.split(words)
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *rest, *SMALL, f"local_results_path={folder / 'results'}"],
        env={**os.environ, "PYTHONPATH": str(python_path), "OMP_NUM_THREADS": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return max((folder / "results").glob("sacred/*/*/*/run.json"), key=lambda file: file.stat().st_mtime).parent


def announce(folder, entry):
    """Make `folder` look as if a package with this entry point were installed in it."""
    information = folder / "some_package-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: some-package\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[amal.plugins]\n{entry}\n")


def read(folder, name):
    return json.loads((folder / name).read_text())


def test_the_page_has_a_whole_example():
    stems = ("hysteretic", "rendezvous")
    assert set(FILES) == {f"ideas/{stem}.{ending}" for stem in stems for ending in ("py", "yaml")}
    assert len(COMMANDS) == 3


def test_the_first_command_trains_an_algorithm_with_a_key_of_its_own(outside):
    folder = train(outside, COMMANDS[0])
    assert folder.parent.name == "hysteretic"
    assert read(folder, "config.json")["hysteresis"] == 0.3
    assert read(folder, "metrics.json")["loss_td"]["values"]


def test_the_second_trains_in_an_environment_with_arguments_of_its_own(outside):
    folder = train(outside, COMMANDS[1])
    assert folder.parts[-3:] == ("rendezvous", "vdn", "1")
    assert read(folder, "config.json")["env_args"] == {"length": 4, "n_agents": 3, "seed": 1}


def test_the_third_brings_both_together_with_workers(outside):
    folder = train(outside, COMMANDS[2])
    config = read(folder, "config.json")
    assert config["plugins"] == ["rendezvous", "hysteretic"]
    assert (config["hysteresis"], config["env_args"]["length"]) == (0.4, 5)
    assert read(folder, "metrics.json")["test_battle_won_mean"]["values"]


def test_such_a_run_is_resumed_and_evaluated(outside):
    command = shlex.split(COMMANDS[0])
    first = train(outside, [*command, "t_max=100"])
    second = train(outside, [*command, "t_max=300", "resume=auto"])
    assert read(second, "info.json")["resumed_from"]["run"] == str(first)
    models = read(second, "summary.json")["models"]
    third = train(outside, [*command, "evaluate=True", f"checkpoint_path={models}"])
    assert read(third, "summary.json")["episodes"] == 2


def test_what_an_installed_package_announces_is_there_in_workers_too(outside):
    package = outside / "site-packages"
    announce(package, "rendezvous = rendezvous")
    (outside / "ideas" / "rendezvous.py").rename(package / "rendezvous.py")
    keys = outside / "ideas" / "rendezvous.yaml"
    keys.write_text(keys.read_text().replace('plugins: ["rendezvous"]', ""))
    words = ["src/main.py", "--config=vdn", "--env-config=ideas/rendezvous.yaml", "with", "t_max=60"]
    folder = train(outside, [*words, "runner=parallel", "batch_size_run=2"], package)
    assert read(folder, "config.json")["plugins"] == []
    assert read(folder, "metrics.json")["return_mean"]["values"]


class TestFiles:
    def test_a_file_is_laid_over_what_it_extends_and_is_called_as_it_is(self, outside):
        config = compose("ideas/hysteretic.yaml", "matrix_game")
        assert (config["name"], config["mixer"], config["learner"]) == ("hysteretic", None, "hysteretic_learner")
        assert parse_updates(config, ["hysteresis=1"]) == {"hysteresis": 1.0}

    def test_it_may_extend_a_file_beside_it_whose_modules_are_kept(self, outside):
        (outside / "ideas" / "slower.yml").write_text("extends: hysteretic.yaml\nplugins: [more]\nhysteresis: 0.1\n")
        config = compose("ideas/slower.yml", "ideas/rendezvous.yaml")
        assert (config["name"], config["hysteresis"]) == ("slower", 0.1)
        assert config["plugins"] == ["rendezvous", "hysteretic", "more"]
        typed = overlay(config, parse_updates(config, ["plugins=more,mine"]), "the command line")
        assert typed["plugins"] == ["rendezvous", "hysteretic", "more", "mine"]

    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("ideas/hysteretik.yaml", r'file "ideas/hysteretik.yaml". Did you mean "ideas/hysteretic.yaml"\?'),
            ("qmixx.yaml", r'no algorithm file "qmixx.yaml". Did you mean "qmix"\?'),
            ("ideas/circle.yaml", "circle extends circle: nothing is at the bottom"),
            ("ideas/wrong.yaml", "ideas/wrong.yaml: t_max='soon' is not a number"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_one_sentence(self, outside, name, sentence):
        (outside / "ideas" / "circle.yaml").write_text("extends: circle.yaml\n")
        (outside / "ideas" / "wrong.yaml").write_text("t_max: soon\n")
        with pytest.raises(UserError, match=sentence):
            compose(name)

    def test_the_ending_may_be_written_for_names_too(self):
        assert compose("vdn.yaml", "matrix_game.yaml") == compose("vdn", "matrix_game")

    def test_a_name_holds_in_any_working_directory(self, outside):
        assert overlay_name("algs", "ideas/hysteretic.yaml") == str(outside.resolve() / "ideas" / "hysteretic.yaml")
        assert overlay_name("algs", str(configuration.CONFIG_DIR / "algs" / "vdn.yaml")) == "vdn"

    def test_an_experiment_runs_them(self, outside):
        files = ["ideas/hysteretic.yaml", "vdn"]
        made = plan.make(Setting(algos=files, env="ideas/rendezvous.yaml", seeds=[0], sweep={"env_args.length": "3,4"}))
        whole = f"{outside.resolve()}/ideas"
        assert [run.key for run in made.runs] == [
            f"{algo}_rendezvous_length={length}_seed0" for length in (3, 4) for algo in ("hysteretic", "vdn")
        ]
        words = made.runs[0].arguments()
        assert words[:2] == [f"--config={whole}/hysteretic.yaml", f"--env-config={whole}/rendezvous.yaml"]
        assert made.setting.algos == [f"{whole}/hysteretic.yaml", "vdn"]


class TestModules:
    @pytest.mark.parametrize("name", ["ideas.py", "ideas/mine", "", ".mine"])
    def test_a_path_is_no_name(self, name):
        with pytest.raises(UserError, match="is no name of a module"):
            import_plugins([name])

    def test_one_that_is_not_there_is_named(self):
        with pytest.raises(UserError, match='"no_such_module" is not on PYTHONPATH, nor beside the YAML file'):
            import_plugins(["no_such_module"])

    def test_what_it_lacks_itself_is_not_blamed_on_it(self, tmp_path, monkeypatch):
        (tmp_path / "lacking.py").write_text("import lack\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        with pytest.raises(ModuleNotFoundError, match="'lack'"):
            import_plugins(["lacking"])

    def test_an_announced_one_that_is_not_there_is_named_with_its_entry_point(self, tmp_path, monkeypatch):
        announce(tmp_path, "mine = gone_away")
        monkeypatch.syspath_prepend(str(tmp_path))
        with pytest.raises(UserError, match='"gone_away" that the entry point "mine" announces is not on PYTHONPATH'):
            import_plugins([])

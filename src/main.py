"""The one way in: PyMARL's command line over sacred.

    python3 src/main.py --config=mappo --env-config=sc2 with env_args.map_name=8m t_max=200000

Exit codes: 0 done, 1 a crash (with its traceback), 2 a mistake in the request (one sentence), 130 interrupted.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import logging
import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from configuration import (
    CONFIG_DIR,
    CommandLine,
    compose,
    overlay,
    overlay_names,
    parse_updates,
    read_command_line,
    with_map_values,
)
from tracking import resources  # noqa: F401  starts the clock
from utils.errors import UserError, nearest
from utils.logging import get_logger

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # sacred 0.8.7 imports it
# Numba's coloured messages go through colorama, which would hold on to the output that sacred captures
os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")

EXAMPLES = """\
Train and evaluate cooperative multi-agent learners on SMAC battles.

Usage:
  python3 src/main.py --config=ALGORITHM [--env-config=ENVIRONMENT] [COMMAND] [with KEY=VALUE ...] [OPTIONS]

Examples:
  python3 src/main.py --config=amal --env-config=sc2 with env_args.map_name=3m
  python3 src/main.py --config=mappo with env_args.map_name=8m t_max=200000 seed=1 use_tensorboard=True
  python3 src/main.py --config=mappo with env_args.map_name=8m seed=1 resume=auto
  python3 src/main.py --config=mappo with evaluate=True checkpoint_path=results/models/TOKEN
  python3 src/main.py --config=ideas/mine.yaml             an algorithm of your own (docs/plugins.md)
  python3 src/main.py print_config --config=mappo          every key and its value
"""


def help_text(experiment: Any) -> str:
    """Return what `--help` prints: usage, examples, what there is to choose from, sacred's commands and options."""
    from skirmish.maps import MAP_NAMES

    width = max(len(name) for folder in ("algs", "envs") for name in overlay_names(folder)) + 2
    lists = "\n".join(
        [
            "Algorithms (src/config/algs):",
            *(f"  {name:<{width}}{_first_comment('algs', name)}" for name in overlay_names("algs")),
            "",
            "Environments (src/config/envs):",
            *(f"  {name:<{width}}{_first_comment('envs', name)}" for name in overlay_names("envs")),
            "",
            f"Maps: {', '.join(MAP_NAMES)}",
        ]
    )
    sacred_usage: str = experiment.get_usage("src/main.py")[1]
    options = sacred_usage[sacred_usage.index("Options:") :]
    return f"{EXAMPLES}\n{lists}\n\n{options}"


def _first_comment(folder: str, name: str) -> str:
    """Return the first line of a config file if it is a comment: what the file is."""
    first = (CONFIG_DIR / folder / f"{name}.yaml").read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def make_experiment() -> Any:
    """Return the sacred experiment, without configuration and observers yet."""
    with _absent("pandas"):  # sacred imports it where it can, for 0.3 CPU-seconds, and no run needs it
        from sacred import SETTINGS, Experiment

    SETTINGS.CAPTURE_MODE = "sys"
    SETTINGS.CONFIG.READ_ONLY_CONFIG = False
    experiment = Experiment("amal", save_git_info=shutil.which("git") is not None)
    quiet = get_logger().getChild("sacred")
    quiet.setLevel("ERROR")  # what sacred says of a start or an interruption is said here already
    experiment.logger = quiet  # type: ignore[assignment]

    @experiment.main
    def train(_run: Any, _config: dict[str, Any]) -> Any:
        """Train, or evaluate with evaluate=True."""
        from run.experiment import run

        summary = run(_run, _config)
        return summary.get("test_battle_won_mean")

    return experiment


@contextlib.contextmanager
def _absent(package: str) -> Iterator[None]:
    """Meanwhile the package cannot be imported, unless it has been before."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


def parse_sacred_arguments(experiment: Any, line: CommandLine) -> dict[str, Any]:
    """Let sacred's own grammar read what PyMARL's two options left over."""
    from docopt import DocoptExit, docopt

    try:
        parsed: dict[str, Any] = dict(docopt(experiment.get_usage()[2], line.rest, default_help=False))
    except DocoptExit:
        flags = [flag for option in experiment.all_cli_options for flag in option.get_flags()]
        unknown = [word for word in line.rest if word.startswith("-") and word.partition("=")[0] not in flags]
        if unknown:
            hint = nearest(unknown[0], [*flags, "--config", "--env-config"])
            raise UserError(f"Unknown option {unknown[0]}.{hint}") from None
        words = " ".join(line.rest)
        raise UserError(f"This command line is not understood: {words} (`--help` shows examples).") from None
    command = parsed.get("COMMAND")
    commands = dict(experiment.gather_commands())
    if command and command not in commands and not parsed["help"]:
        if "=" in command:
            raise UserError(f'"{command}" stands without "with"; write: with {command}')
        close = difflib.get_close_matches(command, commands, n=1)
        hint = f' Did you mean "{close[0]}"?' if close else ""
        raise UserError(f'There is no command "{command}".{hint} Commands: {", ".join(sorted(commands))}.')
    check_sacred_options(parsed)
    return parsed


def check_sacred_options(parsed: dict[str, Any]) -> None:
    """Refuse in words what sacred itself would answer with a traceback."""
    for option, package in (("--mongo_db", "pymongo"), ("--sql", "sqlalchemy"), ("--s3", "boto3")):
        if parsed.get(option) and importlib.util.find_spec(package) is None:
            raise UserError(f"{option} needs the package {package}, which is not installed: pip install {package}")
    capture = parsed.get("--capture")
    if capture not in (None, "no", "sys", "fd"):
        raise UserError(f'--capture="{capture}" is not one of no, sys, fd.')
    level = parsed.get("--loglevel")
    if level and _level(level) not in (*range(51), *logging.getLevelNamesMapping()):
        raise UserError(f'--loglevel="{level}" is neither a number from 0 to 50 nor DEBUG, INFO, WARNING or ERROR.')


def run_command(line: CommandLine) -> int:
    """Carry out one command line; return its exit code."""
    experiment = make_experiment()
    if line.help:
        print(help_text(experiment))
        return 0
    arguments = parse_sacred_arguments(experiment, line)
    if arguments["help"]:
        experiment.run_commandline(["src/main.py", *line.rest])
        return 0
    base = compose(line.algorithm, line.environment)
    updates = parse_updates(base, arguments["UPDATE"])
    base = with_map_values(base, updates, str(line.algorithm))
    if arguments.get("--loglevel"):
        get_logger().setLevel(_level(arguments["--loglevel"]))
    take_mongo_option(arguments, updates)
    command = arguments.get("COMMAND") or experiment.default_command
    if command != experiment.default_command:
        experiment.add_config(base)
        experiment.run(command, updates, info={}, meta_info={}, options=arguments)
        return 0
    from run.experiment import prepare, run_token

    config = prepare(overlay(base, updates, "the command line"))
    experiment.add_config(config)
    if not arguments.get("--unobserved"):
        experiment.observers.extend(make_observers(config))
    meta = {"config_updates": updates, "token": run_token(config)}
    experiment.run(command, info={}, meta_info=meta, options=arguments)
    return 0


def make_observers(config: dict[str, Any]) -> list[Any]:
    """Return what records the run: its folder and, where `mongo_url` or the environment names one, a MongoDB."""
    from run.experiment import sacred_folder
    from tracking import database
    from tracking.observers import RunFolder

    folder = RunFolder(sacred_folder(config))
    address = database.resolve(config["mongo_url"])
    if not address:
        return [folder]
    from tracking.mongo import MongoRecords

    return [folder, MongoRecords.connected(address, config["mongo_db"], folder, get_logger())]


def take_mongo_option(arguments: dict[str, Any], updates: dict[str, Any]) -> None:
    """Turn sacred's `-m HOST:PORT:DB` into our keys, and refuse credentials where they would be recorded."""
    from tracking.database import refuse_credentials

    refuse_credentials(str(updates.get("mongo_url", "")))
    given = arguments.get("--mongo_db")
    if not given:
        return
    refuse_credentials(given, "-m")
    server, _, name = given.rpartition(":") if given.count(":") != 1 else (given, "", "")
    if "." in name or "!" in name:
        raise UserError(f'-m takes HOST:PORT:DATABASE, HOST:PORT or DATABASE, not "{given}".')
    updates.update(mongo_url=f"mongodb://{server or 'localhost:27017'}", mongo_db=name)
    arguments["--mongo_db"] = None


def _level(text: str) -> int | str:
    return int(text) if text.isdigit() else text.upper()


def main(arguments: Sequence[str]) -> int:
    """Run a command line and turn whatever comes out of it into an exit code."""
    try:
        return run_command(read_command_line(arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # sacred's SacredInterrupt too, which ends an orderly Ctrl-C
        return 130
    except Exception as error:
        from sacred.utils import SacredError, SacredInterrupt

        if isinstance(error, SacredInterrupt):
            return 130
        if isinstance(error, SacredError):
            print(f"error: {error}", file=sys.stderr)
            return 2
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

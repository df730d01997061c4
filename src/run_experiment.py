"""Many runs from one command: comparisons, sweeps, profiles; side by side, continued after an interruption.

    python3 src/run_experiment.py --compare --algos amal,mappo --scenarios 3m,8m --seeds 5 --t-max 100k

Exit codes: 0 all runs are done, 1 some run failed, 2 a mistake in the request (one sentence), 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from configuration import overlay_names
from experiments import board, capacity, outcome, plan, schedule
from experiments import setting as settings
from experiments.setting import Setting
from experiments.state import lock_experiment, read_state
from experiments.sweep import parse_axis
from utils.errors import UserError, nearest

EXAMPLES = """\
Examples:
  python3 src/run_experiment.py --algo amal --scenario 3m --episodes 1000 --seed 0
  python3 src/run_experiment.py --compare --algos amal,mappo --scenarios 3m,8m --seeds 5 --t-max 100k --report
  python3 src/run_experiment.py --algo amal --scenario 3m --sweep lambda_info=0.1,0.3,0.5 --seeds 3
  python3 src/run_experiment.py --algo mappo --scenario 8m --random 20 --sweep lr=log:1e-4..1e-2 --sweep epochs=3..15
  python3 src/run_experiment.py --algo mappo --scenario 3m --profile --t-max 5000
  python3 src/run_experiment.py --setting small --name mine -- stop_win_rate=0 env_args.step_mul=8
The same command again continues what was interrupted. What follows "--" goes to every run.
"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are `UserError`s with the nearest option."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting."""
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            first = unknown.split()[0]
            if first.startswith("-"):
                raise UserError(f"Unknown option {first}.{nearest(first, self._option_string_actions)}")
            raise UserError(f'"{first}" stands alone; settings for every run come after "--": -- {first}')
        raise UserError(f"{message[0].upper()}{message[1:]} (`--help` shows examples).")


def make_parser() -> Parser:
    """Return the parser of everything before `--`."""
    parser = Parser(
        prog="run_experiment.py",
        description="Run many trainings side by side, continue them, compare them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = parser.add_argument_group("what runs")
    known = ", ".join(overlay_names("algs"))
    what.add_argument("--algo", "--algos", dest="algos", metavar="NAME,...", help=f"YAML files, or {known}")
    what.add_argument("--scenario", "--scenarios", dest="scenarios", metavar="MAP,...", help="maps, or groups of them")
    what.add_argument("--env-config", dest="env", metavar="NAME", help="environment or its YAML file; sc2 unless given")
    what.add_argument("--seed", metavar="N", help="one seed (0 unless given)")
    what.add_argument("--seeds", metavar="HOW_MANY", help="so many seeds from 0; or 0,3,7; or 10-14")
    what.add_argument("--t-max", metavar="STEPS", help="environment steps of each run: 50000, 100k, 2M")
    what.add_argument("--episodes", metavar="N", help="episodes of each run")
    what.add_argument("--setting", metavar="FILE", help="a YAML file of all this, or one of src/config/experiments")
    kind = parser.add_argument_group("what for")
    kind.add_argument("--compare", action="store_true", help="compare algorithms; 5 seeds unless given")
    kind.add_argument("--sweep", action="append", default=[], metavar="KEY=V,V", help="values to try, or low..high")
    kind.add_argument("--random", metavar="N", help="N random draws from the --sweep values and ranges")
    kind.add_argument("--random-seed", metavar="N", help="seed of the draws (0 unless given)")
    kind.add_argument("--profile", action="store_true", help="tell where the time of one run goes")
    how = parser.add_argument_group("how")
    how.add_argument("--name", help="the experiment's name, and its folder's under results/experiments")
    how.add_argument("--jobs", metavar="N", help="runs at a time; as many as there are cores unless given")
    how.add_argument("--gpu", metavar="N,...", help="GPUs by number, used in turn; none: the CPU")
    how.add_argument("--dry-run", action="store_true", help="show the runs, start none")
    how.add_argument("--status", action="store_true", help="show how an experiment is, or which there are")
    how.add_argument("--report", action="store_true", help="write the report at the end")
    how.add_argument("--continue", action="store_true", dest="go_on", help="implied: the same command always continues")
    return parser


def read_arguments(arguments: Sequence[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    """Split at `--`, read both sides; `--t_max` is `--t-max`."""
    words = list(arguments)
    cut = words.index("--") if "--" in words else len(words)
    own = [word if not word.startswith("--") else _dashed(word) for word in words[:cut]]
    return make_parser().parse_args(own), settings.split_overrides(words[cut + 1 :])


def _dashed(option: str) -> str:
    name, equals, value = option.partition("=")
    return name.replace("_", "-") + equals + value


def make_setting(given: argparse.Namespace, overrides: dict[str, str]) -> Setting:
    """Lay the command line over the setting file, if there is one."""
    setting = settings.read(settings.find_file(given.setting)) if given.setting else Setting()
    if given.name is not None:
        setting.name = settings.check_name(given.name)
    if given.algos is not None:
        setting.algos = settings.name_list(given.algos, "--algos")
    if given.scenarios is not None:
        setting.scenarios = settings.name_list(given.scenarios, "--scenarios")
    if given.env is not None:
        setting.env = given.env
    if given.seed is not None and given.seeds is not None:
        raise UserError("Both --seed and --seeds are given; --seed 3 is the seed 3, --seeds 3 are seeds 0, 1 and 2.")
    if given.seed is not None:
        setting.seeds = settings.one_seed(given.seed)
    if given.seeds is not None:
        setting.seeds = settings.seed_list(given.seeds)
    if not setting.seeds:
        setting.seeds = list(range(settings.DEFAULT_COMPARISON_SEEDS if given.compare else 1))
    if given.t_max is not None:
        setting.t_max = settings.count(given.t_max, "--t-max")
    if given.episodes is not None:
        setting.episodes = settings.count(given.episodes, "--episodes")
    setting.overrides |= overrides
    setting.sweep |= read_sweeps(given.sweep)
    if given.random is not None:
        setting.random = settings.count(given.random, "--random")
    if given.random_seed is not None:
        setting.random_seed = settings.one_seed(given.random_seed)[0]
    return setting


def read_sweeps(texts: Sequence[str]) -> dict[str, str]:
    """Return {key: values} of all `--sweep`."""
    found: dict[str, str] = {}
    for text in texts:
        axis = parse_axis(text)
        if axis.key in found:
            raise UserError(f'"{axis.key}" is swept twice.')
        found[axis.key] = text.partition("=")[2].strip()
    return found


# --- one command -----------------------------------------------------------------------------------------------------


def run_command(arguments: Sequence[str]) -> int:
    """Carry out one command line; return its exit code."""
    given, overrides = read_arguments(arguments)
    if given.status and not (given.algos or given.setting):
        return status(plan.default_results(), given.name)
    setting = make_setting(given, overrides)
    made = plan.make(setting)
    if given.profile and not setting.name:
        setting.name = f"{made.name}_profile"  # a run of the same settings without the profiler is not what is asked
        made = plan.make(setting)
    if given.status:
        return status(made.results, made.name)
    options = make_options(given, made)
    if given.dry_run:
        return dry_run(made, options)
    return carry_out(made, options, given)


def make_options(given: argparse.Namespace, made: plan.Plan) -> schedule.Options:
    """Return how to run: jobs, GPUs, profile."""
    gpus = () if given.gpu is None else gpu_numbers(given.gpu)
    if given.gpu is not None and any("device" in run.settings for run in made.runs):
        raise UserError('Both --gpu and device=... are given; leave out one.')
    if given.profile and len(made.runs) > 1:
        raise UserError(f"--profile looks at one run; this command has {len(made.runs)}.")
    if given.jobs is not None:
        jobs = settings.count(given.jobs, "--jobs")
    else:
        threads = max(int(run.settings.get("torch_threads", 1)) for run in made.runs)
        jobs = max(1, capacity.cores() // threads)
    return schedule.Options(jobs, gpus, given.profile)


def gpu_numbers(text: str) -> tuple[int, ...]:
    """Read `--gpu`: numbers of GPUs that are there; "none" is the CPU, as number -1."""
    if text.strip().lower() in ("none", "cpu", "-1"):
        return (-1,)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdigit() for part in parts):
        raise UserError(f'--gpu="{text}" is neither a number, nor numbers with commas, nor "none".')
    import torch

    there = torch.cuda.device_count()
    for part in parts:
        if int(part) >= there:
            what = f"only GPUs 0 to {there - 1}" if there > 1 else ("only GPU 0" if there else "none")
            raise UserError(f"There is no GPU {part}; torch finds {what} on this machine. Leave out --gpu for the CPU.")
    return tuple(int(part) for part in dict.fromkeys(parts))


def dry_run(made: plan.Plan, options: schedule.Options) -> int:
    """Print the runs, start none."""
    plan.require_continuation(made)
    for run in made.runs:
        print(run.command())
    done = sum(read_state(made.folder, run.key).phase == "done" for run in made.runs)
    print(f"# {board.how_many(len(made.runs), options.jobs)}, {done} done, in {outcome.shown(made.folder)}")
    return 0


def status(results: Path, name: str | None) -> int:
    """Print how one experiment is, or which there are."""
    names = plan.known_experiments(results)
    if name is None:
        for known in names:
            stored = plan.load(results / "experiments" / known)
            print(f"{known}: {board.totals(schedule.stored_rows(stored), capacity.cores())}")
        if not names:
            print(f"No experiments in {outcome.shown(results / 'experiments')} yet.")
        return 0
    if name not in names:
        place = outcome.shown(results / "experiments")
        raise UserError(f'There is no experiment "{name}" in {place}.{nearest(name, names)}')
    stored = plan.load(results / "experiments" / name)
    rows = schedule.stored_rows(stored)
    board.print_table(rows, name, capacity.cores())
    for row in rows:
        if row.phase == "failed":
            print(f"{row.run.key}: {row.message}")
    return 0


def carry_out(made: plan.Plan, options: schedule.Options, given: argparse.Namespace) -> int:
    """Run the plan, show it meanwhile, sum it up."""
    plan.require_continuation(made)
    schedule.require_disk_space(made.folder)
    lock = lock_experiment(made.folder)
    try:
        if plan.require_continuation(made):
            plan.store(made)
        title = f"{made.name}: {board.how_many(len(made.runs), options.jobs)}, in {outcome.shown(made.folder)}"
        with board.board(title) as view:
            scheduler = schedule.Scheduler(made, options, view)
            with StopSignals(scheduler):
                try:
                    scheduler.run()
                except OSError:  # the disk is full, for example: nothing can be written down any more
                    scheduler.interrupt_all()
                    raise
    finally:
        lock.release()
    return sum_up(made, scheduler, given)


def sum_up(made: plan.Plan, scheduler: schedule.Scheduler, given: argparse.Namespace) -> int:
    """Print what failed, the results and where they are; return the exit code."""
    failed = [run for run in made.runs if scheduler.states[run.key].phase == "failed"]
    print_failures(made, {run.key: scheduler.states[run.key].message for run in failed})
    unfinished = [run for run in made.runs if scheduler.states[run.key].phase in ("waiting", "interrupted")]
    if unfinished:
        print(f"\n{len(unfinished)} of {len(made.runs)} runs are not done; the same command continues them.")
        return 130
    if given.profile and not failed:
        outcome.print_profile(made)
    elif len(failed) < len(made.runs):
        outcome.print_results(made)
    print(f"\nEverything is in {outcome.shown(made.folder)}.")
    if given.report:
        outcome.write_report(made)
    return 1 if failed else 0


def print_failures(made: plan.Plan, messages: Mapping[str, str]) -> None:
    """Print which runs failed, by what they failed of, and the end of one log of each kind."""
    for message in dict.fromkeys(messages.values()):
        keys = [key for key, other in messages.items() if other == message]
        print(f"\n{', '.join(keys)} failed: {message}")
        print(f"  the last lines of {outcome.shown(plan.run_folder(made.folder, keys[0]) / 'log.txt')}:")
        print("\n".join(f"  | {line}" for line in schedule.log_tail(made.folder, keys[0])))


class StopSignals:
    """While entered, SIGINT, SIGTERM and SIGHUP ask the scheduler to stop; a signal that is ignored stays so."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, scheduler: schedule.Scheduler) -> None:
        self._scheduler = scheduler
        self._previous: dict[int, object] = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._scheduler.stop()

    def __enter__(self) -> StopSignals:
        for number in self.SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]


def main(arguments: Sequence[str]) -> int:
    """Run a command line and turn whatever comes out of it into an exit code."""
    try:
        return run_command(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read our output has left; the runs are recorded all the same
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        print(f"error: {error.strerror or error}{place}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

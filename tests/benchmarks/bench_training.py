"""How fast each algorithm trains, everything included, and where the time goes: environment steps per CPU-second.

    python tests/benchmarks/bench_training.py [--map 3m] [--steps 12000] [--repeats 3] [NAME[:KEY=VALUE,...] ...]

A row per configuration, such as `mappo` or `qmix_pymarl:batch_size_run=8`. Every training is a process of its own, run
by `main.py` to `--steps` with one test before and one after, records, models and checkpoints as in any run. The clock
is the process's CPU time from its start to its end. In the columns behind the rate are CPU-seconds, of the repeat with
the median rate:

start-up   imports, engine, networks, buffer
engine     the battles of training
acting     the controller's share of playing; `playing` is the rest of it
replay     storing and drawing episodes
loss       the update but for what follows: forward passes, targets, what is logged
gradient   backward passes
step       the optimizers
tests      playing test episodes
saving     models and checkpoints
rest       the loop, logging, records
"""

import argparse
import contextlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"
sys.path.insert(0, str(SOURCE))

VALUE_BASED = ["qmix_pymarl:batch_size_run=8", "qmix", "qmix_pymarl"]
POLICY_GRADIENT = [
    *("mappo_8x10", "mappo", "ippo", "mappo_ns", "mappo_distil", "ia2c", "maa2c", "coma", "happo", "hatrpo"),
    *("maddpg", "masac"),
]
PARTS = ["start-up", "engine", "acting", "playing", "replay", "loss", "gradient", "step", "tests", "saving", "rest"]


class Clock:
    """CPU seconds by part; a part that begins inside another one interrupts it, but for tests, which hold theirs."""

    def __init__(self):
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.open = ["start-up"]
        self.last = 0.0  # the process's clock begins with it

    def turn(self):
        """Give the time since the last turn to the part that is open."""
        now = time.process_time()
        self.seconds[self.open[-1]] += now - self.last
        self.last = now

    def timed(self, part, call):
        """`call`, with its time counted as `part` (a name, or a function of its keyword arguments that gives one)."""

        def wrapper(*args, **kwargs):
            self.turn()
            name = part(kwargs) if callable(part) else part
            self.open.append("tests" if "tests" in self.open else name)
            try:
                return call(*args, **kwargs)
            finally:
                self.turn()
                self.open.pop()

        return wrapper

    def time_method(self, owner, name, part):
        """Replace a method of a class, a module or an object by the timed one."""
        setattr(owner, name, self.timed(part, getattr(owner, name)))


def train(name, map_name, steps, seed, folder):
    """Run one training in this process; returns its environment steps and the CPU seconds of each part."""
    import main

    clock, trained = Clock(), {}
    make_experiment = main.make_experiment

    def and_measure():
        experiment = make_experiment()
        _measure_parts(clock, trained)  # not before: what a run imports, and in which order, is to stay as it is
        return experiment

    main.make_experiment = and_measure
    algorithm, _, changes = name.partition(":")
    keys = {"env_args.map_name": map_name, "t_max": steps, "test_interval": 10 * steps, "stop_win_rate": 0.0}
    keys |= {"seed": seed, "local_results_path": folder}
    words = [f"{key}={value}" for key, value in keys.items()] + [word for word in changes.split(",") if word]
    with contextlib.redirect_stdout(io.StringIO()):
        code = main.main([f"--config={algorithm}", "--env-config=sc2", "with", *words])
    if code:
        sys.exit(code)
    clock.turn()
    return {"steps": trained["steps"], "seconds": clock.seconds}


def _measure_parts(clock, trained):
    """Time what a training calls; `trained` gets its environment steps."""
    import torch

    from run import assembly, training
    from skirmish.battles import Battles

    build, run = assembly.build, training.Trainer.run

    def timed_build(*args, **kwargs):
        parts = build(*args, **kwargs)
        clock.time_method(parts.runner, "run", lambda given: "tests" if given.get("test_mode") else "playing")
        clock.time_method(parts.mac, "select_actions", "acting")
        clock.time_method(parts.learner, "train", "loss")
        for method in ("insert_episode_batch", "sample") if parts.buffer is not None else ():
            clock.time_method(parts.buffer, method, "replay")
        return parts

    def timed_run(trainer):
        clock.turn()
        clock.open = ["rest"]
        try:
            return run(trainer)
        finally:
            trained["steps"] = trainer.t_env

    assembly.build, training.Trainer.run = timed_build, timed_run
    for method in ("reset", "step", "observe"):
        clock.time_method(Battles, method, "engine")
    for method in ("save_models", "save_checkpoint"):
        clock.time_method(training.Trainer, method, "saving")
    clock.time_method(torch.Tensor, "backward", "gradient")
    clock.time_method(torch.autograd, "grad", "gradient")
    _time_optimizers(clock)


def _time_optimizers(clock):
    """Time every optimizer's step from its first one on."""
    from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    def begin(*_):
        clock.turn()
        clock.open.append("step")

    def end(*_):
        clock.turn()
        clock.open.pop()

    register_optimizer_step_pre_hook(begin)
    register_optimizer_step_post_hook(end)


def measure(name, options, seed):
    """A training in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--one", name, "--map", options.map, "--steps", str(options.steps), "--seed", str(seed)]
        command = [sys.executable, __file__, *words, "--folder", folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{name}: the training ended with exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def row(name, trainings):
    """The table's line: rates of the slowest and the fastest repeat, and all of the median one."""
    rates = [training["steps"] / sum(training["seconds"].values()) for training in trainings]
    middle = trainings[rates.index(statistics.median_low(rates))]
    spent = middle["seconds"]
    spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
    cells = [f"`{name.replace(':', ' ')}`", f"{statistics.median_low(rates):,.0f}", spread]
    cells += [f"{sum(spent.values()):.1f}", *(f"{spent[part]:.2f}" for part in PARTS)]
    return f"| {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=VALUE_BASED + POLICY_GRADIENT)
    parser.add_argument("--map", default="3m")
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(train(options.one, options.map, options.steps, options.seed, options.folder)))
        return
    print(f"{options.steps:,} steps on {options.map}, {options.repeats} repeats, seeds from {options.seed}")
    head = ["", "steps per CPU-second", "repeats", "CPU-s", *PARTS]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
    for name in options.names:
        trainings = [measure(name, options, options.seed + repeat) for repeat in range(options.repeats)]
        print(row(name, trainings), flush=True)


if __name__ == "__main__":
    main()

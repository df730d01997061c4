"""The training loop: collect, learn, test, save, log, in PyMARL's order and at PyMARL's intervals."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from envs.faults import EnvironmentDownError
from run import checkpoints
from run.assembly import Parts, is_on_policy
from run.interrupt import StopRequest
from tracking.milestones import Milestones
from tracking.progress import ProgressFile, RunProgress
from tracking.resources import Resources
from utils.errors import UserError

HEADLINE = "test_battle_won_mean"
PRINT_SECONDS = 20.0  # between two summaries of all metrics on the console; the records get every value


@dataclass(frozen=True)
class Label:
    """Whose checkpoint it is: written beside it, and searched by `resume=auto`."""

    name: str
    map_name: str
    seed: int
    configuration: str
    run_directory: str
    config: dict[str, Any]


class Trainer:
    """One training run from its first batch to the end of its budget.

    `models` is the run's folder of models and checkpoint. All counters are in environment steps unless named otherwise.
    """

    def __init__(
        self,
        parts: Parts,
        args: SimpleNamespace,
        models: Path,
        label: Label,
        progress_file: ProgressFile | None = None,
    ) -> None:
        self.parts, self.args, self.models, self.label = parts, args, models, label
        self.progress_file = progress_file
        self.runner, self.learner, self.logger = parts.runner, parts.learner, parts.logger
        self.console = parts.logger.console_logger
        self.episode = 0
        self.last_test = -args.test_interval - 1
        self.last_log = 0
        self.last_model = 0
        self.last_checkpoint = 0
        self.last_saved_episode = 0
        self.tests_won_in_a_row = 0
        self.resources = Resources()
        self.milestones = Milestones(args.stop_evaluations)
        self.on_policy = is_on_policy(parts.learner, args)
        self.resumable = all(hasattr(part, "state_dict") for part in (self.learner, self.runner, parts.mac))
        self._progress: RunProgress | None = None
        self._next_print = 0.0

    @property
    def t_env(self) -> int:
        """Environment steps so far."""
        return int(self.runner.t_env)

    # --- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> str:
        """Train until a budget or the win rate ends it or someone stops it; return the reason."""
        self.console.info(f"Training for {self.args.t_max:,} environment steps")
        self._progress = RunProgress(self.args.t_max, self.console, start=self.t_env, file=self.progress_file)
        try:
            with StopRequest(self.console) as stop:
                reason = self._reason_to_end(stop)
                while reason is None:
                    self._iterate()
                    reason = self._reason_to_end(stop)
                if reason != "interrupted" and self.last_test != self.t_env:
                    self._test()
                self._finish()
        except EnvironmentDownError:
            if self.resumable:
                self.console.info(
                    f"Everything learned so far is in {self.save_checkpoint()}; resume=auto goes on from it"
                )
            raise
        finally:
            self._progress.close()
        return reason

    def _iterate(self) -> None:
        """Collect one batch, learn from it, and do what is due: a test, models, log, a checkpoint."""
        args = self.args
        with torch.no_grad():
            batch = self.runner.run(test_mode=False)
        self.learn(batch)
        if (self.t_env - self.last_test) / args.test_interval >= 1.0:
            self._test()
        if self.t_env - self.last_log >= args.log_interval:
            self._log()
        if self._progress is not None:
            self._progress.update(self.t_env)
        by_episodes = args.save_every_episodes and self.episode - self.last_saved_episode >= args.save_every_episodes
        if by_episodes:
            self.last_saved_episode = self.episode
        if args.save_model and (by_episodes or self.t_env - self.last_model >= args.save_model_interval):
            self.save_models()
        due = args.checkpoint_interval and self.t_env - self.last_checkpoint >= args.checkpoint_interval
        if self.resumable and (by_episodes or due):
            self.save_checkpoint()

    def learn(self, batch: Any) -> None:
        """Learn from a batch just collected, or from what the replay buffer that it goes into gives."""
        buffer, args = self.parts.buffer, self.args
        if buffer is not None:
            buffer.insert_episode_batch(batch)
        if self.on_policy:
            self._update(batch)
        elif buffer.can_sample(args.batch_size):
            for _ in range(args.updates_per_batch):
                self._update(buffer.sample(args.batch_size))
        self.episode += args.batch_size_run

    def _update(self, sample: Any) -> None:
        args = self.args
        sample = sample[:, : sample.max_t_filled()]
        if str(sample.device) != str(args.device):
            sample.to(args.device)
        self.learner.train(sample, self.t_env, self.episode)

    def _test(self) -> None:
        """Play `test_nepisode` greedy episodes; the runner logs their statistics under test_*."""
        args, t_env = self.args, self.t_env
        with getattr(self.learner, "testing", nullcontext)():
            for _ in range(-(-args.test_nepisode // args.batch_size_run)):
                self.runner.run(test_mode=True)
        self.last_test = t_env
        win_rate = self.logger.last(HEADLINE)
        if self._progress is not None:
            self._progress.update(t_env, win_rate)
        if win_rate is None:
            return
        test_return = self.logger.last("test_return_mean")
        self.console.info(f"Test at step {t_env:,}: win rate {win_rate:.0%}, return {test_return or 0:.2f}")
        self.tests_won_in_a_row = self.tests_won_in_a_row + 1 if win_rate >= args.stop_win_rate > 0 else 0
        seconds, cpu_seconds = self.resources.wall_seconds(), self.resources.cpu_seconds()
        for key, value in self.milestones.test(win_rate, t_env, self.episode, seconds, cpu_seconds).items():
            self.logger.log_stat(key, value, t_env)

    def _log(self) -> None:
        self.last_log = self.t_env
        self.logger.log_stat("episode", self.episode, self.t_env)
        for key, value in self.resources.summary().items():
            self.logger.log_stat(key, value, self.t_env)
        if self._progress is not None:
            self.logger.log_stat("env_steps_per_second", self._progress.steps_per_second(), self.t_env)
        if time.monotonic() >= self._next_print:
            self._next_print = time.monotonic() + PRINT_SECONDS
            self.logger.print_recent_stats()

    def _reason_to_end(self, stop: StopRequest) -> str | None:
        args = self.args
        if stop.requested:
            return "interrupted"
        if args.stop_win_rate > 0 and self.tests_won_in_a_row >= args.stop_evaluations:
            return f"test win rate of {args.stop_win_rate:.0%} in {args.stop_evaluations} tests in a row"
        if self.t_env > args.t_max:
            return f"t_max = {args.t_max:,} steps"
        if args.max_episodes and self.episode >= args.max_episodes:
            return f"max_episodes = {args.max_episodes:,}"
        if args.max_minutes and self.resources.this_process_seconds() >= 60 * args.max_minutes:
            return f"max_minutes = {args.max_minutes:g}"
        return None

    def _finish(self) -> None:
        if self.args.save_model and self.last_model != self.t_env:
            self.save_models()
        if self.resumable:
            self.save_checkpoint()

    # --- saving ------------------------------------------------------------------------------------------------------

    def save_models(self) -> Path:
        """Save the networks in PyMARL's layout, `<models>/<t_env>/agent.th` and so on."""
        folder = self.models / str(self.t_env)
        folder.mkdir(parents=True, exist_ok=True)
        self.learner.save_models(str(folder))
        self.last_model = self.t_env
        return folder

    def save_checkpoint(self) -> Path:
        """Write all that training needs to go on as if nothing had happened."""
        self.last_checkpoint = self.t_env
        return checkpoints.save(self.models, self.state_dict(), {**vars(self.label), "t_env": self.t_env})

    def state_dict(self) -> dict[str, Any]:
        """Return the complete state of the run, between two batches."""
        parts = {name: getattr(self.parts, name) for name in ("learner", "mac", "runner", "buffer", "logger")}
        own = ("episode", "last_test", "last_log", "last_model", "last_checkpoint", "last_saved_episode")
        return {
            **{name: part.state_dict() for name, part in parts.items() if part is not None},
            "loop": {name: getattr(self, name) for name in (*own, "tests_won_in_a_row")},
            "milestones": self.milestones.state_dict(),
            "resources": self.resources.state_dict(),
            "random": checkpoints.random_state(),
            "label": vars(self.label),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.require_resumable()
        for name in ("learner", "mac", "runner", "buffer", "logger"):
            part = getattr(self.parts, name)
            if part is not None:
                part.load_state_dict(state[name])
        for name, value in state["loop"].items():
            setattr(self, name, value)
        self.milestones.load_state_dict(state["milestones"])
        self.resources.load_state_dict(state["resources"])
        checkpoints.set_random_state(state["random"])

    def require_resumable(self) -> None:
        """Raise a `UserError` that names the parts without `state_dict()`, which cannot be resumed."""
        named = {"learner": self.learner, "mac": self.parts.mac, "runner": self.runner}
        without = [f'{key} "{type(part).__name__}"' for key, part in named.items() if not hasattr(part, "state_dict")]
        if without:
            raise UserError(f"This run cannot be resumed: {' and '.join(without)} has no state_dict().")

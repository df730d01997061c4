"""Environments stepped one beside the other, in this process or in workers of their own: what both have in common."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from components.episode_buffer import EpisodeBatch
from envs.faults import BrokenEpisodeError, EnvironmentDownError
from runners.base_runner import BaseRunner
from runners.statistics import numbers_of

Frame = dict[str, Any]


class Seat(Protocol):
    """One environment, near or far: `ask` begins a call, `answer` gives its result."""

    def ask(self, command: str, argument: Any = None) -> None:
        """Begin a call."""

    def answer(self) -> Any:
        """Wait for the result of the call begun last."""

    def close(self) -> None:
        """Release the environment."""


class LockstepRunner(BaseRunner):
    """Plays one episode in each of `batch_size_run` environments; those that have ended wait for the last one.

    An episode that its engine broke off leaves no trace but `broken_episodes`, which counts them and is logged: another
    one is played in its place, after the others have ended.
    """

    broken_episodes: int = 0
    _seats: dict[bool, list[Any]]

    def _make_seats(self, test_mode: bool) -> Sequence[Seat]:
        raise NotImplementedError

    def _open(self, test_mode: bool) -> dict[str, Any]:
        if not hasattr(self, "_seats"):
            self._seats = {}
        self._seats[test_mode] = list(self._make_seats(test_mode))
        return _call(self._seats[test_mode][:1], "get_env_info")[0]

    def _of(self, test_mode: bool) -> list[Seat]:
        if test_mode not in self._seats:
            self._open(test_mode)
        return self._seats[test_mode]

    def _play(self, batch: EpisodeBatch, n_episodes: int, test_mode: bool) -> list[dict[str, float]]:
        episodes: list[dict[str, float]] = [{} for _ in range(n_episodes)]
        self.t = 0
        waiting = list(range(n_episodes))
        while waiting:
            broken = self._play_rows(batch, waiting, episodes, test_mode)
            if broken:
                self._forget(batch, broken)
            waiting = broken
        return episodes

    def _play_rows(
        self, batch: EpisodeBatch, rows: list[int], episodes: list[dict[str, float]], test_mode: bool
    ) -> list[int]:
        """Play an episode in each of the rows; returns those whose engine failed on the way."""
        seats = self._of(test_mode)
        broken: list[int] = []
        _write_frames(batch, 0, rows, _call([seats[row] for row in rows], "reset"))
        for row in rows:
            episodes[row] = {"return": 0.0, "length": 0}
        t = 0
        while rows:
            bs = slice(None) if len(rows) == self.batch_size else rows
            actions, probs = self._select(batch, t, bs, test_mode)
            for row, action in zip(rows, actions.numpy()):
                seats[row].ask("step", action)
            results = _gather([seats[row] for row in rows])
            sound = [i for i, result in enumerate(results) if "broken" not in result]
            if len(sound) < len(rows):
                broken += [row for row, result in zip(rows, results) if "broken" in result]
                rows, results, actions = [rows[i] for i in sound], [results[i] for i in sound], actions[sound]
                probs = None if probs is None else probs[sound]
                if not rows:
                    break
            step: dict[str, Any] = {
                "actions": actions.unsqueeze(-1),
                "reward": [(result["reward"],) for result in results],
                "terminated": [(result["terminated"] and not result["truncated"],) for result in results],
            }
            if probs is not None:
                step["probs"] = probs
            batch.update(step, bs=rows, ts=t, mark_filled=False)
            t += 1
            _write_frames(batch, t, rows, [result["frame"] for result in results])
            for row, result in zip(rows, results):
                episodes[row]["return"] += result["reward"]
                episodes[row]["length"] += 1
                if result["terminated"]:
                    episodes[row].update(numbers_of(result["info"]))
            rows = [row for row, result in zip(rows, results) if not result["terminated"]]
        self.t = max(self.t, t)
        return broken

    def _forget(self, batch: EpisodeBatch, rows: list[int]) -> None:
        """Count broken episodes and clear their rows, in which other ones are played now."""
        self.broken_episodes += len(rows)
        self.logger.log_stat("broken_episodes", self.broken_episodes, self.t_env)
        for value in batch.data.transition_data.values():
            value[rows] = 0
        self.mac.init_hidden(batch_size=self.batch_size)

    def state_dict(self) -> dict[str, Any]:
        """What every runner keeps, and the count of broken episodes."""
        return super().state_dict() | {"broken_episodes": self.broken_episodes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave; the count begins anew where another kind of runner gave it."""
        super().load_state_dict(state)
        self.broken_episodes = int(state.get("broken_episodes", 0))

    def record_replays(self, folder: Path, episodes: int) -> bool:
        """Let the test environments write replays of their next episodes into the folder; False if they cannot.

        Episodes are numbered as they are played: one in each environment, then the next one in each.
        """
        seats = self._of(True)
        for number, seat in enumerate(seats):
            share = len(range(number, episodes, len(seats)))
            seat.ask("record_replays", {"folder": folder, "episodes": share, "first": number, "stride": len(seats)})
        answers = [seat.answer() for seat in seats]
        return all(answers)

    def save_replay(self) -> None:
        """Ask the first test environment (or, without one, the first training environment) for its replay."""
        _call(self._of(True in self._seats)[:1], "save_replay")

    def _environment_state(self) -> dict[str, Any]:
        return {
            "test" if test_mode else "train": [_to_tensors(state) for state in _call(seats, "snapshot")]
            for test_mode, seats in self._seats.items()
        }

    def _load_environment_state(self, state: dict[str, Any]) -> None:
        for name, saved in state.items():
            for seat, snapshot in zip(self._of(name == "test"), saved):
                if snapshot is not None:
                    seat.ask("restore", {key: value.numpy() for key, value in snapshot.items()})
                    seat.answer()

    def close_env(self) -> None:
        """Release all environments."""
        for seats in self._seats.values():
            for seat in seats:
                seat.close()


class EnvServer:
    """Answers the calls of a runner on one environment of the `MultiAgentEnv` interface."""

    def __init__(self, env: Any) -> None:
        self.env = env

    def handle(self, command: str, argument: Any) -> Any:
        """Result of one call."""
        return getattr(self, f"_{command}")(argument)

    def _get_env_info(self, _: Any) -> dict[str, Any]:
        return self.env.get_env_info()

    def _reset(self, _: Any) -> Frame:
        self.env.reset()
        return self._frame()

    def _step(self, actions: Any) -> dict[str, Any]:
        try:
            reward, terminated, info = self.env.step(actions)
        except BrokenEpisodeError as error:
            return {"broken": str(error)}
        return {
            "reward": float(reward),
            "terminated": bool(terminated),
            "truncated": bool(info.get("episode_limit", False)),
            "info": {key: value for key, value in info.items() if key != "episode_limit"},
            "frame": self._frame(),
        }

    def _record_replays(self, arguments: dict[str, Any]) -> bool:
        if not hasattr(self.env, "record_replays"):
            return False
        self.env.record_replays(**arguments)
        return True

    def _save_replay(self, _: Any) -> None:
        self.env.save_replay()

    def _snapshot(self, _: Any) -> Any:
        return self.env.snapshot() if hasattr(self.env, "snapshot") else None

    def _restore(self, saved: Any) -> None:
        self.env.restore(saved)

    def _frame(self) -> Frame:
        return {
            "state": np.asarray(self.env.get_state()),
            "obs": np.stack(self.env.get_obs()),
            "avail_actions": np.stack(self.env.get_avail_actions()),
        }


def _call(seats: Sequence[Seat], command: str) -> list[Any]:
    """The results of the same call to all of them, made at the same time."""
    for seat in seats:
        seat.ask(command)
    return _gather(seats)


def _gather(seats: Sequence[Seat]) -> list[Any]:
    """The answers of all; EnvironmentDownError, after the others were heard, if one has given up."""
    answers: list[Any] = []
    down: EnvironmentDownError | None = None
    for seat in seats:
        try:
            answers.append(seat.answer())
        except EnvironmentDownError as error:
            down = down or error
    if down is not None:
        raise down
    return answers


def _write_frames(batch: EpisodeBatch, t: int, rows: list[int], frames: Sequence[Frame]) -> None:
    batch.update({key: np.stack([frame[key] for frame in frames]) for key in frames[0]}, bs=rows, ts=t)


def _to_tensors(snapshot: dict[str, Any] | None) -> dict[str, torch.Tensor] | None:
    if snapshot is None:
        return None
    return {key: torch.from_numpy(np.array(value)) for key, value in snapshot.items()}

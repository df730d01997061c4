"""StarCraft II itself as an environment: the rules of skirmish over battles in the real game.

`engine: starcraft2` leads here. Observations, actions, rewards and statistics are those of the official package, quirks
included; the differences are in how failures are treated (docs/starcraft2.md).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.faults import BrokenEpisodeError
from envs.sc2_engine import GameEngine, GameOptions
from envs.sc2_install import find
from envs.smac import SMACEnv
from skirmish.battles import Battles
from skirmish.kernel_layout import EPISODES
from skirmish.maps import load_map
from skirmish.options import EngineOptions, RuleOptions, SettingError
from skirmish.replay import Replay
from skirmish.rules import Rules, StepResult

GAME_ARGUMENTS = tuple(field.name for field in fields(GameOptions))


class GameBattles(Battles):
    """One battle in the real game, with the rules beside it; keyword arguments are those of SMAC's environment and
    `GameOptions`.

    Raises MapError, InstallationError or SettingError.
    """

    engine: GameEngine

    def __init__(
        self, map_name: str, seed: int, notify: Callable[[str], None] | None = print, **arguments: Any
    ) -> None:
        patience = GameOptions(**{name: arguments.pop(name) for name in GAME_ARGUMENTS if name in arguments})
        options = RuleOptions.parse(arguments)
        self.map_spec = load_map(map_name)
        self.rules = Rules(self.map_spec, 1, **arguments)
        installation = find(options.game_version)
        self.engine = GameEngine(self.map_spec, installation, seed, options.difficulty, patience, notify)
        self.engine_options = EngineOptions()
        self.recorder = None
        self.n_battles = 1
        self.n_agents, self.n_enemies = self.rules.n_agents, self.rules.n_enemies
        self.n_actions, self.episode_limit = self.rules.n_actions, self.rules.episode_limit
        self.obs_size, self.state_size = self.rules.obs_size, self.rules.state_size
        self._scale = self.rules.max_reward.copy()

    def reset(self, rows: NDArray[np.bool_] | None = None) -> None:
        """Begin a new episode."""
        engine, rules = self.engine, self.rules
        launches = engine.launches
        engine.reset(np.ones(1, dtype=np.bool_))
        if engine.launches != launches:
            rules.set_ground(engine.pathing, engine.height, engine.span)
        self._scale = rules.max_reward.copy()
        if rules.counters[0, EPISODES] == 0 and not rules.options.corrected_rules:
            rules.max_reward += engine.seen_early
        rules.start(engine.units)

    def step(self, actions: NDArray[np.int64], rows: NDArray[np.bool_] | None = None) -> StepResult:
        """Play one step; BrokenEpisodeError if the game fails, after which the episode is as if it had not been."""
        orders = self.rules.orders(self.engine.units, actions)
        try:
            self.engine.advance(orders, self.rules.options.step_mul)
        except BaseException:
            self.rules.over[:] = True
            self.rules.max_reward[:] = self._scale
            raise
        return self.rules.step(self.engine.units)

    def provenance(self) -> dict[str, str]:
        """What has played."""
        return {
            "engine_version": self.engine.installation.version,
            "build": f"Base{self.engine.installation.build}",
            "rules": "corrected" if self.rules.options.corrected_rules else "smac",
        }

    def record_replays(self, folder: str | Path, episodes: int | None = 1, first: int = 0, stride: int = 1) -> None:
        """Not for the real game, which writes files of its own; NotImplementedError."""
        raise NotImplementedError("StarCraft II records by itself: see save_replay().")


class StarCraft2(SMACEnv):
    """One battle in StarCraft II for the runners; arguments of SMAC's environment and `sc2_engine.GameOptions`.

    The game is launched by the first `reset`. If it fails during `reset`, it is started again; if during `step`,
    that raises BrokenEpisodeError and the next `reset` starts it again. EnvironmentDownError ends the attempts.
    """

    _battles: GameBattles

    def __init__(self, map_name: str = "8m", seed: int | None = None, **arguments: Any) -> None:
        self._replays_due: tuple[Path, str, int] | None = None
        super().__init__(map_name=map_name, seed=seed, **arguments)

    def _make_battles(self, map_name: str, notify: Callable[[str], None] | None, arguments: dict[str, Any]) -> Battles:
        return GameBattles(map_name, self._seed, notify, **arguments)

    def reset(self) -> tuple[list[NDArray[Any]], NDArray[Any]]:
        """Begin an episode; returns the observations of all agents and the state."""
        answer = super().reset()
        self.max_distance_x, self.max_distance_y = self._battles.engine.span
        return answer

    def step(self, actions: Sequence[int] | NDArray[Any]) -> tuple[float, bool, dict[str, Any]]:
        """Play one step as `StarCraft2Env.step`; BrokenEpisodeError if the game fails."""
        answer = super().step(actions)
        if answer[1] and self._replays_due is not None:
            folder, name, episodes = self._replays_due
            self._replays_due = (folder, name, episodes - 1) if episodes > 1 else None
            if episodes <= 1:
                self._write_replay(folder, name)
        return answer

    @property
    def broken_episodes(self) -> int:
        """How often the game has failed and was started again."""
        return self._battles.engine.restarts

    def get_stats(self) -> dict[str, float]:
        """Counts of battles; episodes that broke are in `restarts` alone."""
        return super().get_stats() | {"restarts": self.force_restarts + self.broken_episodes}

    def seed(self, seed: int | None = None) -> int:
        """The seed in use; with an argument the next `reset` starts the game anew with it."""
        if seed is not None:
            super().seed(seed)
            self._battles.rules.over[:] = True
        return self._seed

    def full_restart(self) -> None:
        """End the game; the next `reset` starts it anew with the same seed."""
        super().full_restart()
        self._battles.rules.over[:] = True

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Nothing: the game cannot be saved, so a continued run begins with fresh battles."""
        return {}

    def restore(self, saved: dict[str, NDArray[Any]]) -> None:
        """Does nothing; SettingError for a snapshot of another engine."""
        if saved:
            raise SettingError("This snapshot is of embedded battles; StarCraft II cannot go back to it.")

    def save_replay(self) -> Path:
        """Write the game's replay file of all battles since it was launched; returns the file.

        As in the official package it goes to `replay_dir`, a relative one below the game's `Replays` folder, as
        `<replay_prefix or map>_<UTC time>.SC2Replay`. The Linux client cannot play it; the Windows and Mac ones can.
        """
        options = self.options
        folder = self._battles.engine.installation.folder / "Replays" / options.replay_dir
        return self._write_replay(folder, options.replay_prefix or self.map_name)

    def record_replays(self, folder: str | Path, episodes: int | None = 1, first: int = 0, stride: int = 1) -> None:
        """After the next `episodes` episodes (None: one) write the game's replay of all so far into the folder.

        `first` goes into its name, and tells environments apart that write into the same folder.
        """
        if episodes is None or episodes > 0:
            self._replays_due = Path(folder).resolve(), f"{self.map_name}_{first}", episodes or 1

    def replay(self) -> Replay:
        """Not for the real game, which writes files of its own; NotImplementedError."""
        raise NotImplementedError("StarCraft II records by itself: see save_replay().")

    def _write_replay(self, folder: Path, prefix: str) -> Path:
        data = self._battles.engine.save_replay()
        folder.mkdir(parents=True, exist_ok=True)
        stamp = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d-%H-%M-%S}"
        path, number = folder / f"{prefix}_{stamp}.SC2Replay", 1
        while path.exists():
            path, number = folder / f"{prefix}_{stamp}_{number}.SC2Replay", number + 1
        path.write_bytes(data)
        return path

    def _remember(self) -> None:
        self._played = []


__all__ = ["BrokenEpisodeError", "GameBattles", "StarCraft2"]

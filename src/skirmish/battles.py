"""Engine and rules together: B battles of one SMAC map, stepped and observed at once.

battles = Battles("3m", n_battles=64, seed=1)
obs, state, avail = battles.frame()
battles.reset()
battles.observe(obs, state, avail)
result = battles.step(actions)          # actions [64, 3]; result.reward, result.terminated, ... [64]
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import skirmish
from skirmish.engine import Engine, warm_up
from skirmish.maps import load_map
from skirmish.options import SettingError, split_arguments
from skirmish.recorder import Recorder, ReplayFolder
from skirmish.rules import Rules, StepResult

Bools = NDArray[np.bool_]


class Battles:
    """`n_battles` battles on a map; keyword arguments are those of SMAC's environment (`options.RuleOptions`)
    and of the engine (`options.EngineOptions`).

    Axes: B battles, n agents, A actions. Every battle has its own random stream, spawned from `seed`.
    notify gets one line if the kernels have to be compiled first. recorder: who looks on and makes replays, or None.
    Raises MapError for a map that cannot be played, SettingError for a wrong argument.
    """

    def __init__(
        self,
        map_name: str,
        n_battles: int = 1,
        seed: int = 0,
        notify: Callable[[str], None] | None = print,
        **arguments: Any,
    ) -> None:
        self.map_spec = load_map(map_name)
        rules, engine = split_arguments(arguments)
        if n_battles < 1 or seed < 0:
            raise SettingError(f"n_battles must be at least 1 and seed at least 0, not {n_battles} and {seed}.")
        warm_up(notify)
        self.rules = Rules(self.map_spec, n_battles, **vars(rules))
        self.engine = Engine(self.map_spec, n_battles, seed, **vars(engine))
        self.engine_options = engine
        self.recorder: Recorder | None = None
        self.n_battles = n_battles
        self.n_agents = self.rules.n_agents
        self.n_enemies = self.rules.n_enemies
        self.n_actions = self.rules.n_actions
        self.episode_limit = self.rules.episode_limit
        self.obs_size = self.rules.obs_size
        self.state_size = self.rules.state_size

    def frame(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
        """New arrays obs [B, n, obs_size], state [B, state_size], avail [B, n, A] for `observe`."""
        return self.rules.frame()

    def reset(self, rows: Bools | None = None) -> None:
        """Begin new episodes in the given rows [B] (None: all)."""
        mask = np.ones(self.n_battles, dtype=np.bool_) if rows is None else rows
        self.engine.reset(mask)
        self.rules.start(self.engine.units, mask)
        if self.recorder is not None:
            self.recorder.begin(mask)

    def observe(
        self,
        obs: NDArray[np.float32],
        state: NDArray[np.float32],
        avail: NDArray[np.int32],
        rows: Bools | None = None,
    ) -> None:
        """Write the current frame into the arrays, which may be strided views; other rows stay as they are."""
        self.rules.observe(self.engine.units, obs, state, avail, rows)

    def step(self, actions: NDArray[np.int64], rows: Bools | None = None) -> StepResult:
        """Play one environment step in the given rows [B] (None: all) with actions [B, n]; the others stand still.

        Raises IllegalActionError, before anything has moved, naming battle, agent and action.
        """
        engine = self.engine
        orders = self.rules.orders(engine.units, actions, rows)
        engine.active[:] = True if rows is None else rows
        if self.recorder is None:
            engine.advance(orders, self.rules.options.step_mul)
            return self.rules.step(engine.units, rows)
        self.recorder.play(orders, self.rules.options.step_mul)
        result = self.rules.step(engine.units, rows)
        self.recorder.end_step(orders, result)
        if not self.recorder.busy:
            self.recorder = None
        return result

    def record_replays(self, folder: str | Path, episodes: int | None = 1, first: int = 0, stride: int = 1) -> None:
        """Write replays of the next `episodes` episodes to begin (None: all), as each of them ends.

        The files are `<map>_<number>.npz`, numbered first, first + stride, ... Recording changes no battle.
        """
        self.recorder = Recorder(self, ReplayFolder(folder), episodes, first, stride)

    def provenance(self) -> dict[str, str]:
        """What has played: `engine_version`, `profile`, `build`, `rules` (`smac` or `corrected`)."""
        return {
            "engine_version": skirmish.__version__,
            "profile": self.engine_options.profile,
            "build": self.engine_options.build,
            "rules": "corrected" if self.rules.options.corrected_rules else "smac",
        }

    def get_env_info(self) -> dict[str, Any]:
        """SMAC's description of sizes and features, and `n_enemies`."""
        return self.rules.get_env_info()

    def get_stats(self) -> dict[str, float]:
        """SMAC's statistics over all battles since the start."""
        return self.rules.get_stats()

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Copies of everything that changes, under flat names."""
        saved = {f"engine.{name}": array for name, array in self.engine.snapshot().items()}
        return saved | {f"rules.{name}": array for name, array in self.rules.snapshot().items()}

    def restore(self, saved: dict[str, NDArray[Any]]) -> None:
        """Return to a snapshot of equal map, arguments and number of battles, to the bit."""
        parts: dict[str, dict[str, NDArray[Any]]] = {"engine": {}, "rules": {}}
        for name, array in saved.items():
            part, _, field = name.partition(".")
            parts[part][field] = array
        if self.recorder is not None:
            self.recorder.cut()
        self.engine.restore(parts["engine"])
        self.rules.restore(parts["rules"])

    def close(self) -> None:
        """Release the engine."""
        self.engine.close()

"""What SMAC defines: which actions are open, what they order, what agents see, what they earn and when it ends.

`Rules` works on arrays of units, one battle a row, and knows no simulator: whoever moves the units calls `start` after
placing them, then `orders` -> (move the units) -> `step` -> `observe` in turn. Every quirk of the official package is
kept, because published numbers depend on them; among them:

* the default reward is an absolute value, so an enemy that regenerates pays the agents;
* on the Stalker and Zealot maps the enemies' type bits are swapped; a Medivac's enemy flags are its heal flags;
* sight is strictly below 9, reach is up to and including 6, for all units; walls are probed at half a move's length;
* `obs_timestep_number` makes observations one longer than the size query says;
* a time-out is reported in `info["episode_limit"]` only with `continuing_episode`; sparse rewards are scaled too;
* `battles_draw` counts time-outs; `max_reward` grows at every reset until the first episode has ended.

`corrected_rules` mends what `options.CORRECTIONS` lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skirmish import rules_kernels as kernels
from skirmish.engine import Orders, Units
from skirmish.maps import MapSpec
from skirmish.options import RuleOptions, sizes_of
from skirmish.tables import layout_of, types_of

Bools = NDArray[np.bool_]

ACTION_NAMES = ("no-op", "stop", "move north", "move south", "move east", "move west")

_ARRAYS = ("total", "counted_dead", "last_action", "targets", "steps", "max_reward", "counters", "over")


class IllegalActionError(ValueError, AssertionError):
    """An action that is not available. Also an AssertionError, which is what the official package raises."""


class NotRunningError(RuntimeError):
    """A step before the first reset or after the end of an episode."""


@dataclass
class StepResult:
    """What a step brought; arrays [B], 0 or False in rows that were not stepped.

    timeout: the episode ended by its length alone (never in the step that decides the battle).
    """

    reward: NDArray[np.float64]
    terminated: Bools
    battle_won: Bools
    dead_allies: NDArray[np.int64]
    dead_enemies: NDArray[np.int64]
    timeout: Bools

    @classmethod
    def zeros(cls, n_battles: int) -> StepResult:
        """A result in which nothing happened."""
        flags = [np.zeros(n_battles, dtype=np.bool_) for _ in range(3)]
        counts = [np.zeros(n_battles, dtype=np.int64) for _ in range(2)]
        return cls(np.zeros(n_battles), flags[0], flags[1], counts[0], counts[1], flags[2])


class Rules:
    """SMAC's rules for `n_battles` battles on one map; keyword arguments as in `options.RuleOptions`.

    Every method that takes `rows` (bool [B]) leaves the other battles alone; None means all of them.
    obs_size and state_size are the lengths of the arrays; `get_env_info` answers what SMAC answers.
    """

    def __init__(self, spec: MapSpec, n_battles: int = 1, **arguments: Any) -> None:
        self.spec = spec
        self.options = RuleOptions.parse(arguments)
        self.sizes = sizes_of(spec, self.options)
        self.n_battles, self.n_agents, self.n_enemies = n_battles, spec.n_agents, spec.n_enemies
        self.n_actions, self.obs_size, self.state_size = self.sizes.n_actions, self.sizes.obs, self.sizes.state
        self.episode_limit = spec.limit
        self._layout, self.types = layout_of(spec, self.options), types_of(spec, self.options.corrected_rules)
        self.set_ground(spec.pathing, spec.height, spec.pathing.shape)
        n_units = spec.n_agents + spec.n_enemies
        self._scratch = (np.zeros((4, n_units)), np.zeros((3, n_units), np.int64), np.zeros((spec.n_agents, n_units)))
        self._all = np.ones(n_battles, dtype=np.bool_)
        self._allocate()
        kernels.compile_kernels()

    def _allocate(self) -> None:
        battles, units = self.n_battles, self.n_agents + self.n_enemies
        self.total = np.zeros((battles, units))
        self.counted_dead = np.zeros((battles, units), dtype=np.bool_)
        self.last_action = np.full((battles, self.n_agents), -1, dtype=np.int16)
        self.targets = np.full((battles, self.n_agents), -1, dtype=np.int16)
        self.steps = np.zeros(battles, dtype=np.int64)
        kills_and_win = self.n_enemies * self.options.reward_death_value + self.options.reward_win
        self.max_reward = np.full(battles, float(kills_and_win))
        self.counters = np.zeros((battles, 5), dtype=np.int64)
        self.over = np.ones(battles, dtype=np.bool_)  # no episode is running

    def set_ground(self, pathing: NDArray[np.bool_], height: NDArray[np.uint8], span: tuple[int, ...]) -> None:
        """Take over where units can walk and how high it is, [x, y] as in `MapSpec`; `span` divides the state's
        positions (cells)."""
        self.pathing = np.array(pathing, dtype=np.bool_, order="C")
        # SMAC mirrors the heights in y, and only them.
        self.height = np.ascontiguousarray((height if self.options.corrected_rules else height[:, ::-1]) / 255)
        self._layout["span_x"], self._layout["span_y"] = span

    def fix_reward_scale(self) -> None:
        """Keep `max_reward` at its right value however often `start` is called before an episode has ended."""
        self._layout["fixed_scale"] = 1

    def start(self, units: Units, rows: Bools | None = None) -> None:
        """Begin episodes with the units as they stand."""
        kernels.begin(
            self._layout, self._rows(rows), units.health, units.health_max, units.shield, units.shield_max,
            self.total, self.counted_dead, self.last_action, self.targets, self.steps, self.max_reward, self.counters,
            self.over,
        )  # fmt: skip

    def orders(self, units: Units, actions: NDArray[np.int64], rows: Bools | None = None) -> Orders:
        """Translate actions [B, n] into orders; rows left out get orders of kind NONE.

        With `heuristic_ai` the given actions are only remembered as last actions, and `actions` is overwritten with
        what the script chose (with `corrected_rules` the played ones are remembered). Raises, before anything changes,
        IllegalActionError for an action that is not available, NotRunningError for a battle without a running episode.
        """
        chosen = np.ascontiguousarray(actions, dtype=np.int64)
        if chosen.shape != self.last_action.shape:
            raise ValueError(f"Actions must have the shape {self.last_action.shape}, not {chosen.shape}.")
        if self.options.heuristic_ai:
            return self._script(units, actions, rows)
        out = Orders.zeros(self.n_battles, self.n_agents)
        illegal = kernels.translate(
            self._layout, self.types, self.pathing, units.type, units.x, units.y, units.health, units.alive,
            self._rows(rows), self.over, chosen, self.last_action, *self._scratch[:2],
            out.kind, out.target, out.x, out.y,
        )  # fmt: skip
        if illegal < -1:
            raise self._not_running(-2 - int(illegal))
        if illegal >= 0:
            self._refuse(units, int(illegal), chosen)
        return out

    def _script(self, units: Units, actions: NDArray[np.int64], rows: Bools | None) -> Orders:
        out = Orders.zeros(self.n_battles, self.n_agents)
        played = np.array(actions, dtype=np.int64, order="C")
        stopped = kernels.play_heuristic(
            self._layout, self.types, self.pathing, units.type, units.x, units.y, units.health, units.health_max,
            units.alive, self._rows(rows), self.over, played, self.last_action, self.targets, *self._scratch[:2],
            out.kind, out.target, out.x, out.y,
        )  # fmt: skip
        if stopped < -1:
            raise self._not_running(-2 - int(stopped))
        if not self.options.corrected_rules:
            actions[...] = played
        return out

    def step(self, units: Units, rows: Bools | None = None) -> StepResult:
        """Close a step after the units have moved: reward, end, counts and statistics."""
        out = StepResult.zeros(self.n_battles)
        kernels.settle(
            self._layout, self.types, units.type, units.health, units.shield, units.alive, self._rows(rows),
            self.total, self.counted_dead, self.steps, self.max_reward, self.counters, self.over,
            out.reward, out.terminated, out.battle_won, out.dead_allies, out.dead_enemies, out.timeout,
        )  # fmt: skip
        return out

    def observe(
        self,
        units: Units,
        obs: NDArray[np.float32],
        state: NDArray[np.float32],
        avail: NDArray[np.int32],
        rows: Bools | None = None,
    ) -> None:
        """Write the current frame into obs [B, n, obs_size], state [B, state_size] and avail [B, n, n_actions].

        The arrays may be strided views, such as one time step of a batch.
        """
        expected = ((self.n_agents, self.obs_size), (self.state_size,), (self.n_agents, self.n_actions))
        for array, shape, name in zip((obs, state, avail), expected, ("obs", "state", "avail")):
            if array.shape != (self.n_battles, *shape):
                raise ValueError(f"{name} must have the shape {(self.n_battles, *shape)}, not {array.shape}.")
        kernels.observe(
            self._layout, self.types, self.pathing, self.height, units.type, units.x, units.y,
            units.health, units.health_max, units.shield, units.energy, units.weapon_cooldown, units.alive,
            self.last_action, self.steps, self._rows(rows), *self._scratch, obs, state, avail,
        )  # fmt: skip

    def visibility(self, units: Units) -> Bools:
        """Who sees whom, [B, n, n + m]: allies by id, then enemies by id; never oneself."""
        visible = np.zeros((self.n_battles, self.n_agents, self.n_agents + self.n_enemies), dtype=np.bool_)
        kernels.see(
            self._layout, self.types, units.type, units.x, units.y, units.health, units.health_max, units.shield,
            units.alive, *self._scratch, visible,
        )  # fmt: skip
        return visible

    def get_env_info(self) -> dict[str, Any]:
        """Sizes and feature names under SMAC's keys, and `n_enemies`."""
        types = [f"type_{bit}" for bit in range(self.spec.unit_type_bits)]
        ally = ["health", "energy/cooldown", "rel_x", "rel_y"] + ["shield"] * (self.spec.a_race == "P") + types
        enemy = ["health", "rel_x", "rel_y"] + ["shield"] * (self.spec.b_race == "P") + types
        return {
            "state_shape": self.sizes.state_query,
            "obs_shape": self.sizes.obs_query,
            "n_actions": self.n_actions,
            "n_agents": self.n_agents,
            "n_enemies": self.n_enemies,
            "episode_limit": self.episode_limit,
            "agent_features": ally,
            "enemy_features": enemy,
        }

    def get_stats(self) -> dict[str, float]:
        """SMAC's statistics, summed over all battles; ZeroDivisionError before the first has ended, as in SMAC."""
        games, won, timeouts, _, draws = (int(count) for count in self.counters.sum(axis=0))
        corrected = self.options.corrected_rules
        return {
            "battles_won": won,
            "battles_game": games,
            "battles_draw": draws if corrected else timeouts,
            "win_rate": 0.0 if corrected and not games else won / games,
            "timeouts": timeouts,
            "restarts": 0,
        }

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Copies of all that the rules remember."""
        return {name: getattr(self, name).copy() for name in _ARRAYS}

    def restore(self, saved: dict[str, NDArray[Any]]) -> None:
        """Go back to a snapshot of equal shape; ValueError, before anything changes, if it does not fit."""
        for name in _ARRAYS:
            if name not in saved or saved[name].shape != getattr(self, name).shape:
                shape = getattr(self, name).shape
                raise ValueError(f'The snapshot does not fit: its "{name}" should have the shape {shape}.')
        for name in _ARRAYS:
            getattr(self, name)[...] = saved[name]

    def _rows(self, rows: Bools | None) -> Bools:
        return self._all if rows is None else rows

    def _refuse(self, units: Units, illegal: int, actions: NDArray[np.int64]) -> None:
        battle, agent = divmod(illegal, self.n_agents)
        action = int(actions[battle, agent])
        rows = np.zeros(self.n_battles, dtype=np.bool_)
        rows[battle] = True
        obs, state, avail = self.frame()
        self.observe(units, obs, state, avail, rows)
        open_actions = ", ".join(str(a) for a in np.flatnonzero(avail[battle, agent]))
        raise IllegalActionError(
            f"Agent {agent} of battle {battle} cannot take action {action} ({self.action_name(action, agent)}) in step "
            f"{int(self.steps[battle])}; available: {open_actions}."
        )

    def require_running(self, rows: Bools | None = None) -> None:
        """NotRunningError if no episode is running in one of the rows."""
        stopped = np.flatnonzero(self.over & self._rows(rows))
        if stopped.size:
            raise self._not_running(int(stopped[0]))

    def _not_running(self, battle: int) -> NotRunningError:
        what = "has ended" if self.steps[battle] else "has not begun"
        return NotRunningError(f"The episode of battle {battle} {what}: call reset() before the next step.")

    def action_name(self, action: int, agent: int = 0) -> str:
        """An agent's action in words."""
        if 0 <= action < len(ACTION_NAMES):
            return ACTION_NAMES[action]
        target, heals = action - len(ACTION_NAMES), self.spec.ally_types[agent] == "Medivac"
        if not 0 <= target < (self.n_agents if heals else self.n_enemies):
            return "no such action"
        return f"heal agent {target}" if heals else f"attack enemy {target}"

    def frame(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
        """New arrays obs, state, avail of the shapes that `observe` fills."""
        return (
            np.zeros((self.n_battles, self.n_agents, self.obs_size), dtype=np.float32),
            np.zeros((self.n_battles, self.state_size), dtype=np.float32),
            np.zeros((self.n_battles, self.n_agents, self.n_actions), dtype=np.int32),
        )

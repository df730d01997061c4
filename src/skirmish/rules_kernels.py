"""Compiled loops behind `skirmish.rules`: legality, orders, reward, observations.

Each public kernel walks over a batch of battles, a battle a row, and touches only the rows named in `rows`.
Features are computed in double precision in the order of operations that SMAC uses and rounded once to float32, so
that the results equal the official package's bit for bit. Nothing is allocated inside; scratch space comes in.

Axes: B battles, U = n + m units (agents by id, then enemies by id), A = 6 + m actions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np

SIGHT = 9.0
REACH = 6.0
N_BASIC_ACTIONS = 6
GRID = 32
NO_ORDER, STOP, MOVE, ATTACK, HEAL = range(5)

LAYOUT = np.dtype(
    [
        (name, np.int64)
        for name in (
            "n_agents n_enemies n_actions type_bits ally_shields enemy_shields episode_limit medics "
            "obs_all_health obs_own_health obs_last_action obs_pathing_grid obs_terrain_height obs_timestep "
            "obs_instead_of_state state_last_action state_timestep only_positive sparse scaled rest"
        ).split()
    ]
    + [
        (name, np.float64)
        for name in "move_amount death_value win_value defeat_value negative_scale scale_rate".split()
    ],
    align=True,
)
"""What the kernels must know of map and options: one record, flags as 0/1."""

TYPES = np.dtype(
    [(name, np.int64) for name in ("ally_bit", "enemy_bit", "medic")]
    + [(name, np.float64) for name in ("max_shield", "max_cooldown")],
    align=True,
)
"""Constants by unit type: places in the type one-hots, divisors of the shield and cooldown features."""

GAMES, WON, TIMEOUTS, EPISODES = range(4)

_helper = nb.njit(inline="never", error_model="numpy")


def _kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    return nb.njit(cache=True, error_model="numpy")(function)


@_helper
def _can_enter(pathing: Any, x: float, y: float) -> bool:
    # int() truncates toward zero: a probe in (-1, 0) lands in column 0 and is tested there, as SMAC does.
    column, row = int(x), int(y)
    return 0 <= column < GRID and 0 <= row < GRID and pathing[column, row]


@_helper
def _distance(x: Any, y: Any, b: int, i: int, j: int) -> float:
    dx = np.float64(x[b, j]) - np.float64(x[b, i])
    dy = np.float64(y[b, j]) - np.float64(y[b, i])
    return math.sqrt(dx * dx + dy * dy)


@_helper
def _legal(
    c: Any, types: Any, pathing: Any, kind: Any, x: Any, y: Any, health: Any, alive: Any, b: int, i: int, action: int
) -> bool:
    """Whether agent i of battle b may choose `action` now."""
    if action < 0 or action >= c.n_actions:
        return False
    if not (alive[b, i] and health[b, i] > 0):
        return action == 0
    if action < N_BASIC_ACTIONS:
        px, py, probe = np.float64(x[b, i]), np.float64(y[b, i]), c.move_amount / 2
        if action == 2:
            return _can_enter(pathing, px, py + probe)
        if action == 3:
            return _can_enter(pathing, px, py - probe)
        if action == 4:
            return _can_enter(pathing, px + probe, py)
        if action == 5:
            return _can_enter(pathing, px - probe, py)
        return action == 1
    target = action - N_BASIC_ACTIONS
    if c.medics and types[kind[b, i]].medic:
        if target >= c.n_agents or types[kind[b, target]].medic:
            return False
    else:
        target += c.n_agents
    return alive[b, target] and health[b, target] > 0 and _distance(x, y, b, i, target) <= REACH


@_helper
def _write_order(
    c: Any, medic: bool, x: Any, y: Any, b: int, i: int, action: int,
    order_kind: Any, order_target: Any, order_x: Any, order_y: Any,
) -> None:  # fmt: skip
    order_kind[b, i], order_target[b, i], order_x[b, i], order_y[b, i] = NO_ORDER, -1, 0.0, 0.0
    if action == 1:
        order_kind[b, i] = STOP
    elif 2 <= action < N_BASIC_ACTIONS:
        order_kind[b, i] = MOVE
        dx = c.move_amount if action == 4 else (-c.move_amount if action == 5 else 0.0)
        dy = c.move_amount if action == 2 else (-c.move_amount if action == 3 else 0.0)
        order_x[b, i] = np.float64(x[b, i]) + dx
        order_y[b, i] = np.float64(y[b, i]) + dy
    elif action >= N_BASIC_ACTIONS:
        order_kind[b, i] = HEAL if medic else ATTACK
        order_target[b, i] = action - N_BASIC_ACTIONS + (0 if medic else c.n_agents)


@_kernel
def translate(
    layout: Any, types: Any, pathing: Any, kind: Any, x: Any, y: Any, health: Any, alive: Any,
    rows: Any, actions: Any, last_action: Any,
    order_kind: Any, order_target: Any, order_x: Any, order_y: Any,
) -> int:  # fmt: skip
    """Turn actions into orders. Returns -1, or `b * n_agents + i` of the first illegal action (nothing is changed then)."""
    c = layout[0]
    n = c.n_agents
    for b in range(rows.size):
        if rows[b]:
            for i in range(n):
                if not _legal(c, types, pathing, kind, x, y, health, alive, b, i, actions[b, i]):
                    return b * n + i
    for b in range(rows.size):
        for i in range(n):
            action = actions[b, i] if rows[b] else 0
            medic = c.medics != 0 and types[kind[b, i]].medic != 0
            _write_order(c, medic, x, y, b, i, action, order_kind, order_target, order_x, order_y)
            if rows[b]:
                last_action[b, i] = action
    return -1


@_helper
def _nearest(
    c: Any, types: Any, medic: bool, kind: Any, x: Any, y: Any, health: Any, health_max: Any, alive: Any, b: int, i: int
) -> int:
    """Nearest enemy id, or for a medic the nearest hurt non-medic ally; -1 where there is none."""
    best, best_distance = -1, math.sqrt(2.0 * GRID * GRID)
    first, last = (0, c.n_agents) if medic else (c.n_agents, c.n_agents + c.n_enemies)
    for u in range(first, last):
        if not (alive[b, u] and health[b, u] > 0):
            continue
        if medic and (types[kind[b, u]].medic or health[b, u] == health_max[b, u]):
            continue
        distance = _distance(x, y, b, i, u)
        if distance < best_distance:
            best, best_distance = u - first, distance
    return best


@_helper
def _step_toward(dx: float, dy: float) -> int:
    if abs(dx) > abs(dy):
        return 4 if dx > 0 else 5
    return 2 if dy > 0 else 3


@_kernel
def play_heuristic(
    layout: Any, types: Any, pathing: Any, kind: Any, x: Any, y: Any, health: Any, health_max: Any, alive: Any,
    rows: Any, actions: Any, last_action: Any, targets: Any,
    order_kind: Any, order_target: Any, order_x: Any, order_y: Any,
) -> None:  # fmt: skip
    """SMAC's scripted allies: keep a target until it is dead (or, for a medic, healed), then take the nearest.

    Overwrites `actions` with what was played; `last_action` keeps what the caller asked for.
    """
    c = layout[0]
    for b in range(rows.size):
        for i in range(c.n_agents):
            _write_order(c, False, x, y, b, i, 0, order_kind, order_target, order_x, order_y)
            if not rows[b]:
                continue
            last_action[b, i] = actions[b, i]
            medic = c.medics != 0 and types[kind[b, i]].medic != 0
            offset = 0 if medic else c.n_agents
            target = targets[b, i]
            if target >= 0:
                u = target + offset
                gone = not alive[b, u] or health[b, u] == 0
                if gone or (medic and health[b, u] == health_max[b, u]):
                    target = -1
            if target < 0:
                target = _nearest(c, types, medic, kind, x, y, health, health_max, alive, b, i)
            targets[b, i] = target
            if target < 0:
                actions[b, i] = 0
                continue
            action = N_BASIC_ACTIONS + target
            if c.rest and not _legal(c, types, pathing, kind, x, y, health, alive, b, i, action):
                u = target + offset
                action = _step_toward(
                    np.float64(x[b, u]) - np.float64(x[b, i]), np.float64(y[b, u]) - np.float64(y[b, i])
                )
            actions[b, i] = action
            if alive[b, i] and health[b, i] > 0:
                _write_order(c, medic, x, y, b, i, action, order_kind, order_target, order_x, order_y)


@_kernel
def begin(
    layout: Any, rows: Any, health: Any, health_max: Any, shield: Any, shield_max: Any,
    total: Any, counted_dead: Any, last_action: Any, targets: Any, steps: Any, max_reward: Any, counters: Any,
) -> None:  # fmt: skip
    """Clear what belongs to an episode; `max_reward` grows until a battle has finished its first episode."""
    c = layout[0]
    for b in range(rows.size):
        if not rows[b]:
            continue
        steps[b] = 0
        for i in range(c.n_agents):
            last_action[b, i] = -1
            targets[b, i] = -1
        for u in range(c.n_agents + c.n_enemies):
            total[b, u] = np.float64(health[b, u]) + np.float64(shield[b, u])
            counted_dead[b, u] = False
            if u >= c.n_agents and counters[b, EPISODES] == 0:
                max_reward[b] += np.float64(health_max[b, u]) + np.float64(shield_max[b, u])


@_helper
def _outcome(c: Any, types: Any, kind: Any, health: Any, alive: Any, b: int) -> int:
    """1 won, -1 lost, 0 drawn, 2 undecided; the clauses in SMAC's order."""
    allies, enemies, fighters, medics, others = 0, 0, 0, 0, 0
    for u in range(c.n_agents + c.n_enemies):
        if not alive[b, u]:
            continue
        healthy = health[b, u] > 0
        medic = types[kind[b, u]].medic != 0
        if u < c.n_agents:
            allies += 1
            fighters += healthy and not medic
        else:
            enemies += 1
            medics += healthy and medic
            others += healthy and not medic
    if (allies == 0 and enemies > 0) or (c.medics and fighters == 0):
        return -1
    if (allies > 0 and enemies == 0) or (c.medics and medics == 1 and others == 0):
        return 1
    return 0 if allies == 0 and enemies == 0 else 2


@_helper
def _battle_reward(
    c: Any, health: Any, shield: Any, alive: Any, total: Any, counted_dead: Any, b: int
) -> float:
    """Damage and kills since the last call, unscaled; remembers totals and deaths."""
    deaths, lost, dealt = 0.0, 0.0, 0.0
    for u in range(c.n_agents + c.n_enemies):
        if counted_dead[b, u]:
            continue
        before = total[b, u]
        h = np.float64(health[b, u]) if alive[b, u] else 0.0
        s = np.float64(shield[b, u])
        total[b, u] = h + s
        died = h == 0.0
        counted_dead[b, u] = died
        if u < c.n_agents:
            if died:
                if not c.only_positive:
                    deaths -= c.death_value * c.negative_scale
                lost += before * c.negative_scale
            else:
                lost += c.negative_scale * (before - h - s)
        elif died:
            deaths += c.death_value
            dealt += before
        else:
            dealt += before - h - s
    # abs(), not max(0, .): an enemy that regenerates pays the agents. Published returns contain it.
    return abs(dealt + deaths) if c.only_positive else dealt + deaths - lost


@_kernel
def settle(
    layout: Any, types: Any, kind: Any, health: Any, shield: Any, alive: Any, rows: Any,
    total: Any, counted_dead: Any, steps: Any, max_reward: Any, counters: Any,
    reward: Any, terminated: Any, battle_won: Any, dead_allies: Any, dead_enemies: Any, timeout: Any,
) -> None:  # fmt: skip
    """Close a step: reward, end of battle, counts of the dead, statistics."""
    c = layout[0]
    for b in range(rows.size):
        if not rows[b]:
            continue
        steps[b] += 1
        value = _battle_reward(c, health, shield, alive, total, counted_dead, b)
        if c.sparse:
            value = 0.0
        for u in range(c.n_agents + c.n_enemies):
            if not alive[b, u] or health[b, u] == 0:
                if u < c.n_agents:
                    dead_allies[b] += 1
                else:
                    dead_enemies[b] += 1
        outcome = _outcome(c, types, kind, health, alive, b)
        if outcome == 1:
            battle_won[b] = True
            counters[b, WON] += 1
            value = 1.0 if c.sparse else value + c.win_value
        elif outcome == -1:
            value = -1.0 if c.sparse else value + c.defeat_value
        elif outcome == 2 and steps[b] >= c.episode_limit:
            timeout[b] = True
            counters[b, TIMEOUTS] += 1
        if outcome != 2 or timeout[b]:
            terminated[b] = True
            counters[b, GAMES] += 1
            counters[b, EPISODES] += 1
        if c.scaled:
            value /= max_reward[b] / c.scale_rate
        reward[b] = value


@_helper
def _measure(c: Any, x: Any, y: Any, health: Any, alive: Any, b: int, distance: Any) -> None:
    """Fill distance[n, U] of one battle: centre distances below the sight range, inf for what is not seen."""
    n = c.n_agents
    units = n + c.n_enemies
    for i in range(n):
        distance[i, i] = np.inf
        seeing = alive[b, i] and health[b, i] > 0
        px, py = np.float64(x[b, i]), np.float64(y[b, i])
        for u in range(i + 1, units):
            d = np.inf
            if seeing and alive[b, u] and health[b, u] > 0:
                dx = np.float64(x[b, u]) - px
                dy = np.float64(y[b, u]) - py
                square = dx * dx + dy * dy
                if square < SIGHT * SIGHT:
                    d = math.sqrt(square)
                    if d >= SIGHT:
                        d = np.inf
            distance[i, u] = d
            if u < n:
                distance[u, i] = d


@_helper
def _write_avail(
    c: Any, types: Any, pathing: Any, kind: Any, x: Any, y: Any, health: Any, alive: Any, distance: Any,
    b: int, i: int, avail: Any,
) -> None:  # fmt: skip
    for a in range(c.n_actions):
        avail[b, i, a] = 0
    if not (alive[b, i] and health[b, i] > 0):
        avail[b, i, 0] = 1
        return
    avail[b, i, 1] = 1
    px, py, probe = np.float64(x[b, i]), np.float64(y[b, i]), c.move_amount / 2
    avail[b, i, 2] = _can_enter(pathing, px, py + probe)
    avail[b, i, 3] = _can_enter(pathing, px, py - probe)
    avail[b, i, 4] = _can_enter(pathing, px + probe, py)
    avail[b, i, 5] = _can_enter(pathing, px - probe, py)
    if c.medics and types[kind[b, i]].medic:
        for k in range(c.n_agents):
            if distance[i, k] <= REACH and not types[kind[b, k]].medic:
                avail[b, i, N_BASIC_ACTIONS + k] = 1
    else:
        for e in range(c.n_enemies):
            if distance[i, c.n_agents + e] <= REACH:
                avail[b, i, N_BASIC_ACTIONS + e] = 1


@_helper
def _write_surroundings(c: Any, pathing: Any, height: Any, px: float, py: float, row: Any, at: int) -> int:
    """Walkability (8 values) and heights (9 values) around a point; 1 outside the map. Returns the next place."""
    column, line, reach = int(px), int(py), int(c.move_amount)
    for layer in range(2):
        if (layer == 0 and not c.obs_pathing_grid) or (layer == 1 and not c.obs_terrain_height):
            continue
        for point in range(8 + layer):
            cx, cy = column, line
            if point < 2:
                cy += 2 * reach if point == 0 else -2 * reach
            elif point < 4:
                cx += 2 * reach if point == 2 else -2 * reach
            elif point < 8:
                cx += reach if point == 4 or point == 6 else -reach
                cy += reach if point == 4 or point == 7 else -reach
            value = 1.0
            if 0 <= cx < GRID and 0 <= cy < GRID:
                value = np.float64(pathing[cx, cy]) if layer == 0 else height[cx, cy]
            row[at] = value
            at += 1
    return at


@_helper
def _write_other(
    c: Any, types: Any, kind: Any, x: Any, y: Any, health: Any, health_max: Any, shield: Any, b: int, i: int, u: int,
    d: float, first: float, row: Any, at: int,
) -> int:  # fmt: skip
    """One visible unit as agent i sees it. Returns the place behind its type bits."""
    row[at] = first
    row[at + 1] = d / SIGHT
    row[at + 2] = (np.float64(x[b, u]) - np.float64(x[b, i])) / SIGHT
    row[at + 3] = (np.float64(y[b, u]) - np.float64(y[b, i])) / SIGHT
    at += 4
    ally = u < c.n_agents
    if c.obs_all_health:
        row[at] = np.float64(health[b, u]) / np.float64(health_max[b, u])
        at += 1
        if c.ally_shields if ally else c.enemy_shields:
            row[at] = np.float64(shield[b, u]) / types[kind[b, u]].max_shield
            at += 1
    if c.type_bits:
        bit = types[kind[b, u]].ally_bit if ally else types[kind[b, u]].enemy_bit
        row[at + bit] = 1.0
    return at + c.type_bits


@_helper
def _write_own(
    c: Any, types: Any, kind: Any, health: Any, health_max: Any, shield: Any, b: int, i: int, row: Any, at: int
) -> None:
    if c.obs_own_health:
        row[at] = np.float64(health[b, i]) / np.float64(health_max[b, i])
        at += 1
        if c.ally_shields:
            row[at] = np.float64(shield[b, i]) / types[kind[b, i]].max_shield
            at += 1
    if c.type_bits:
        row[at + types[kind[b, i]].ally_bit] = 1.0


@_helper
def _write_obs(
    c: Any, types: Any, pathing: Any, height: Any, kind: Any, x: Any, y: Any, health: Any, health_max: Any,
    shield: Any, alive: Any, last_action: Any, distance: Any, b: int, i: int, avail: Any, row: Any,
) -> None:  # fmt: skip
    """Observation of one living agent into a zeroed row: move, enemy, ally and own features."""
    n = c.n_agents
    for k in range(4):
        row[k] = avail[b, i, 2 + k]
    at = _write_surroundings(c, pathing, height, np.float64(x[b, i]), np.float64(y[b, i]), row, 4)
    shared = 4 + c.obs_all_health + c.type_bits
    width = shared + (c.enemy_shields if c.obs_all_health else 0)
    for e in range(c.n_enemies):
        d = distance[i, n + e]
        if d < SIGHT:
            first = np.float64(avail[b, i, N_BASIC_ACTIONS + e])
            _write_other(c, types, kind, x, y, health, health_max, shield, b, i, n + e, d, first, row, at)
        at += width
    width = shared + (c.ally_shields if c.obs_all_health else 0) + (c.n_actions if c.obs_last_action else 0)
    for k in range(n):
        if k == i:
            continue
        d = distance[i, k]
        if d < SIGHT:
            end = _write_other(c, types, kind, x, y, health, health_max, shield, b, i, k, d, 1.0, row, at)
            if c.obs_last_action and last_action[b, k] >= 0:
                row[end + last_action[b, k]] = 1.0
        at += width
    _write_own(c, types, kind, health, health_max, shield, b, i, row, at)


@_helper
def _write_state(
    c: Any, types: Any, kind: Any, x: Any, y: Any, health: Any, health_max: Any, shield: Any, energy: Any,
    cooldown: Any, alive: Any, last_action: Any, step: int, b: int, row: Any,
) -> None:  # fmt: skip
    """Global state of one battle into a zeroed row: allies, enemies, last actions, time step."""
    n = c.n_agents
    centre, extent = GRID / 2.0, np.float64(GRID)
    at = 0
    for u in range(n + c.n_enemies):
        ally = u < n
        shields = c.ally_shields if ally else c.enemy_shields
        width = (4 if ally else 3) + shields + c.type_bits
        if alive[b, u] and health[b, u] > 0:
            t = types[kind[b, u]]
            row[at] = np.float64(health[b, u]) / np.float64(health_max[b, u])
            place = at + 1
            if ally:
                medic = c.medics != 0 and t.medic != 0
                row[place] = np.float64(energy[b, u] if medic else cooldown[b, u]) / t.max_cooldown
                place += 1
            row[place] = (np.float64(x[b, u]) - centre) / extent
            row[place + 1] = (np.float64(y[b, u]) - centre) / extent
            if shields:
                row[place + 2] = np.float64(shield[b, u]) / t.max_shield
            if c.type_bits:
                row[at + width - c.type_bits + (t.ally_bit if ally else t.enemy_bit)] = 1.0
        at += width
    if c.state_last_action:
        for i in range(n):
            if last_action[b, i] >= 0:
                row[at + last_action[b, i]] = 1.0
            at += c.n_actions
    if c.state_timestep:
        row[at] = np.float64(step) / np.float64(c.episode_limit)


@_kernel
def observe(
    layout: Any, types: Any, pathing: Any, height: Any, kind: Any, x: Any, y: Any, health: Any, health_max: Any,
    shield: Any, energy: Any, cooldown: Any, alive: Any, last_action: Any, steps: Any, rows: Any,
    distance: Any, obs: Any, state: Any, avail: Any,
) -> None:  # fmt: skip
    """Write obs[B, n, do], state[B, ds] and avail[B, n, A] of the current frame."""
    c = layout[0]
    size = obs.shape[2]
    for b in range(rows.size):
        if not rows[b]:
            continue
        _measure(c, x, y, health, alive, b, distance)
        for i in range(c.n_agents):
            _write_avail(c, types, pathing, kind, x, y, health, alive, distance, b, i, avail)
            row = obs[b, i]
            for k in range(size):
                row[k] = 0.0
            if alive[b, i] and health[b, i] > 0:
                _write_obs(
                    c, types, pathing, height, kind, x, y, health, health_max, shield, alive, last_action,
                    distance, b, i, avail, row,
                )  # fmt: skip
            if c.obs_timestep:
                row[size - 1] = np.float64(steps[b]) / np.float64(c.episode_limit)
        out = state[b]
        if c.obs_instead_of_state:
            for i in range(c.n_agents):
                for k in range(size):
                    out[i * size + k] = obs[b, i, k]
        else:
            for k in range(out.size):
                out[k] = 0.0
            _write_state(
                c, types, kind, x, y, health, health_max, shield, energy, cooldown, alive, last_action,
                steps[b], b, out,
            )  # fmt: skip


@_kernel
def see(layout: Any, x: Any, y: Any, health: Any, alive: Any, distance: Any, visible: Any) -> None:
    """Write visible[B, n, U]: who sees whom (never oneself)."""
    c = layout[0]
    for b in range(visible.shape[0]):
        _measure(c, x, y, health, alive, b, distance)
        for i in range(c.n_agents):
            for u in range(c.n_agents + c.n_enemies):
                visible[b, i, u] = distance[i, u] < SIGHT


_INTS, _REALS, _FLAGS = nb.int64, nb.float32, nb.boolean
_UNIT_KIND = nb.int8[:, ::1]
_UNIT_REAL = _REALS[:, ::1]
_UNIT_FLAG = _FLAGS[:, ::1]
_RECORDS = (nb.from_dtype(LAYOUT)[::1], nb.from_dtype(TYPES)[::1])
_ORDERS = (nb.int8[:, ::1], nb.int16[:, ::1], _UNIT_REAL, _UNIT_REAL)
_BOOK = (nb.float64[:, ::1], _UNIT_FLAG)  # totals, counted dead
_COUNTS = (nb.int64[::1], nb.float64[::1], nb.int64[:, ::1])  # steps, max_reward, counters
_ACTIONS, _LAST, _ROWS, _PATHING = nb.int64[:, ::1], nb.int16[:, ::1], _FLAGS[::1], _FLAGS[:, ::1]
_SCRATCH = nb.float64[:, ::1]

# One signature a kernel: output arrays of `observe` may be strided views, and one version serves both kinds.
SIGNATURES: dict[Any, tuple[Any, ...]] = {
    translate: (*_RECORDS, _PATHING, _UNIT_KIND, *[_UNIT_REAL] * 3, _UNIT_FLAG, _ROWS, _ACTIONS, _LAST, *_ORDERS),
    play_heuristic: (
        *_RECORDS, _PATHING, _UNIT_KIND, *[_UNIT_REAL] * 4, _UNIT_FLAG, _ROWS, _ACTIONS, _LAST, _LAST, *_ORDERS,
    ),
    begin: (_RECORDS[0], _ROWS, *[_UNIT_REAL] * 4, *_BOOK, _LAST, _LAST, *_COUNTS),
    settle: (
        *_RECORDS, _UNIT_KIND, _UNIT_REAL, _UNIT_REAL, _UNIT_FLAG, _ROWS, *_BOOK, *_COUNTS,
        nb.float64[::1], _ROWS, _ROWS, nb.int64[::1], nb.int64[::1], _ROWS,
    ),
    observe: (
        *_RECORDS, _PATHING, nb.float64[:, ::1], _UNIT_KIND, *[_UNIT_REAL] * 7, _UNIT_FLAG, _LAST, nb.int64[::1],
        _ROWS, _SCRATCH, _REALS[:, :, :], _REALS[:, :], nb.int32[:, :, :],
    ),
    see: (_RECORDS[0], *[_UNIT_REAL] * 3, _UNIT_FLAG, _SCRATCH, _FLAGS[:, :, ::1]),
}  # fmt: skip


def compile_kernels() -> None:
    """Compile (or load from Numba's cache) every kernel; the second call costs nothing."""
    for kernel, signature in SIGNATURES.items():
        if not kernel.signatures:
            kernel.compile(signature)
            kernel.disable_compile()

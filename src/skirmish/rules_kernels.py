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

GAMES, WON, TIMEOUTS, EPISODES = range(4)  # columns of counters
X, Y, LIFE, WARD = range(4)  # rows of the scratch array `real`: position, health ratio, shield ratio
LIVING, BIT, MEDIC = range(3)  # rows of the scratch array `bits`

# Inlined by force: a call that hands over a dozen arrays costs more than most of these loops.
_helper = nb.njit(forceinline=True, error_model="numpy")


def _kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    return nb.njit(cache=True, error_model="numpy")(function)


@_helper
def _can_enter(pathing: Any, x: float, y: float) -> bool:
    # int() truncates toward zero: a probe in (-1, 0) lands in column 0 and is tested there, as SMAC does.
    column, row = int(x), int(y)
    return 0 <= column < GRID and 0 <= row < GRID and pathing[column, row]


@_helper
def _place(
    c: Any, types: Any, kind: Any, x: Any, y: Any, health: Any, alive: Any, b: int, real: Any, bits: Any
) -> None:
    """Collect where one battle's units stand: real[X, u], real[Y, u], bits[LIVING, u], bits[MEDIC, u]."""
    for u in range(c.n_agents + c.n_enemies):
        real[X, u], real[Y, u] = x[b, u], y[b, u]
        bits[LIVING, u] = alive[b, u] and health[b, u] > 0
        bits[MEDIC, u] = c.medics and types[kind[b, u]].medic


@_helper
def _distance(real: Any, i: int, j: int) -> float:
    dx, dy = real[X, j] - real[X, i], real[Y, j] - real[Y, i]
    return math.sqrt(dx * dx + dy * dy)


@_helper
def _legal(c: Any, pathing: Any, real: Any, bits: Any, i: int, action: int) -> bool:
    """Whether agent i may choose `action` now."""
    if not bits[LIVING, i]:
        return action == 0
    if action < N_BASIC_ACTIONS:
        probe = c.move_amount / 2
        if action == 2:
            return _can_enter(pathing, real[X, i], real[Y, i] + probe)
        if action == 3:
            return _can_enter(pathing, real[X, i], real[Y, i] - probe)
        if action == 4:
            return _can_enter(pathing, real[X, i] + probe, real[Y, i])
        if action == 5:
            return _can_enter(pathing, real[X, i] - probe, real[Y, i])
        return action == 1
    if action >= c.n_actions:
        return False
    target = action - N_BASIC_ACTIONS
    if bits[MEDIC, i]:
        if target >= c.n_agents or bits[MEDIC, target]:
            return False
    else:
        target += c.n_agents
    return bits[LIVING, target] != 0 and _distance(real, i, target) <= REACH


@_helper
def _write_order(
    c: Any, real: Any, bits: Any, i: int, action: int, kinds: Any, targets: Any, to_x: Any, to_y: Any
) -> None:
    """Write one agent's order into its battle's row; the dead and action 0 order nothing."""
    kinds[i], targets[i], to_x[i], to_y[i] = NO_ORDER, -1, 0.0, 0.0
    if action == 0 or not bits[LIVING, i]:
        return
    if action == 1:
        kinds[i] = STOP
    elif action < N_BASIC_ACTIONS:
        kinds[i] = MOVE
        dx = c.move_amount if action == 4 else (-c.move_amount if action == 5 else 0.0)
        dy = c.move_amount if action == 2 else (-c.move_amount if action == 3 else 0.0)
        to_x[i], to_y[i] = real[X, i] + dx, real[Y, i] + dy
    else:
        medic = bits[MEDIC, i]
        kinds[i] = HEAL if medic else ATTACK
        targets[i] = action - N_BASIC_ACTIONS + (0 if medic else c.n_agents)


@_kernel
def translate(
    layout: Any, types: Any, pathing: Any, kind: Any, x: Any, y: Any, health: Any, alive: Any,
    rows: Any, actions: Any, last_action: Any, real: Any, bits: Any,
    order_kind: Any, order_target: Any, order_x: Any, order_y: Any,
) -> int:  # fmt: skip
    """Turn actions into orders. Returns -1, or `b * n_agents + i` of the first illegal action.

    Orders are the caller's fresh arrays; `last_action` changes only if everything is legal.
    """
    c = layout[0]
    n = c.n_agents
    for b in range(rows.size):
        if not rows[b]:
            continue
        _place(c, types, kind, x, y, health, alive, b, real, bits)
        kinds, targets, to_x, to_y = order_kind[b], order_target[b], order_x[b], order_y[b]
        for i in range(n):
            action = actions[b, i]
            if not _legal(c, pathing, real, bits, i, action):
                return b * n + i
            _write_order(c, real, bits, i, action, kinds, targets, to_x, to_y)
    for b in range(rows.size):
        if rows[b]:
            for i in range(n):
                last_action[b, i] = actions[b, i]
    return -1


@_helper
def _nearest(c: Any, real: Any, bits: Any, health: Any, health_max: Any, i: int) -> int:
    """Nearest enemy id, or for a medic the nearest hurt non-medic ally; -1 where there is none."""
    best, best_distance = -1, math.sqrt(2.0 * GRID * GRID)
    medic = bits[MEDIC, i]
    first, last = (0, c.n_agents) if medic else (c.n_agents, c.n_agents + c.n_enemies)
    for u in range(first, last):
        if not bits[LIVING, u] or (medic and (bits[MEDIC, u] or health[u] == health_max[u])):
            continue
        distance = _distance(real, i, u)
        if distance < best_distance:
            best, best_distance = u - first, distance
    return best


@_helper
def _script(c: Any, pathing: Any, real: Any, bits: Any, health: Any, health_max: Any, i: int, targets: Any) -> int:
    """The scripted action of agent i; remembers its target (-1: none)."""
    medic = bits[MEDIC, i]
    offset = 0 if medic else c.n_agents
    target = targets[i]
    if target >= 0 and (not bits[LIVING, target + offset] or (medic and health[target] == health_max[target])):
        target = -1
    if target < 0:
        target = _nearest(c, real, bits, health, health_max, i)
    targets[i] = target
    if target < 0:
        return 0
    action = N_BASIC_ACTIONS + target
    if c.rest and not _legal(c, pathing, real, bits, i, action):
        dx, dy = real[X, target + offset] - real[X, i], real[Y, target + offset] - real[Y, i]
        if abs(dx) > abs(dy):
            return 4 if dx > 0 else 5
        return 2 if dy > 0 else 3
    return action


@_kernel
def play_heuristic(
    layout: Any, types: Any, pathing: Any, kind: Any, x: Any, y: Any, health: Any, health_max: Any, alive: Any,
    rows: Any, actions: Any, last_action: Any, targets: Any, real: Any, bits: Any,
    order_kind: Any, order_target: Any, order_x: Any, order_y: Any,
) -> None:  # fmt: skip
    """SMAC's scripted allies: keep a target until it is dead (or, for a medic, healed), then take the nearest.

    Overwrites `actions` with what was played, as SMAC does; `last_action` keeps what the caller asked for. The dead
    choose targets too, but order nothing.
    """
    c = layout[0]
    for b in range(rows.size):
        if not rows[b]:
            continue
        _place(c, types, kind, x, y, health, alive, b, real, bits)
        for i in range(c.n_agents):
            last_action[b, i] = actions[b, i]
            action = _script(c, pathing, real, bits, health[b], health_max[b], i, targets[b])
            actions[b, i] = action
            _write_order(c, real, bits, i, action, order_kind[b], order_target[b], order_x[b], order_y[b])


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
def _gather(
    c: Any, types: Any, kind: Any, x: Any, y: Any, health: Any, health_max: Any, shield: Any, alive: Any, b: int,
    real: Any, bits: Any,
) -> None:  # fmt: skip
    """Collect all that is seen of one battle's units: `_place`, real[LIFE, u], real[WARD, u] and bits[BIT, u]."""
    _place(c, types, kind, x, y, health, alive, b, real, bits)
    for u in range(c.n_agents + c.n_enemies):
        real[LIFE, u] = np.float64(health[b, u]) / np.float64(health_max[b, u])
        if c.ally_shields or c.enemy_shields:
            real[WARD, u] = np.float64(shield[b, u]) / types[kind[b, u]].max_shield
        if c.type_bits:
            bits[BIT, u] = types[kind[b, u]].ally_bit if u < c.n_agents else types[kind[b, u]].enemy_bit


@_helper
def _measure(c: Any, real: Any, bits: Any, distance: Any) -> None:
    """Fill distance[n, U]: centre distances below the sight range, inf for what is not seen."""
    n = c.n_agents
    for i in range(n):
        distance[i, i] = np.inf
        px, py, seeing = real[X, i], real[Y, i], bits[LIVING, i]
        for u in range(i + 1, n + c.n_enemies):
            d = np.inf
            dx, dy = real[X, u] - px, real[Y, u] - py
            square = dx * dx + dy * dy
            if seeing and bits[LIVING, u] and square < SIGHT * SIGHT:
                d = math.sqrt(square)
                if d >= SIGHT:
                    d = np.inf
            distance[i, u] = d
            if u < n:
                distance[u, i] = d


@_helper
def _write_avail(c: Any, pathing: Any, real: Any, bits: Any, distance: Any, i: int, row: Any) -> None:
    for a in range(c.n_actions):
        row[a] = 0
    if not bits[LIVING, i]:
        row[0] = 1
        return
    px, py, probe = real[X, i], real[Y, i], c.move_amount / 2
    row[1] = 1
    row[2] = _can_enter(pathing, px, py + probe)
    row[3] = _can_enter(pathing, px, py - probe)
    row[4] = _can_enter(pathing, px + probe, py)
    row[5] = _can_enter(pathing, px - probe, py)
    if bits[MEDIC, i]:
        for k in range(c.n_agents):
            row[N_BASIC_ACTIONS + k] = distance[i, k] <= REACH and not bits[MEDIC, k]
    else:
        for e in range(c.n_enemies):
            row[N_BASIC_ACTIONS + e] = distance[i, c.n_agents + e] <= REACH


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
def _write_obs(
    c: Any, pathing: Any, height: Any, real: Any, bits: Any, distance: Any, last: Any, i: int, avail: Any, row: Any
) -> None:
    """Observation of one living agent into a zeroed row: move, enemy, ally and own features."""
    n = c.n_agents
    px, py = real[X, i], real[Y, i]
    for k in range(4):
        row[k] = avail[2 + k]
    at = 4
    if c.obs_pathing_grid or c.obs_terrain_height:
        at = _write_surroundings(c, pathing, height, px, py, row, at)
    for j in range(n + c.n_enemies - 1):
        # Enemies come first in an observation, then the other allies.
        u = n + j if j < c.n_enemies else j - c.n_enemies
        if u < n and u >= i:
            u += 1
        shields = c.ally_shields if u < n else c.enemy_shields
        d = distance[i, u]
        if d < SIGHT:
            row[at] = 1.0 if u < n else np.float64(avail[N_BASIC_ACTIONS + j])
            row[at + 1] = d / SIGHT
            row[at + 2] = (real[X, u] - px) / SIGHT
            row[at + 3] = (real[Y, u] - py) / SIGHT
        at += 4
        if c.obs_all_health:
            if d < SIGHT:
                row[at] = real[LIFE, u]
                if shields:
                    row[at + 1] = real[WARD, u]
            at += 1 + shields
        if c.type_bits:
            if d < SIGHT:
                row[at + bits[BIT, u]] = 1.0
            at += c.type_bits
        if c.obs_last_action and u < n:
            if d < SIGHT and last[u] >= 0:
                row[at + last[u]] = 1.0
            at += c.n_actions
    if c.obs_own_health:
        row[at] = real[LIFE, i]
        at += 1
        if c.ally_shields:
            row[at] = real[WARD, i]
            at += 1
    if c.type_bits:
        row[at + bits[BIT, i]] = 1.0


@_helper
def _write_state(
    c: Any, types: Any, kind: Any, energy: Any, cooldown: Any, real: Any, bits: Any, last: Any, step: int, row: Any
) -> None:
    """Global state of one battle into a zeroed row: allies, enemies, last actions, time step."""
    n = c.n_agents
    centre, extent = GRID / 2.0, np.float64(GRID)
    at = 0
    for u in range(n + c.n_enemies):
        shields = c.ally_shields if u < n else c.enemy_shields
        width = (4 if u < n else 3) + shields + c.type_bits
        if bits[LIVING, u]:
            place = at
            row[place] = real[LIFE, u]
            if u < n:
                place += 1
                row[place] = np.float64(energy[u] if bits[MEDIC, u] else cooldown[u]) / types[kind[u]].max_cooldown
            row[place + 1] = (real[X, u] - centre) / extent
            row[place + 2] = (real[Y, u] - centre) / extent
            if shields:
                row[place + 3] = real[WARD, u]
            if c.type_bits:
                row[at + width - c.type_bits + bits[BIT, u]] = 1.0
        at += width
    if c.state_last_action:
        for i in range(n):
            if last[i] >= 0:
                row[at + last[i]] = 1.0
            at += c.n_actions
    if c.state_timestep:
        row[at] = np.float64(step) / np.float64(c.episode_limit)


@_kernel
def observe(
    layout: Any, types: Any, pathing: Any, height: Any, kind: Any, x: Any, y: Any, health: Any, health_max: Any,
    shield: Any, energy: Any, cooldown: Any, alive: Any, last_action: Any, steps: Any, rows: Any,
    real: Any, bits: Any, distance: Any, obs: Any, state: Any, avail: Any,
) -> None:  # fmt: skip
    """Write obs[B, n, do], state[B, ds] and avail[B, n, A] of the current frame."""
    c = layout[0]
    size = obs.shape[2]
    for b in range(rows.size):
        if not rows[b]:
            continue
        _gather(c, types, kind, x, y, health, health_max, shield, alive, b, real, bits)
        _measure(c, real, bits, distance)
        last = last_action[b]
        for i in range(c.n_agents):
            mask, row = avail[b, i], obs[b, i]
            _write_avail(c, pathing, real, bits, distance, i, mask)
            for k in range(size):
                row[k] = 0.0
            if bits[LIVING, i]:
                _write_obs(c, pathing, height, real, bits, distance, last, i, mask, row)
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
            _write_state(c, types, kind[b], energy[b], cooldown[b], real, bits, last, steps[b], out)


@_kernel
def see(
    layout: Any, types: Any, kind: Any, x: Any, y: Any, health: Any, health_max: Any, shield: Any, alive: Any,
    real: Any, bits: Any, distance: Any, visible: Any,
) -> None:  # fmt: skip
    """Write visible[B, n, U]: who sees whom (never oneself)."""
    c = layout[0]
    for b in range(visible.shape[0]):
        _gather(c, types, kind, x, y, health, health_max, shield, alive, b, real, bits)
        _measure(c, real, bits, distance)
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
_SCRATCH = (nb.float64[:, ::1], nb.int64[:, ::1], nb.float64[:, ::1])  # real, bits, distance

# One signature a kernel: output arrays of `observe` may be strided views, and one version serves both kinds.
SIGNATURES: dict[Any, tuple[Any, ...]] = {
    translate: (
        *_RECORDS, _PATHING, _UNIT_KIND, *[_UNIT_REAL] * 3, _UNIT_FLAG, _ROWS, _ACTIONS, _LAST, *_SCRATCH[:2], *_ORDERS,
    ),
    play_heuristic: (
        *_RECORDS, _PATHING, _UNIT_KIND, *[_UNIT_REAL] * 4, _UNIT_FLAG, _ROWS, _ACTIONS, _LAST, _LAST, *_SCRATCH[:2],
        *_ORDERS,
    ),
    begin: (_RECORDS[0], _ROWS, *[_UNIT_REAL] * 4, *_BOOK, _LAST, _LAST, *_COUNTS),
    settle: (
        *_RECORDS, _UNIT_KIND, _UNIT_REAL, _UNIT_REAL, _UNIT_FLAG, _ROWS, *_BOOK, *_COUNTS,
        nb.float64[::1], _ROWS, _ROWS, nb.int64[::1], nb.int64[::1], _ROWS,
    ),
    observe: (
        *_RECORDS, _PATHING, nb.float64[:, ::1], _UNIT_KIND, *[_UNIT_REAL] * 7, _UNIT_FLAG, _LAST, nb.int64[::1],
        _ROWS, *_SCRATCH, _REALS[:, :, :], _REALS[:, :], nb.int32[:, :, :],
    ),
    see: (*_RECORDS, _UNIT_KIND, *[_UNIT_REAL] * 5, _UNIT_FLAG, *_SCRATCH, _FLAGS[:, :, ::1]),
}  # fmt: skip


def compile_kernels() -> None:
    """Compile (or load from Numba's cache) every kernel; the second call costs nothing."""
    for kernel, signature in SIGNATURES.items():
        if not kernel.signatures:
            kernel.compile(signature)
            kernel.disable_compile()

"""Compiled loops from actions to orders: what is legal, what it tells a unit, what SMAC's script would do.

Axes: B battles, U = n + m units (agents by id, then enemies by id). Only rows named in `rows` are touched.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from skirmish.kernel_layout import (
    ACTIONS,
    ATTACK,
    HEAL,
    LAST_ACTIONS,
    LIVING,
    MEDIC,
    MOVE,
    N_BASIC_ACTIONS,
    NO_ORDER,
    ORDERS,
    PATHING,
    REACH,
    RECORDS,
    ROWS,
    SCRATCH,
    STOP,
    UNIT_FLAG,
    UNIT_KIND,
    UNIT_REAL,
    X,
    Y,
    can_enter,
    helper,
    kernel,
)


@helper
def _place(
    c: Any, types: Any, kind: Any, x: Any, y: Any, health: Any, alive: Any, b: int, real: Any, bits: Any
) -> None:
    """Collect where one battle's units stand: real[X, u], real[Y, u], bits[LIVING, u], bits[MEDIC, u]."""
    for u in range(c.n_agents + c.n_enemies):
        real[X, u], real[Y, u] = x[b, u], y[b, u]
        bits[LIVING, u] = alive[b, u] and health[b, u] > 0
        bits[MEDIC, u] = c.medics and types[kind[b, u]].medic


@helper
def _distance(real: Any, i: int, j: int) -> float:
    dx, dy = real[X, j] - real[X, i], real[Y, j] - real[Y, i]
    return math.sqrt(dx * dx + dy * dy)


@helper
def _legal(c: Any, pathing: Any, real: Any, bits: Any, i: int, action: int) -> bool:
    """Whether agent i may choose `action` now."""
    if not bits[LIVING, i]:
        return action == 0
    if action < N_BASIC_ACTIONS:
        probe = c.move_amount / 2
        if action == 2:
            return can_enter(c, pathing, real[X, i], real[Y, i] + probe)
        if action == 3:
            return can_enter(c, pathing, real[X, i], real[Y, i] - probe)
        if action == 4:
            return can_enter(c, pathing, real[X, i] + probe, real[Y, i])
        if action == 5:
            return can_enter(c, pathing, real[X, i] - probe, real[Y, i])
        return action == 1
    if action >= c.n_actions:
        return False
    target = action - N_BASIC_ACTIONS
    if bits[MEDIC, i]:
        if target >= c.n_agents or bits[MEDIC, target]:
            return False
    elif target >= c.n_enemies:
        return False
    else:
        target += c.n_agents
    return bits[LIVING, target] != 0 and _distance(real, i, target) <= REACH


@helper
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


@kernel
def translate(
    layout: Any, types: Any, pathing: Any, kind: Any, x: Any, y: Any, health: Any, alive: Any,
    rows: Any, over: Any, actions: Any, last_action: Any, real: Any, bits: Any,
    order_kind: Any, order_target: Any, order_x: Any, order_y: Any,
) -> int:  # fmt: skip
    """Turn actions into orders.

    Returns -1, `b * n_agents + i` of the first illegal action, or -2 - b of the first battle in `over`. Orders are the
    caller's fresh arrays; `last_action` changes only if everything is legal.
    """
    c = layout[0]
    n = c.n_agents
    for b in range(rows.size):
        if not rows[b]:
            continue
        if over[b]:
            return -2 - b
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


@helper
def _worth(c: Any, types: Any, kind: Any, bits: Any, health: Any, health_max: Any, i: int, u: int) -> bool:
    """Whether the script lets agent i turn to unit u: alive, and for a medic hurt and no medic itself.

    The corrected script leaves alone what agent i cannot hit; SMAC means to, but compares with the wrong type.
    """
    if not bits[LIVING, u]:
        return False
    if bits[MEDIC, i]:
        return not bits[MEDIC, u] and health[u] != health_max[u]
    return not (c.corrected and types[kind[u]].flying and not types[kind[i]].hits_air)


@helper
def _nearest(c: Any, types: Any, kind: Any, real: Any, bits: Any, health: Any, health_max: Any, i: int) -> int:
    """Nearest enemy id, or for a medic the nearest hurt non-medic ally; -1 where there is none."""
    best, best_distance = -1, math.hypot(np.float64(c.map_x), np.float64(c.map_y))
    first, last = (0, c.n_agents) if bits[MEDIC, i] else (c.n_agents, c.n_agents + c.n_enemies)
    for u in range(first, last):
        if not _worth(c, types, kind, bits, health, health_max, i, u):
            continue
        distance = _distance(real, i, u)
        if distance < best_distance:
            best, best_distance = u - first, distance
    return best


@helper
def _script(
    c: Any, types: Any, kind: Any, pathing: Any, real: Any, bits: Any, health: Any, health_max: Any, i: int,
    targets: Any,
) -> int:  # fmt: skip
    """The scripted action of agent i; remembers its target (-1: none)."""
    medic = bits[MEDIC, i]
    offset = 0 if medic else c.n_agents
    target = targets[i]
    if target >= 0 and (not bits[LIVING, target + offset] or (medic and health[target] == health_max[target])):
        target = -1
    if target < 0:
        target = _nearest(c, types, kind, real, bits, health, health_max, i)
    targets[i] = target
    if c.corrected and (target < 0 or not bits[LIVING, i]):
        return bits[LIVING, i]  # the living stop, the dead have only action 0
    if target < 0:
        return 0
    action = N_BASIC_ACTIONS + target
    if c.rest and not _legal(c, pathing, real, bits, i, action):
        dx, dy = real[X, target + offset] - real[X, i], real[Y, target + offset] - real[Y, i]
        if abs(dx) > abs(dy):
            return 4 if dx > 0 else 5
        return 2 if dy > 0 else 3
    return action


@kernel
def play_heuristic(
    layout: Any, types: Any, pathing: Any, kind: Any, x: Any, y: Any, health: Any, health_max: Any, alive: Any,
    rows: Any, over: Any, actions: Any, last_action: Any, targets: Any, real: Any, bits: Any,
    order_kind: Any, order_target: Any, order_x: Any, order_y: Any,
) -> int:  # fmt: skip
    """SMAC's scripted allies: keep a target until it is dead (or, for a medic, healed), then take the nearest.

    Overwrites `actions` with what was played, as SMAC does; `last_action` keeps what the caller asked for, or with the
    corrected rules what was played. The dead choose targets too, but order nothing. Returns -1, or -2 - b of a battle
    in `over`, before anything changes.
    """
    c = layout[0]
    for b in range(rows.size):
        if rows[b] and over[b]:
            return -2 - b
    for b in range(rows.size):
        if not rows[b]:
            continue
        _place(c, types, kind, x, y, health, alive, b, real, bits)
        for i in range(c.n_agents):
            action = _script(c, types, kind[b], pathing, real, bits, health[b], health_max[b], i, targets[b])
            last_action[b, i] = action if c.corrected else actions[b, i]
            actions[b, i] = action
            _write_order(c, real, bits, i, action, order_kind[b], order_target[b], order_x[b], order_y[b])
    return -1


SIGNATURES: dict[Any, tuple[Any, ...]] = {
    translate: (
        *RECORDS, PATHING, UNIT_KIND, *[UNIT_REAL] * 3, UNIT_FLAG, ROWS, ROWS, ACTIONS, LAST_ACTIONS, *SCRATCH[:2],
        *ORDERS,
    ),
    play_heuristic: (
        *RECORDS, PATHING, UNIT_KIND, *[UNIT_REAL] * 4, UNIT_FLAG, ROWS, ROWS, ACTIONS, LAST_ACTIONS, LAST_ACTIONS,
        *SCRATCH[:2], *ORDERS,
    ),
}  # fmt: skip

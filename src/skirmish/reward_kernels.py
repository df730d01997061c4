"""Compiled loops that open an episode and close a step: reward, end of battle, statistics.

Axes: B battles, U = n + m units (agents by id, then enemies by id). Only rows named in `rows` are touched.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from skirmish.kernel_layout import (
    DRAWS,
    EPISODES,
    GAMES,
    LAST_ACTIONS,
    RECORDS,
    ROWS,
    TIMEOUTS,
    UNIT_FLAG,
    UNIT_KIND,
    UNIT_REAL,
    WON,
    helper,
    kernel,
)


@kernel
def begin(
    layout: Any, rows: Any, health: Any, health_max: Any, shield: Any, shield_max: Any,
    total: Any, counted_dead: Any, last_action: Any, targets: Any, steps: Any, max_reward: Any, counters: Any,
    over: Any,
) -> None:  # fmt: skip
    """Clear what belongs to an episode.

    `max_reward` grows at every reset until a battle has finished its first episode, unless the scale is fixed.
    """
    c = layout[0]
    for b in range(rows.size):
        if not rows[b]:
            continue
        steps[b] = 0
        over[b] = False
        if c.fixed_scale:
            max_reward[b] = c.n_enemies * c.death_value + c.win_value
        for i in range(c.n_agents):
            last_action[b, i] = -1
            targets[b, i] = -1
        for u in range(c.n_agents + c.n_enemies):
            total[b, u] = np.float64(health[b, u]) + np.float64(shield[b, u])
            counted_dead[b, u] = False
            if u >= c.n_agents and (c.fixed_scale or counters[b, EPISODES] == 0):
                max_reward[b] += np.float64(health_max[b, u]) + np.float64(shield_max[b, u])


@helper
def _outcome(c: Any, types: Any, kind: Any, health: Any, alive: Any, b: int) -> int:
    """1 won, -1 lost, 0 drawn, 2 undecided; the clauses in SMAC's order.

    SMAC counts a listed unit without health as alive, except among medics and fighters.
    """
    allies, enemies, fighters, medics, others = 0, 0, 0, 0, 0
    for u in range(c.n_agents + c.n_enemies):
        healthy = health[b, u] > 0
        if not alive[b, u] or (c.corrected and not healthy):
            continue
        medic = types[kind[b, u]].medic != 0
        if u < c.n_agents:
            allies += 1
            fighters += healthy and not medic
        else:
            enemies += 1
            medics += healthy and medic
            others += healthy and not medic
    if c.corrected:
        return _judge(allies, enemies, fighters, others)
    if (allies == 0 and enemies > 0) or (c.medics and fighters == 0):
        return -1
    if (allies > 0 and enemies == 0) or (c.medics and medics == 1 and others == 0):
        return 1
    return 0 if allies == 0 and enemies == 0 else 2


@helper
def _judge(allies: int, enemies: int, fighters: int, others: int) -> int:
    """The corrected end: a side without fighters has lost; if both are, who still has a unit has won."""
    if fighters > 0 and others > 0:
        return 2
    if fighters > 0 or others > 0:
        return 1 if fighters > 0 else -1
    if (allies > 0) == (enemies > 0):
        return 0
    return 1 if allies > 0 else -1


@helper
def _battle_reward(c: Any, health: Any, shield: Any, alive: Any, total: Any, counted_dead: Any, b: int) -> float:
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
    if not c.only_positive:
        return dealt + deaths - lost
    if c.corrected:
        return max(dealt + deaths, 0.0)
    # abs(), not max(0, .): an enemy that regenerates pays the agents. Published returns contain it.
    return abs(dealt + deaths)


@kernel
def settle(
    layout: Any, types: Any, kind: Any, health: Any, shield: Any, alive: Any, rows: Any,
    total: Any, counted_dead: Any, steps: Any, max_reward: Any, counters: Any, over: Any,
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
        elif outcome == 0:
            counters[b, DRAWS] += 1
        if outcome != 2 or timeout[b]:
            terminated[b] = True
            over[b] = True
            counters[b, GAMES] += 1
            counters[b, EPISODES] += 1
        if c.scaled and not (c.sparse and c.corrected):
            value /= max_reward[b] / c.scale_rate
        reward[b] = value


_BOOK = (nb.float64[:, ::1], UNIT_FLAG)  # health and shield at the last frame, counted dead
_COUNTS = (nb.int64[::1], nb.float64[::1], nb.int64[:, ::1], ROWS)  # steps, max_reward, counters, over

SIGNATURES: dict[Any, tuple[Any, ...]] = {
    begin: (RECORDS[0], ROWS, *[UNIT_REAL] * 4, *_BOOK, LAST_ACTIONS, LAST_ACTIONS, *_COUNTS),
    settle: (
        *RECORDS, UNIT_KIND, UNIT_REAL, UNIT_REAL, UNIT_FLAG, ROWS, *_BOOK, *_COUNTS,
        nb.float64[::1], ROWS, ROWS, nb.int64[::1], nb.int64[::1], ROWS,
    ),
}  # fmt: skip

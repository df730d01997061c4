"""Compiled loops that show a battle: observations, state, available actions, who sees whom.

Axes: B battles, U = n + m units (agents by id, then enemies by id), A = 6 + m actions. Only rows named in `rows` are
touched.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from skirmish.kernel_layout import (
    BIT,
    HEIGHT,
    LAST_ACTIONS,
    LIFE,
    LIVING,
    MEDIC,
    N_BASIC_ACTIONS,
    PATHING,
    REACH,
    RECORDS,
    ROWS,
    SCRATCH,
    SIGHT,
    UNIT_FLAG,
    UNIT_KIND,
    UNIT_REAL,
    WARD,
    X,
    Y,
    can_enter,
    helper,
    kernel,
)


@helper
def _gather(
    c: Any, types: Any, kind: Any, x: Any, y: Any, health: Any, health_max: Any, shield: Any, alive: Any, b: int,
    real: Any, bits: Any,
) -> None:  # fmt: skip
    """Collect all that can be seen of one battle's units into the scratch arrays `real` and `bits`."""
    for u in range(c.n_agents + c.n_enemies):
        real[X, u], real[Y, u] = x[b, u], y[b, u]
        bits[LIVING, u] = alive[b, u] and health[b, u] > 0
        bits[MEDIC, u] = c.medics and types[kind[b, u]].medic
        real[LIFE, u] = np.float64(health[b, u]) / np.float64(health_max[b, u])
        if c.ally_shields or c.enemy_shields:
            real[WARD, u] = np.float64(shield[b, u]) / types[kind[b, u]].max_shield
        if c.type_bits:
            bits[BIT, u] = types[kind[b, u]].ally_bit if u < c.n_agents else types[kind[b, u]].enemy_bit


@helper
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


@helper
def _write_avail(c: Any, pathing: Any, real: Any, bits: Any, distance: Any, i: int, row: Any) -> None:
    for a in range(c.n_actions):
        row[a] = 0
    if not bits[LIVING, i]:
        row[0] = 1
        return
    px, py, probe = real[X, i], real[Y, i], c.move_amount / 2
    row[1] = 1
    row[2] = can_enter(c, pathing, px, py + probe)
    row[3] = can_enter(c, pathing, px, py - probe)
    row[4] = can_enter(c, pathing, px + probe, py)
    row[5] = can_enter(c, pathing, px - probe, py)
    if bits[MEDIC, i]:
        for k in range(c.n_agents):
            row[N_BASIC_ACTIONS + k] = distance[i, k] <= REACH and not bits[MEDIC, k]
    else:
        for e in range(c.n_enemies):
            row[N_BASIC_ACTIONS + e] = distance[i, c.n_agents + e] <= REACH


@helper
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
            if 0 <= cx < c.map_x and 0 <= cy < c.map_y:
                value = np.float64(pathing[cx, cy]) if layer == 0 else height[cx, cy]
            row[at] = value
            at += 1
    return at


@helper
def _write_obs(
    c: Any, pathing: Any, height: Any, real: Any, bits: Any, distance: Any, last: Any, i: int, avail: Any, row: Any
) -> None:
    """Observation of one living agent into a zeroed row: move, enemy, ally and own features."""
    n = c.n_agents
    px, py = real[X, i], real[Y, i]
    # SMAC shows a medic the heal flag of agent j as the attack flag of enemy j.
    never_attacks = c.corrected and bits[MEDIC, i]
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
            row[at] = 1.0 if u < n else (0.0 if never_attacks else np.float64(avail[N_BASIC_ACTIONS + j]))
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


@helper
def _write_state(
    c: Any, types: Any, kind: Any, energy: Any, cooldown: Any, real: Any, bits: Any, last: Any, step: int, row: Any
) -> None:
    """Global state of one battle into a zeroed row: allies, enemies, last actions, time step."""
    n = c.n_agents
    half_x, half_y = np.float64(c.map_x) / 2.0, np.float64(c.map_y) / 2.0
    span_x, span_y = np.float64(c.span_x), np.float64(c.span_y)
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
            row[place + 1] = (real[X, u] - half_x) / span_x
            row[place + 2] = (real[Y, u] - half_y) / span_y
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


@kernel
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


@kernel
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


# The arrays that `observe` fills may be strided views; one version serves them and contiguous ones.
SIGNATURES: dict[Any, tuple[Any, ...]] = {
    observe: (
        *RECORDS, PATHING, HEIGHT, UNIT_KIND, *[UNIT_REAL] * 7, UNIT_FLAG, LAST_ACTIONS, nb.int64[::1], ROWS,
        *SCRATCH, nb.float32[:, :, :], nb.float32[:, :], nb.int32[:, :, :],
    ),
    see: (*RECORDS, UNIT_KIND, *[UNIT_REAL] * 5, UNIT_FLAG, *SCRATCH, nb.boolean[:, :, ::1]),
}  # fmt: skip

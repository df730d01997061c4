"""Compiled: whom enemies choose to attack or heal."""

import numpy as np

from skirmish.engine_combat import attended, drop_attack, heal
from skirmish.engine_layout import (
    ACCELERATION,
    DELIVERY,
    ENERGY,
    ENERGY_LEAST,
    ENGAGED,
    FAR,
    FOLLOWS,
    HEAL_COST,
    HEAL_RATE,
    HEAL_SCAN,
    HEALER,
    HEALS,
    HEALTH,
    HEALTH_MAX,
    HOME_X,
    HOME_Y,
    LEASH,
    ONE,
    PACE,
    PICKY,
    RADIUS,
    RANGE,
    RANK,
    SCAN,
    SLOP,
    SPEED,
    STANDING,
    TARGET,
    THREAT,
    ZERO,
    Battle,
    Real,
    X,
    Y,
    called,
    has,
    head_for,
    inner,
    squared_distance,
)


@inner
def nearest(w: Battle, u: int, within: Real) -> int:
    """Of the agents within a distance edge to edge, the nearest one that enemy u prefers to attack, or -1."""
    found = -1
    x, y = w.body[u, X], w.body[u, Y]
    closest, best = FAR, ZERO
    for v in range(w.n_agents):
        if w.alive[v]:
            rank = w.pairs[RANK, u, v] if has(w, PICKY) else THREAT
            if rank == ZERO or rank < best:
                continue
            dx, dy = w.body[v, X] - x, w.body[v, Y] - y
            squared = dx * dx + dy * dy
            if squared < closest or rank > best:
                sight = within + w.stats[u, RADIUS] + w.stats[v, RADIUS]
                if squared <= sight * sight:
                    closest, best = squared, rank
                    found = v
    return found


@inner
def choose_target(w: Battle, u: int) -> int:
    """The target of an enemy that finds its own: the one it is shooting at, else the nearest in sight, else its prey.

    It leaves the one it is shooting at for one it prefers that comes into weapon range. Prey, a target that has left
    the scan range, is chased as far as the leash allows.
    """
    target = int(w.mind[u, TARGET])
    known = target >= 0 and w.alive[target]
    if known and w.mind[u, ENGAGED] == target:
        limit = w.stats[u, RANGE] + w.stats[u, SLOP] + w.stats[u, RADIUS] + w.stats[target, RADIUS]
        if squared_distance(w, u, target) <= limit * limit:
            if not has(w, PICKY) or w.pairs[RANK, u, target] == THREAT:
                return target
            chosen = nearest(w, u, w.stats[u, RANGE])
            if chosen < 0 or w.pairs[RANK, u, chosen] <= w.pairs[RANK, u, target]:
                return target
    chosen = nearest(w, u, w.stats[u, SCAN])
    if chosen < 0 and known:
        dx = w.body[u, X] - w.body[u, HOME_X]
        dy = w.body[u, Y] - w.body[u, HOME_Y]
        if dx * dx + dy * dy <= LEASH * LEASH:
            chosen = target
    if chosen >= 0 and not known:
        w.body[u, HOME_X] = w.body[u, X]
        w.body[u, HOME_Y] = w.body[u, Y]
    if chosen != target:
        drop_attack(w, u)
        w.mind[u, TARGET] = chosen
    return chosen


@inner
def hunt(w: Battle, u: int) -> int:
    """The target of an enemy that was told to attack the agents: the one in its range, else the nearest anywhere."""
    target = int(w.mind[u, TARGET])
    if target >= 0 and w.alive[target] and w.mind[u, ENGAGED] == target:
        return target
    chosen = nearest(w, u, FAR)
    if chosen != target:
        drop_attack(w, u)
        w.mind[u, TARGET] = chosen
    return chosen


@inner
def choose_patient(w: Battle, u: int) -> int:
    """Of the hurt friends near healer u the one with the least share of its health, then the nearest; -1 if none."""
    found = -1
    least, closest = ONE, FAR
    for v in range(w.n_agents, w.alive.shape[0]):
        if not w.alive[v] or w.pairs[RANK, u, v] == ZERO or w.body[v, HEALTH] >= w.stats[v, HEALTH_MAX]:
            continue
        squared = squared_distance(w, u, v)
        sight = w.stats[u, HEAL_SCAN] + w.stats[u, RADIUS] + w.stats[v, RADIUS]
        share = w.body[v, HEALTH] / w.stats[v, HEALTH_MAX]
        if squared > sight * sight or share > least or attended(w, u, v):
            continue
        if share < least or squared < closest:
            least, closest, found = share, squared, v
    return found


@inner
def accompany(w: Battle, u: int) -> int:
    """Let a healer without a patient stay over the middle of its army, no faster than the slowest of it."""
    x, y, slowest, friends = ZERO, ZERO, FAR, 0
    for v in range(w.n_agents, w.alive.shape[0]):
        if w.alive[v] and w.traits[v, DELIVERY] != HEALER:
            x += w.body[v, X]
            y += w.body[v, Y]
            slowest = min(slowest, w.stats[v, SPEED])
            friends += 1
    if friends == 0:
        return STANDING
    w.body[u, PACE] = min(w.body[u, PACE], slowest - w.stats[u, ACCELERATION])
    share = ONE / np.float32(friends)
    return head_for(w, u, x * share, y * share)


@called
def tend(w: Battle, u: int) -> int:
    """One loop of an enemy healer: heal whom it chose until nothing is missing, else choose, else go with the army."""
    patient = int(w.mind[u, TARGET])
    if patient >= 0:
        well = not w.alive[patient] or w.body[patient, HEALTH] >= w.stats[patient, HEALTH_MAX]
        if well or w.body[u, ENERGY] < w.stats[u, HEAL_COST] * w.stats[u, HEAL_RATE]:
            patient = -1
    if patient < 0 and w.body[u, ENERGY] >= w.stats[u, ENERGY_LEAST]:
        patient = choose_patient(w, u)
    w.mind[u, TARGET] = patient
    if patient >= 0:
        return heal(w, u, patient)
    w.mind[u, HEALS] = -1
    if w.traits[u, FOLLOWS]:
        return accompany(w, u)
    return STANDING

"""Compiled: orders, the game loop, and `advance`, which starts and plays battles one after the other.

The rest of the kernels is inlined into `advance`. docs/skirmish.md says which parts of the model are known of the real
game and which are this project's own.
"""

from typing import Any

import numpy as np
from numba import boolean, float32, int8, int16, int64, types, uint8, uint32, uint64

from skirmish import engine_combat, engine_layout, engine_motion, engine_targets, kernel_cache
from skirmish.engine_combat import burn, detonate, drop_attack, fight, fly, follow_up, heal, scorch
from skirmish.engine_layout import (
    APART,
    ATTACK_ORDER,
    ATTACKING,
    BEAM,
    BEAMS,
    BLASTS,
    BLOW_AT,
    CELL,
    COOLDOWN,
    DELIVERY,
    ENERGY,
    ENERGY_GROWTH,
    ENERGY_MAX,
    ENGAGED,
    FACE_X,
    FACE_Y,
    FEW,
    FIGHTING,
    GLANCE,
    GOAL_X,
    GOAL_Y,
    HEAD_X,
    HEAD_Y,
    HEAL_ORDER,
    HEALER,
    HEALERS,
    HEALING,
    HEALS,
    HEALTH,
    HEALTH_MAX,
    HELP,
    HITS,
    HUNTING,
    IDLE,
    LAYERS,
    MISSILE,
    MISSILES,
    MOTION,
    MOVE_ORDER,
    MOVING,
    N_BODY,
    N_MIND,
    ONE,
    ORDER,
    PACE,
    PICKY,
    POSTURE,
    RANK,
    RECOVERY,
    REGROWTH,
    SCANNING,
    SECOND_BLOWS,
    SHIELD,
    SHIELD_GROWTH,
    SHIELD_MAX,
    SIDE,
    SPEED,
    SPENT,
    STANDING,
    START_FIELDS,
    STOP_ORDER,
    TARGET,
    WALKING,
    WARD,
    ZERO,
    Battle,
    Real,
    X,
    Y,
    angle,
    draw,
    has,
    head_for,
    inner,
    kernel,
    shuffle,
    uniform,
)
from skirmish.engine_motion import collide, walk
from skirmish.engine_targets import choose_target, hunt, tend


@inner
def recover(w: Battle, u: int) -> None:
    """One loop of what grows by itself: shield, health, energy."""
    w.body[u, WARD] -= ONE
    if w.body[u, WARD] <= ZERO:
        w.body[u, SHIELD] = min(w.body[u, SHIELD] + w.stats[u, SHIELD_GROWTH], w.stats[u, SHIELD_MAX])
    w.body[u, HEALTH] = min(w.body[u, HEALTH] + w.stats[u, REGROWTH], w.stats[u, HEALTH_MAX])
    w.body[u, ENERGY] = min(w.body[u, ENERGY] + w.stats[u, ENERGY_GROWTH], w.stats[u, ENERGY_MAX])


@inner
def settle(w: Battle, u: int) -> int:
    """End unit u's order; it stands."""
    drop_attack(w, u)
    w.mind[u, ORDER] = IDLE
    w.mind[u, HEALS] = -1
    return STANDING


@inner
def act(w: Battle, u: int) -> int:
    """One loop of unit u's order; returns its posture."""
    order = w.mind[u, ORDER]
    target = int(w.mind[u, TARGET])
    if has(w, HEALERS) and w.traits[u, DELIVERY] == HEALER:
        if order in (SCANNING, HUNTING):
            return tend(w, u)
        if order == HEALING:
            if not w.alive[target] or w.body[target, HEALTH] >= w.stats[target, HEALTH_MAX]:
                return settle(w, u)
            return heal(w, u, target)
    if order == SCANNING:
        target = choose_target(w, u)
    elif order == HUNTING:
        target = hunt(w, u)
    elif order == ATTACKING:
        if not w.alive[target]:
            return settle(w, u)
    else:
        target = -1
    if target >= 0:
        return fight(w, u, target)
    if order in (IDLE, HUNTING):
        return STANDING
    return head_for(w, u, w.body[u, GOAL_X], w.body[u, GOAL_Y])


@inner
def live(w: Battle, u: int) -> None:
    """One loop of unit u: a second blow that is due, its order, its beam."""
    if has(w, SECOND_BLOWS) and w.mind[u, BLOW_AT] >= 0 and w.traits[u, DELIVERY] != BEAM:
        follow_up(w, u)
    posture = act(w, u)
    if posture == WALKING and walk(w, u, w.body[u, HEAD_X], w.body[u, HEAD_Y]):
        posture = STANDING
        if w.mind[u, ORDER] == MOVING:
            w.mind[u, ORDER] = IDLE
    if has(w, BEAMS) and w.mind[u, BLOW_AT] >= 0 and w.traits[u, DELIVERY] == BEAM:
        burn(w, u)
    if has(w, MOTION):
        if w.stats[u, SPEED] == ZERO:
            posture = FIGHTING  # the rooted make way for nobody
        if posture != WALKING:
            w.body[u, PACE] = ZERO
    if posture != WALKING:
        w.mind[u, SIDE] = 0
        w.mind[u, GLANCE] = 0
    w.mind[u, POSTURE] = posture


@inner
def keep_living(w: Battle, units: Any, count: int) -> int:
    """Keep the living among the first `count` units of an array, in order; returns how many."""
    living = 0
    for a in range(count):
        u = units[a]
        if w.alive[u]:
            units[living] = u
            living += 1
    return living


@inner
def form_line(w: Battle) -> int:
    """Line up the living that collide in the line, in order of columns; returns how many."""
    count = 0
    for u in range(w.alive.shape[0]):
        if w.alive[u] and not (has(w, LAYERS) and w.traits[u, APART]):
            w.line[count] = u
            count += 1
    return count


@inner
def play(w: Battle, loops: int) -> None:
    """Game loops of the battle: timers, every unit in random order, missiles and beams, blasts, then collisions.

    Nothing is carried from loop to loop but what the snapshot holds, so that a step may be played in parts.
    """
    n_units = w.alive.shape[0]
    living = form_line(w)
    for _ in range(loops):
        direction = ONE if draw(w) >> np.uint64(63) else -ONE  # so that no side of the map is pushed first
        count = still = 0
        for u in range(n_units):
            if w.alive[u]:
                w.crowd[count] = u
                count += 1
                if w.mind[u, POSTURE] != WALKING:
                    w.still[still] = u
                    still += 1
                w.body[u, COOLDOWN] -= ONE
                w.body[u, HELP] -= ONE
                if has(w, RECOVERY):
                    recover(w, u)
        w.still[n_units] = still
        shuffle(w, w.crowd, count)
        for a in range(count):
            u = w.crowd[a]
            if w.alive[u]:
                live(w, u)
        if has(w, MISSILES):
            fly(w)
        if has(w, BEAMS):
            scorch(w)
        if has(w, BLASTS):
            detonate(w)
        living = keep_living(w, w.line, living)
        if living <= FEW:  # too few to be sorted
            living = form_line(w)
        collide(w, living, direction)


@inner
def take_orders(w: Battle, kind: Any, target: Any, goal_x: Any, goal_y: Any) -> None:
    """Replace the agents' running orders; the arguments are [n_agents].

    What a unit cannot do (attack whom its weapon cannot hit, heal who is not hurt) is refused: the running order stays.
    """
    for u in range(w.n_agents):
        new = kind[u]
        w.mind[u, HITS] = 0
        if new == ATTACK_ORDER:
            if has(w, PICKY) and w.pairs[RANK, u, target[u]] == ZERO:
                continue
            if w.mind[u, ORDER] != ATTACKING or w.mind[u, TARGET] != target[u]:
                drop_attack(w, u)
            w.mind[u, ORDER] = ATTACKING
            w.mind[u, TARGET] = target[u]
        elif new == HEAL_ORDER:
            patient = target[u]
            if w.pairs[RANK, u, patient] == ZERO or w.body[patient, HEALTH] >= w.stats[patient, HEALTH_MAX]:
                continue
            if w.mind[u, TARGET] != patient:
                w.mind[u, HEALS] = -1
            w.mind[u, ORDER] = HEALING
            w.mind[u, TARGET] = patient
        elif new == MOVE_ORDER:
            drop_attack(w, u)
            w.mind[u, ORDER] = MOVING
            w.mind[u, HEALS] = -1
            w.body[u, GOAL_X] = goal_x[u]
            w.body[u, GOAL_Y] = goal_y[u]
        elif new == STOP_ORDER:
            settle(w, u)


@inner
def place(w: Battle, start: Any, enemy_order: int, spread_x: Real, spread_y: Real) -> None:
    """Put all units where and as they start, start [U, START_FIELDS]; goals lie anywhere along `spread`."""
    chance = uniform(w) if spread_x != ZERO or spread_y != ZERO else ZERO
    for u in range(w.alive.shape[0]):
        for field in range(N_BODY):
            w.body[u, field] = ZERO
        for field in range(len(START_FIELDS)):
            w.body[u, START_FIELDS[field]] = start[u, field]
        w.body[u, GOAL_X] += chance * spread_x
        w.body[u, GOAL_Y] += chance * spread_y
        for field in range(N_MIND):
            w.mind[u, field] = 0
        w.mind[u, ORDER] = IDLE if u < w.n_agents else enemy_order
        w.mind[u, TARGET] = -1
        w.mind[u, ENGAGED] = -1
        w.mind[u, MISSILE] = -1
        w.mind[u, BLOW_AT] = -1
        w.mind[u, HEALS] = -1
        w.mind[u, CELL] = -1
        w.alive[u] = True


@inner
def read(w: Battle, x: Any, y: Any, health: Any, shield: Any, energy: Any) -> None:
    """Take over what the public arrays [U] say: whoever sets up a situation writes there."""
    for u in range(w.alive.shape[0]):
        w.body[u, X] = x[u]
        w.body[u, Y] = y[u]
        w.body[u, HEALTH] = health[u]
        if has(w, RECOVERY):
            w.body[u, SHIELD] = shield[u]
            w.body[u, ENERGY] = energy[u]
        w.mind[u, HITS] = 0
        if health[u] <= ZERO:
            w.alive[u] = False
        if not w.alive[u]:
            w.mind[u, SPENT] = 1


@inner
def publish(
    w: Battle, x: Any, y: Any, health: Any, shield: Any, energy: Any, weapon_cooldown: Any, facing: Any,
    target: Any, hits: Any,
) -> None:  # fmt: skip
    """Write the public arrays [U]."""
    for u in range(w.alive.shape[0]):
        x[u] = w.body[u, X]
        y[u] = w.body[u, Y]
        health[u] = w.body[u, HEALTH] if w.alive[u] else ZERO
        if has(w, RECOVERY):
            shield[u] = w.body[u, SHIELD]
            energy[u] = w.body[u, ENERGY]
        weapon_cooldown[u] = max(w.body[u, COOLDOWN], ZERO)
        facing[u] = angle(w.body[u, FACE_X], w.body[u, FACE_Y])
        busy = w.alive[u] and w.mind[u, ORDER] >= ATTACKING
        target[u] = w.mind[u, TARGET] if busy else -1
        hits[u] = w.mind[u, HITS]
        if not w.alive[u]:
            w.mind[u, SPENT] = 1  # as `read` would have it


def _make(name: str, plain: bool) -> Any:
    """The kernel for all maps, or one without what `features` tell of, for maps where nothing of that occurs."""

    def advance(
        first: int, last: int, lane: int, active: Any, anew: bool,
        start: Any, enemy_order: int, spread_x: Real, spread_y: Real,
        kind: Any, order_target: Any, goal_x: Any, goal_y: Any, loops: int,
        x: Any, y: Any, health: Any, shield: Any, energy: Any, weapon_cooldown: Any, facing: Any,
        target: Any, hits: Any, alive: Any, body: Any, mind: Any, rng: Any, burns: Any,
        stats: Any, traits: Any, pairs: Any, ground: Any, ways: Any, n_agents: int, features: int, widest: Real,
        crowd: Any, line: Any, still: Any, along: Any, across: Any,
    ) -> None:  # fmt: skip
        """Give the orders [B, n_agents] and play `loops` loops of every active battle from `first` to `last` - 1.

        With `anew` the battles begin from start [U, START_FIELDS] instead and play the one or two loops that pass
        before the agents first look. `lane` is the row of the scratch arrays [lanes, U] to use.
        """
        for b in range(first, last):
            if active[b]:
                w = Battle(
                    body[b], mind[b], alive[b], rng[b], burns[b], stats, traits, pairs, ground, ways,
                    n_agents, 0 if plain else features, widest,
                    crowd[lane], line[lane], still[lane], along[lane], across[lane],
                )  # fmt: skip
                if anew:
                    place(w, start, enemy_order, spread_x, spread_y)
                    length = 1 + int(draw(w) >> np.uint64(63))
                else:
                    read(w, x[b], y[b], health[b], shield[b], energy[b])
                    take_orders(w, kind[b], order_target[b], goal_x[b], goal_y[b])
                    length = loops
                play(w, length)
                publish(
                    w, x[b], y[b], health[b], shield[b], energy[b], weapon_cooldown[b], facing[b], target[b], hits[b]
                )

    advance.__qualname__ = name  # by which Numba's cache tells them apart
    return kernel(advance)


advance = _make("advance", plain=False)
advance_plain = _make("advance_plain", plain=True)

_FLAGS, _REALS, _INTS = boolean[::1], float32[:, ::1], int16[:, ::1]
_ROWS = (int64, int64, int64, _FLAGS, boolean)
_START = (_REALS, int64, float32, float32)
_ORDERS = (int8[:, ::1], _INTS, _REALS, _REALS, int64)
_PUBLIC = (*[_REALS] * 7, _INTS, _INTS, boolean[:, ::1])
_PRIVATE = (float32[:, :, ::1], int16[:, :, ::1], uint64[:, ::1], int8[:, :, :, ::1])
_WAYS = types.Array(int16, 2, "C", readonly=True)
_TABLES = (_REALS, _INTS, float32[:, :, ::1], uint8[:, :, ::1], _WAYS, int64, int64, float32)
_SCRATCH = (*[uint32[:, ::1]] * 3, *[_REALS] * 2)

SIGNATURE = (*_ROWS, *_START, *_ORDERS, *_PUBLIC, *_PRIVATE, *_TABLES, *_SCRATCH)

KERNELS = {advance: SIGNATURE, advance_plain: SIGNATURE}
SOURCES = kernel_cache.sources(engine_layout, engine_motion, engine_combat, engine_targets, __file__)


def compile_kernels() -> None:
    """Compile the kernel or load it from Numba's cache; a second call costs nothing."""
    kernel_cache.compile_all(KERNELS, SOURCES)

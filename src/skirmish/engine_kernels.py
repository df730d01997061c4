"""Numba kernels of the engine: one battle after the other, loop by loop.

Layouts, with F fields, B battles, U unit columns (agents first, then enemies):
    floats [F, B, U] float32   fields X ... HELP below; the first nine are the public ones of `engine.Units`
    ints   [G, B, U] int16     fields ORDER ... PROVOKER
    alive  [B, U] bool
    rng    [B, 4] uint64       xoshiro256++ state of each battle: a battle's course depends on no other battle
    stats  [U, S] float32      fields SPEED ... LATEST of each column's unit type, in cells and loops
    hit    [U, U] float32      points that one hit of the row's unit takes from the column's
    walkable, roomy [32, 32]   ground, and ground whose eight neighbours are ground too

What the engine of the real game does inside is not published; docs/skirmish.md says which parts are known and which are
this model's own.
"""

import math

from typing import Any

import numpy as np
from numba import boolean, float32, int8, int16, int64, njit, uint64

X, Y, HEALTH, HEALTH_MAX, SHIELD, SHIELD_MAX, ENERGY, WEAPON_COOLDOWN, FACING = range(9)
COOLDOWN, SWING, FACE_X, FACE_Y, GOAL_X, GOAL_Y, HOME_X, HOME_Y, HELP = range(9, 18)
N_FLOATS = 18
"""COOLDOWN: loops until the next attack may start, below zero by the fraction that the last loop overshot.
SWING: loops until the damage point of the running attack, 0 if none runs. FACE: unit vector. GOAL: where the order
leads. HOME: where a chase began. HELP: loops until the unit may call for help again."""

ORDER, TARGET, ENGAGED, PROVOKER = range(4)
N_INTS = 4
"""ENGAGED: the target that has been in weapon range since it was chosen. PROVOKER: who did harm from out of sight."""

IDLE, MOVING, ATTACKING, SCANNING = range(4)
"""ORDER: stand; go to the goal; attack the target; go to the goal and attack what comes near (attack-move)."""

SPEED, RANGE, SCAN, SLOP, RADIUS, SEPARATION, CLEARANCE, PERIOD = range(8)
SWING_TIME, TURN_COS, TURN_SIN, AIM_COS, EARLIEST, LATEST = range(8, 14)
N_STATS = 14
"""TURN: the largest turn in a loop; AIM: the angle within which a weapon fires; EARLIEST, LATEST: random delay."""

STANDING, WALKING, FIGHTING = range(3)
"""Postures, in the order in which friends make way: who stands yields to who walks, both to who fights."""

N_NONE, N_STOP, N_MOVE, N_ATTACK = range(4)
"""Kinds of orders as in `engine`."""

CALL_RADIUS = np.float32(4.0)
CALL_PERIOD = np.float32(32.0)
LEASH = np.float32(21.0)
WALL_GAP = np.float32(1.0 / 1024.0)
TINY = np.float32(1e-6)
ZERO = np.float32(0.0)
ONE = np.float32(1.0)
HALF = np.float32(0.5)
UNIFORM = np.float32(2.0**-24)

kernel = njit(cache=True, error_model="numpy", boundscheck=False, nogil=True)
inner = njit(error_model="numpy", boundscheck=False)


@inner
def draw(rng, b):
    """The next 64 random bits of battle b (xoshiro256++ of Blackman and Vigna)."""
    s0, s1, s2, s3 = rng[b, 0], rng[b, 1], rng[b, 2], rng[b, 3]
    total = s0 + s3
    result = ((total << np.uint64(23)) | (total >> np.uint64(41))) + s0
    shifted = s1 << np.uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    s3 = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
    rng[b, 0], rng[b, 1], rng[b, 2], rng[b, 3] = s0, s1, s2, s3
    return result


@inner
def shuffle(rng, b, items, count):
    """Put the first `count` items into random order."""
    for i in range(count - 1, 0, -1):
        j = np.int64(((draw(rng, b) >> np.uint64(32)) * np.uint64(i + 1)) >> np.uint64(32))
        items[i], items[j] = items[j], items[i]


@inner
def drop_attack(floats, ints, b, u):
    """End the attack; one that has not reached its damage point costs no cooldown."""
    if floats[SWING, b, u] > ZERO:
        floats[SWING, b, u] = ZERO
        floats[COOLDOWN, b, u] = ZERO
    ints[ENGAGED, b, u] = -1


@inner
def take_orders(kind, target, goal_x, goal_y, floats, ints, b, n_agents):
    """Replace the running orders of battle b's agents."""
    for u in range(n_agents):
        new = kind[b, u]
        if new == N_STOP:
            drop_attack(floats, ints, b, u)
            ints[ORDER, b, u] = IDLE
        elif new == N_MOVE:
            drop_attack(floats, ints, b, u)
            ints[ORDER, b, u] = MOVING
            floats[GOAL_X, b, u] = goal_x[b, u]
            floats[GOAL_Y, b, u] = goal_y[b, u]
        elif new == N_ATTACK:
            if ints[ORDER, b, u] != ATTACKING or ints[TARGET, b, u] != target[b, u]:
                drop_attack(floats, ints, b, u)
            ints[ORDER, b, u] = ATTACKING
            ints[TARGET, b, u] = target[b, u]


@inner
def turn(floats, stats, b, u, wish_x, wish_y):
    """Turn unit u towards the unit vector `wish`; returns the cosine of the angle that is left."""
    face_x, face_y = floats[FACE_X, b, u], floats[FACE_Y, b, u]
    cosine = face_x * wish_x + face_y * wish_y
    if cosine >= stats[u, TURN_COS]:
        floats[FACE_X, b, u] = wish_x
        floats[FACE_Y, b, u] = wish_y
        return ONE
    sine = stats[u, TURN_SIN] if face_x * wish_y - face_y * wish_x >= ZERO else -stats[u, TURN_SIN]
    turned_x = face_x * stats[u, TURN_COS] - face_y * sine
    turned_y = face_x * sine + face_y * stats[u, TURN_COS]
    floats[FACE_X, b, u] = turned_x
    floats[FACE_Y, b, u] = turned_y
    return turned_x * wish_x + turned_y * wish_y


@inner
def blocked(walkable, x, y, clearance):
    """Whether a square of half width `clearance` round (x, y) touches ground that cannot be walked on."""
    left, right = int(x - clearance), int(x + clearance)
    low, high = int(y - clearance), int(y + clearance)
    return not (walkable[left, low] and walkable[left, high] and walkable[right, low] and walkable[right, high])


@inner
def shift(floats, stats, walkable, roomy, b, u, dx, dy):
    """Move unit u by (dx, dy) as far as the terrain lets it, sliding along walls."""
    x, y = floats[X, b, u], floats[Y, b, u]
    new_x, new_y = x + dx, y + dy
    if not roomy[int(new_x), int(new_y)]:
        clearance = stats[u, CLEARANCE]
        if blocked(walkable, new_x, y, clearance):
            if dx > ZERO:
                new_x = max(x, np.float32(int(new_x + clearance)) - clearance - WALL_GAP)
            else:
                new_x = min(x, np.float32(int(new_x - clearance)) + ONE + clearance)
        if blocked(walkable, new_x, new_y, clearance):
            if dy > ZERO:
                new_y = max(y, np.float32(int(new_y + clearance)) - clearance - WALL_GAP)
            else:
                new_y = min(y, np.float32(int(new_y - clearance)) + ONE + clearance)
    floats[X, b, u] = new_x
    floats[Y, b, u] = new_y


@inner
def walk(floats, stats, walkable, roomy, wish, b, u, to_x, to_y):
    """Walk one loop towards a point; returns whether the unit is there. Until it has turned it walks slower."""
    dx, dy = to_x - floats[X, b, u], to_y - floats[Y, b, u]
    distance = math.sqrt(dx * dx + dy * dy)
    if distance < TINY:
        return True
    wish_x, wish_y = dx / distance, dy / distance
    step = stats[u, SPEED] * max(ZERO, turn(floats, stats, b, u, wish_x, wish_y))
    arrives = distance <= step
    step = min(step, distance)
    wish[0, u] = wish_x
    wish[1, u] = wish_y
    shift(floats, stats, walkable, roomy, b, u, wish_x * step, wish_y * step)
    return arrives


@inner
def call_for_help(floats, ints, alive, b, victim, attacker, n_agents):
    """Tell an enemy and its friends near by, as far as they have nothing to shoot at, who did harm."""
    if ints[TARGET, b, victim] < 0 and ints[PROVOKER, b, victim] < 0:
        provoke(floats, ints, b, victim, attacker)
    if floats[HELP, b, victim] > ZERO:
        return
    floats[HELP, b, victim] = CALL_PERIOD
    for u in range(n_agents, alive.shape[1]):
        if alive[b, u] and ints[TARGET, b, u] < 0 and ints[PROVOKER, b, u] < 0:
            dx = floats[X, b, u] - floats[X, b, victim]
            dy = floats[Y, b, u] - floats[Y, b, victim]
            if dx * dx + dy * dy <= CALL_RADIUS * CALL_RADIUS:
                provoke(floats, ints, b, u, attacker)


@inner
def provoke(floats, ints, b, u, attacker):
    """Let unit u hunt the attacker from where it stands."""
    ints[PROVOKER, b, u] = attacker
    floats[HOME_X, b, u] = floats[X, b, u]
    floats[HOME_Y, b, u] = floats[Y, b, u]


@inner
def strike(floats, ints, alive, hit, b, u, target, n_agents):
    """The instant hit of unit u."""
    health = floats[HEALTH, b, target] - hit[u, target]
    if health <= ZERO:
        floats[HEALTH, b, target] = ZERO
        alive[b, target] = False
    else:
        floats[HEALTH, b, target] = health
    if target >= n_agents:
        call_for_help(floats, ints, alive, b, target, u, n_agents)


@inner
def fight(floats, ints, alive, rng, stats, hit, walkable, roomy, wish, b, u, target, n_agents):
    """One loop of attacking `target`: come into range, turn, swing, strike. Returns the unit's posture."""
    dx = floats[X, b, target] - floats[X, b, u]
    dy = floats[Y, b, target] - floats[Y, b, u]
    distance = math.sqrt(dx * dx + dy * dy)
    reach = stats[u, RANGE] + stats[u, RADIUS] + stats[target, RADIUS]
    if distance <= reach:
        ints[ENGAGED, b, u] = target
    elif ints[ENGAGED, b, u] != target or distance > reach + stats[u, SLOP]:
        drop_attack(floats, ints, b, u)
        walk(floats, stats, walkable, roomy, wish, b, u, floats[X, b, target], floats[Y, b, target])
        return WALKING
    away = max(distance, TINY)
    aim = turn(floats, stats, b, u, dx / away, dy / away)
    if floats[SWING, b, u] > ZERO:
        floats[SWING, b, u] -= ONE
        if floats[SWING, b, u] <= ZERO:
            floats[SWING, b, u] = ZERO
            strike(floats, ints, alive, hit, b, u, target, n_agents)
    elif floats[COOLDOWN, b, u] <= ZERO and aim >= stats[u, AIM_COS]:
        chance = np.float32(draw(rng, b) >> np.uint64(40)) * UNIFORM
        delay = stats[u, EARLIEST] + (stats[u, LATEST] - stats[u, EARLIEST]) * chance
        floats[COOLDOWN, b, u] += stats[u, PERIOD] + delay
        floats[SWING, b, u] = stats[u, SWING_TIME]
    return FIGHTING


@inner
def nearest(floats, alive, stats, b, u, n_agents):
    """The agent nearest to enemy u within its scan range, or -1."""
    found = -1
    x, y = floats[X, b, u], floats[Y, b, u]
    closest = np.float32(1e9)
    for v in range(n_agents):
        if alive[b, v]:
            dx, dy = floats[X, b, v] - x, floats[Y, b, v] - y
            squared = dx * dx + dy * dy
            if squared < closest:
                sight = stats[u, SCAN] + stats[u, RADIUS] + stats[v, RADIUS]
                if squared <= sight * sight:
                    closest = squared
                    found = v
    return found


@inner
def choose_target(floats, ints, alive, stats, b, u, n_agents):
    """The target of an enemy that finds its own: the one it has while it can shoot it, else the nearest in sight."""
    target = ints[TARGET, b, u]
    if target >= 0 and alive[b, target] and ints[ENGAGED, b, u] == target:
        dx = floats[X, b, target] - floats[X, b, u]
        dy = floats[Y, b, target] - floats[Y, b, u]
        limit = stats[u, RANGE] + stats[u, SLOP] + stats[u, RADIUS] + stats[target, RADIUS]
        if dx * dx + dy * dy <= limit * limit:
            return target
    chosen = nearest(floats, alive, stats, b, u, n_agents)
    if chosen != target:
        drop_attack(floats, ints, b, u)
    return chosen


@inner
def hunt(floats, ints, alive, b, u):
    """Who harmed enemy u from out of sight, or -1 if it is dead or the chase has led too far."""
    provoker = ints[PROVOKER, b, u]
    if provoker >= 0:
        dx = floats[X, b, u] - floats[HOME_X, b, u]
        dy = floats[Y, b, u] - floats[HOME_Y, b, u]
        if not alive[b, provoker] or dx * dx + dy * dy > LEASH * LEASH:
            provoker = ints[PROVOKER, b, u] = -1
    return provoker


@inner
def act(floats, ints, alive, rng, stats, hit, walkable, roomy, wish, b, u, n_agents):
    """One loop of unit u's order; returns its posture."""
    order = ints[ORDER, b, u]
    if order == MOVING:
        if walk(floats, stats, walkable, roomy, wish, b, u, floats[GOAL_X, b, u], floats[GOAL_Y, b, u]):
            ints[ORDER, b, u] = IDLE
        return WALKING
    if order == ATTACKING:
        target = ints[TARGET, b, u]
        if alive[b, target]:
            return fight(floats, ints, alive, rng, stats, hit, walkable, roomy, wish, b, u, target, n_agents)
        drop_attack(floats, ints, b, u)
        ints[ORDER, b, u] = IDLE
    if order == SCANNING:
        target = choose_target(floats, ints, alive, stats, b, u, n_agents)
        ints[TARGET, b, u] = target
        if target >= 0:
            ints[PROVOKER, b, u] = -1
        else:
            target = hunt(floats, ints, alive, b, u)
        if target >= 0:
            return fight(floats, ints, alive, rng, stats, hit, walkable, roomy, wish, b, u, target, n_agents)
        if not walk(floats, stats, walkable, roomy, wish, b, u, floats[GOAL_X, b, u], floats[GOAL_Y, b, u]):
            return WALKING
    return STANDING


@inner
def slide(floats, stats, walkable, roomy, wish, b, u, normal_x, normal_y, depth):
    """Let a walker that was held up along `normal` (pointing at it) slip round the obstacle."""
    wish_x, wish_y = wish[0, u], wish[1, u]
    if wish_x * normal_x + wish_y * normal_y >= ZERO:
        return
    along = wish_x * -normal_y + wish_y * normal_x
    rest = min(depth, stats[u, SPEED] * (ONE - abs(along)))
    if along < ZERO:
        rest = -rest
    shift(floats, stats, walkable, roomy, b, u, -normal_y * rest, normal_x * rest)


@inner
def separate(floats, stats, walkable, roomy, wish, posture, b, i, j, touch, n_agents):
    """Push apart two units whose bodies overlap (centre distance below `touch`)."""
    dx, dy = floats[X, b, j] - floats[X, b, i], floats[Y, b, j] - floats[Y, b, i]
    distance = math.sqrt(dx * dx + dy * dy)
    if distance < TINY:
        normal_x, normal_y = ONE, ZERO
    else:
        normal_x, normal_y = dx / distance, dy / distance
    depth = touch - distance
    i_walks, j_walks = posture[i] == WALKING, posture[j] == WALKING
    if (i < n_agents) == (j < n_agents):
        rank = posture[j] - posture[i]
    else:
        rank = i_walks - j_walks
    share = HALF if rank == 0 else (ONE if rank > 0 else ZERO)
    shift(floats, stats, walkable, roomy, b, i, -normal_x * depth * share, -normal_y * depth * share)
    shift(floats, stats, walkable, roomy, b, j, normal_x * depth * (ONE - share), normal_y * depth * (ONE - share))
    if i_walks and not j_walks and share == ONE:
        slide(floats, stats, walkable, roomy, wish, b, i, -normal_x, -normal_y, depth)
    elif j_walks and not i_walks and share == ZERO:
        slide(floats, stats, walkable, roomy, wish, b, j, normal_x, normal_y, depth)


@inner
def collide(floats, stats, walkable, roomy, wish, posture, crowd, count, b, n_agents):
    """Resolve the overlaps of all living units once."""
    for a in range(count):
        i = crowd[a]
        for c in range(a + 1, count):
            j = crowd[c]
            dx, dy = floats[X, b, j] - floats[X, b, i], floats[Y, b, j] - floats[Y, b, i]
            touch = stats[i, SEPARATION] + stats[j, SEPARATION]
            if dx * dx + dy * dy < touch * touch:
                separate(floats, stats, walkable, roomy, wish, posture, b, i, j, touch, n_agents)


@inner
def play_loop(floats, ints, alive, rng, stats, hit, walkable, roomy, wish, posture, crowd, b, n_agents):
    """One game loop of battle b: timers, then every unit in random order, then collisions."""
    count = 0
    for u in range(alive.shape[1]):
        if alive[b, u]:
            crowd[count] = u
            count += 1
            floats[COOLDOWN, b, u] = max(floats[COOLDOWN, b, u], ZERO) - ONE
            floats[HELP, b, u] -= ONE
    shuffle(rng, b, crowd, count)
    for a in range(count):
        u = crowd[a]
        if alive[b, u]:
            posture[u] = act(floats, ints, alive, rng, stats, hit, walkable, roomy, wish, b, u, n_agents)
    living = 0
    for a in range(count):
        if alive[b, crowd[a]]:
            crowd[living] = crowd[a]
            living += 1
    collide(floats, stats, walkable, roomy, wish, posture, crowd, living, b, n_agents)


@kernel
def advance(
    active, loops, kind, target, goal_x, goal_y, floats, ints, alive, rng, stats, hit, walkable, roomy, n_agents
):
    """Give the orders [B, n_agents] and play `loops[b]` loops of every active battle b."""
    n_battles, n_units = alive.shape
    wish = np.zeros((2, n_units), np.float32)
    posture = np.zeros(n_units, np.int64)
    crowd = np.zeros(n_units, np.int64)
    for b in range(n_battles):
        if not active[b]:
            continue
        take_orders(kind, target, goal_x, goal_y, floats, ints, b, n_agents)
        for _ in range(loops[b]):
            play_loop(floats, ints, alive, rng, stats, hit, walkable, roomy, wish, posture, crowd, b, n_agents)
        for u in range(n_units):
            floats[WEAPON_COOLDOWN, b, u] = max(floats[COOLDOWN, b, u], ZERO)
            floats[FACING, b, u] = math.atan2(floats[FACE_Y, b, u], floats[FACE_X, b, u])


@kernel
def draw_march(mask, rng, loops):
    """Draw for every battle of mask how many loops, one or two, pass before the agents see it first."""
    for b in range(mask.shape[0]):
        if mask[b]:
            loops[b] = 1 + np.int64(draw(rng, b) >> np.uint64(63))


_BATTLES = (float32[:, :, ::1], int16[:, :, ::1], boolean[:, ::1], uint64[:, ::1])
_ORDERS = (int8[:, ::1], int16[:, ::1], float32[:, ::1], float32[:, ::1])
_TABLES = (float32[:, ::1], float32[:, ::1], boolean[:, ::1], boolean[:, ::1])
_ROWS, _LOOPS = boolean[::1], int64[::1]

SIGNATURES: dict[Any, tuple[Any, ...]] = {
    advance: (_ROWS, _LOOPS, *_ORDERS, *_BATTLES, *_TABLES, int64),
    draw_march: (_ROWS, _BATTLES[3], _LOOPS),
}


def compile_kernels() -> None:
    """Compile the kernels or load them from Numba's cache; a second call costs nothing."""
    for function, signature in SIGNATURES.items():
        if not function.signatures:
            function.compile(signature)
            function.disable_compile()

"""Numba kernels of the engine: one battle after the other, loop by loop.

Two are called from outside: `begin` starts battles and `advance` plays them; the rest is inlined into these.
docs/skirmish.md says which parts of the model are known of the real game and which are this project's own.
All kernels share one file, since Numba's cache notices changes only in the file of the function it has cached.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import boolean, float32, int8, int16, int64, njit, uint64

X, Y, HEALTH, HEALTH_MAX, SHIELD, SHIELD_MAX, ENERGY, WEAPON_COOLDOWN, FACING = range(9)
COOLDOWN, SWING, FACE_X, FACE_Y, GOAL_X, GOAL_Y, HOME_X, HOME_Y, DETOUR_X, DETOUR_Y, HELP = range(9, 20)
N_FLOATS = 20
"""The first nine are public (`engine.Units`). COOLDOWN: loops until the next attack may start. SWING: loops until the
damage point of the running attack, 0 if none runs. FACE: unit vector. GOAL: where the order leads. HOME: where a chase
began. DETOUR: unit vector along the obstacle in the way, or 0. HELP: loops until the unit may call for help again."""

ORDER, TARGET, ENGAGED, SIDE = range(4)
N_INTS = 4
"""ENGAGED: the target if it has been in weapon range since it was chosen, else -1. SIDE: on which side the unit goes
round what stands in its way (1 left, -1 right, 0 undecided)."""

IDLE, MOVING, ATTACKING, SCANNING = range(4)
"""ORDER: stand; go to the goal; attack the target; go to the goal and attack what comes near (attack-move)."""

SPEED, RANGE, SCAN, SLOP, RADIUS, SEPARATION, CLEARANCE, PERIOD = range(8)
SWING_TIME, TURN_COS, TURN_SIN, AIM_COS, EARLIEST, LATEST = range(8, 14)
N_STATS = 14
"""TURN: the largest turn in a loop; AIM: the angle within which a weapon fires; EARLIEST, LATEST: random delay."""

START_FIELDS = (X, Y, FACE_X, FACE_Y, GOAL_X, GOAL_Y, HEALTH, HEALTH_MAX, SHIELD, SHIELD_MAX)
"""What `begin` sets; all other numbers start at 0."""

STANDING, WALKING, FIGHTING = range(3)
"""Postures, in the order in which friends make way: who stands yields to who walks, both to who fights."""

STOP_ORDER, MOVE_ORDER, ATTACK_ORDER = 1, 2, 3
"""Kinds of orders that do something here; the values are those of `engine`."""

CALL_RADIUS = np.float32(4.0)
CALL_PERIOD = np.float32(32.0)
LEASH = np.float32(21.0)
WALL_GAP = np.float32(1.0 / 1024.0)
CLOSE = np.float32(0.05)
"""Bodies nearer than this count as touching when a walker looks for a way round."""
TINY = np.float32(1e-6)
ZERO = np.float32(0.0)
HALF = np.float32(0.5)
ONE = np.float32(1.0)
TWO = np.float32(2.0)
FAR = np.float32(1e9)
UNIFORM = np.float32(2.0**-24)

kernel = njit(cache=True, error_model="numpy", boundscheck=False, nogil=True)
inner = njit(error_model="numpy", boundscheck=False, forceinline=True)


class World(NamedTuple):
    """All battles and the tables they share. F fields, B battles, U unit columns (agents first, then enemies).

    floats [F, B, U] float32; ints [G, B, U] int16; alive [B, U] bool; rng [B, 4] uint64, each battle's own
    xoshiro256++ state; stats [U, S] float32: SPEED ... LATEST of each column's unit type, in cells and loops;
    hit [U, U] float32: points that a hit of the row's unit takes from the column's; walkable, roomy [32, 32] bool:
    ground, and ground whose eight neighbours are ground too.
    Scratch of one loop: wish [3, U]: the way a walker wants to go, and how well its detour agrees; posture, crowd [U].
    """

    floats: Any
    ints: Any
    alive: Any
    rng: Any
    stats: Any
    hit: Any
    walkable: Any
    roomy: Any
    n_agents: int
    wish: Any
    posture: Any
    crowd: Any


@inner
def draw(w: World, b: int) -> np.uint64:
    """The next 64 random bits of battle b (xoshiro256++ of Blackman and Vigna)."""
    s0, s1, s2, s3 = w.rng[b, 0], w.rng[b, 1], w.rng[b, 2], w.rng[b, 3]
    total = s0 + s3
    result = ((total << np.uint64(23)) | (total >> np.uint64(41))) + s0
    shifted = s1 << np.uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    s3 = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
    w.rng[b, 0], w.rng[b, 1], w.rng[b, 2], w.rng[b, 3] = s0, s1, s2, s3
    return result


@inner
def shuffle_crowd(w: World, b: int, count: int) -> None:
    """Put the first `count` units of the crowd into random order."""
    for i in range(count - 1, 0, -1):
        j = np.int64(((draw(w, b) >> np.uint64(32)) * np.uint64(i + 1)) >> np.uint64(32))
        w.crowd[i], w.crowd[j] = w.crowd[j], w.crowd[i]


@inner
def drop_attack(w: World, b: int, u: int) -> None:
    """End the attack; one that has not reached its damage point costs no cooldown."""
    if w.floats[SWING, b, u] > ZERO:
        w.floats[SWING, b, u] = ZERO
        w.floats[COOLDOWN, b, u] = ZERO
    w.ints[ENGAGED, b, u] = -1


@inner
def turn(w: World, b: int, u: int, wish_x: float, wish_y: float) -> float:
    """Turn unit u towards the unit vector `wish`; returns the cosine of the angle that is left."""
    face_x, face_y = w.floats[FACE_X, b, u], w.floats[FACE_Y, b, u]
    cosine = w.stats[u, TURN_COS]
    if face_x * wish_x + face_y * wish_y >= cosine:
        w.floats[FACE_X, b, u] = wish_x
        w.floats[FACE_Y, b, u] = wish_y
        return ONE
    sine = w.stats[u, TURN_SIN] if face_x * wish_y - face_y * wish_x >= ZERO else -w.stats[u, TURN_SIN]
    turned_x = face_x * cosine - face_y * sine
    turned_y = face_x * sine + face_y * cosine
    w.floats[FACE_X, b, u] = turned_x
    w.floats[FACE_Y, b, u] = turned_y
    return turned_x * wish_x + turned_y * wish_y


@inner
def blocked(w: World, x: float, y: float, clearance: float) -> bool:
    """Whether a square of half width `clearance` round (x, y) touches ground that cannot be walked on."""
    left, right = int(x - clearance), int(x + clearance)
    low, high = int(y - clearance), int(y + clearance)
    return not (w.walkable[left, low] and w.walkable[left, high] and w.walkable[right, low] and w.walkable[right, high])


@inner
def shift(w: World, b: int, u: int, dx: float, dy: float) -> None:
    """Move unit u by (dx, dy) as far as the terrain lets it, sliding along walls."""
    x, y = w.floats[X, b, u], w.floats[Y, b, u]
    new_x, new_y = x + dx, y + dy
    if not w.roomy[int(new_x), int(new_y)]:
        clearance = w.stats[u, CLEARANCE]
        if blocked(w, new_x, y, clearance):
            if dx > ZERO:
                new_x = max(x, np.float32(int(new_x + clearance)) - clearance - WALL_GAP)
            else:
                new_x = min(x, np.float32(int(new_x - clearance)) + ONE + clearance)
        if blocked(w, new_x, new_y, clearance):
            if dy > ZERO:
                new_y = max(y, np.float32(int(new_y + clearance)) - clearance - WALL_GAP)
            else:
                new_y = min(y, np.float32(int(new_y - clearance)) + ONE + clearance)
    w.floats[X, b, u] = new_x
    w.floats[Y, b, u] = new_y


@inner
def walk(w: World, b: int, u: int, to_x: float, to_y: float) -> bool:
    """Walk one loop towards a point, round what is in the way; returns whether the unit is there.

    A unit that has not finished turning moves by the component of its facing along its way.
    """
    x, y = w.floats[X, b, u], w.floats[Y, b, u]
    dx, dy = to_x - x, to_y - y
    distance = math.sqrt(dx * dx + dy * dy)
    if distance < TINY:
        return True
    way_x, way_y = dx / distance, dy / distance
    w.wish[0, u] = way_x
    w.wish[1, u] = way_y
    detour_x, detour_y = w.floats[DETOUR_X, b, u], w.floats[DETOUR_Y, b, u]
    if detour_x != ZERO or detour_y != ZERO:
        step = w.stats[u, SPEED] * max(ZERO, turn(w, b, u, detour_x, detour_y))
        shift(w, b, u, detour_x * step, detour_y * step)
        if abs(w.floats[X, b, u] - x) + abs(w.floats[Y, b, u] - y) < HALF * step:
            w.ints[SIDE, b, u] = -w.ints[SIDE, b, u]  # a wall: try the other way round
        return False
    w.ints[SIDE, b, u] = 0
    step = w.stats[u, SPEED] * max(ZERO, turn(w, b, u, way_x, way_y))
    if distance <= step:
        shift(w, b, u, dx, dy)
        return True
    shift(w, b, u, way_x * step, way_y * step)
    return False


@inner
def provoke(w: World, b: int, u: int, attacker: int) -> None:
    """Let an enemy that has no target hunt the attacker."""
    if w.ints[TARGET, b, u] < 0:
        w.ints[TARGET, b, u] = attacker
        w.floats[HOME_X, b, u] = w.floats[X, b, u]
        w.floats[HOME_Y, b, u] = w.floats[Y, b, u]


@inner
def call_for_help(w: World, b: int, victim: int, attacker: int) -> None:
    """Set an enemy that was hit, and now and then its friends near by, on the attacker."""
    provoke(w, b, victim, attacker)
    if w.floats[HELP, b, victim] > ZERO:
        return
    w.floats[HELP, b, victim] = CALL_PERIOD
    for u in range(w.n_agents, w.alive.shape[1]):
        dx = w.floats[X, b, u] - w.floats[X, b, victim]
        dy = w.floats[Y, b, u] - w.floats[Y, b, victim]
        if w.alive[b, u] and dx * dx + dy * dy <= CALL_RADIUS * CALL_RADIUS:
            provoke(w, b, u, attacker)


@inner
def strike(w: World, b: int, u: int, target: int) -> None:
    """The instant hit of unit u."""
    health = w.floats[HEALTH, b, target] - w.hit[u, target]
    w.floats[HEALTH, b, target] = max(health, ZERO)
    if health <= ZERO:
        w.alive[b, target] = False
    elif target >= w.n_agents:
        call_for_help(w, b, target, u)


@inner
def aim(w: World, b: int, u: int, dx: float, dy: float, squared: float) -> bool:
    """Turn unit u towards (dx, dy) if need be; returns whether its weapon bears."""
    along = w.floats[FACE_X, b, u] * dx + w.floats[FACE_Y, b, u] * dy
    bearing = w.stats[u, AIM_COS]
    if along > ZERO and along * along >= bearing * bearing * squared:
        return True
    distance = max(math.sqrt(squared), TINY)
    return turn(w, b, u, dx / distance, dy / distance) >= bearing


@inner
def fight(w: World, b: int, u: int, target: int) -> int:
    """One loop of attacking `target`: come into range, turn, swing, strike. Returns the unit's posture.

    A new attack needs the plain range; a running one, and a unit that waits for its weapon, bear with the slop.
    """
    dx = w.floats[X, b, target] - w.floats[X, b, u]
    dy = w.floats[Y, b, target] - w.floats[Y, b, u]
    squared = dx * dx + dy * dy
    reach = w.stats[u, RANGE] + w.stats[u, RADIUS] + w.stats[target, RADIUS]
    swinging = w.floats[SWING, b, u] > ZERO
    if squared <= reach * reach:
        w.ints[ENGAGED, b, u] = target
    else:
        reach += w.stats[u, SLOP]
        lost = w.ints[ENGAGED, b, u] != target or squared > reach * reach
        if lost:
            drop_attack(w, b, u)
        if lost or not (swinging or w.floats[COOLDOWN, b, u] > ZERO):
            walk(w, b, u, w.floats[X, b, target], w.floats[Y, b, target])
            return WALKING
    bears = aim(w, b, u, dx, dy, squared)
    if swinging:
        w.floats[SWING, b, u] = max(w.floats[SWING, b, u] - ONE, ZERO)
        if w.floats[SWING, b, u] == ZERO:
            strike(w, b, u, target)
    elif bears and w.floats[COOLDOWN, b, u] <= ZERO:
        chance = np.float32(draw(w, b) >> np.uint64(40)) * UNIFORM
        delay = w.stats[u, EARLIEST] + (w.stats[u, LATEST] - w.stats[u, EARLIEST]) * chance
        w.floats[COOLDOWN, b, u] = w.stats[u, PERIOD] + delay
        w.floats[SWING, b, u] = w.stats[u, SWING_TIME]
    return FIGHTING


@inner
def nearest(w: World, b: int, u: int) -> int:
    """The agent nearest to enemy u within its scan range, or -1."""
    found = -1
    x, y = w.floats[X, b, u], w.floats[Y, b, u]
    closest = FAR
    for v in range(w.n_agents):
        if w.alive[b, v]:
            dx, dy = w.floats[X, b, v] - x, w.floats[Y, b, v] - y
            squared = dx * dx + dy * dy
            if squared < closest:
                sight = w.stats[u, SCAN] + w.stats[u, RADIUS] + w.stats[v, RADIUS]
                if squared <= sight * sight:
                    closest = squared
                    found = v
    return found


@inner
def choose_target(w: World, b: int, u: int) -> int:
    """The target of an enemy that finds its own: the one it is shooting at, else the nearest in sight, else its prey.

    Prey, a target that has left the scan range, is chased as far as the leash allows.
    """
    target = w.ints[TARGET, b, u]
    known = target >= 0 and w.alive[b, target]
    if known and w.ints[ENGAGED, b, u] == target:
        dx = w.floats[X, b, target] - w.floats[X, b, u]
        dy = w.floats[Y, b, target] - w.floats[Y, b, u]
        limit = w.stats[u, RANGE] + w.stats[u, SLOP] + w.stats[u, RADIUS] + w.stats[target, RADIUS]
        if dx * dx + dy * dy <= limit * limit:
            return target
    chosen = nearest(w, b, u)
    if chosen < 0 and known:
        dx = w.floats[X, b, u] - w.floats[HOME_X, b, u]
        dy = w.floats[Y, b, u] - w.floats[HOME_Y, b, u]
        if dx * dx + dy * dy <= LEASH * LEASH:
            chosen = target
    if chosen >= 0 and not known:
        w.floats[HOME_X, b, u] = w.floats[X, b, u]
        w.floats[HOME_Y, b, u] = w.floats[Y, b, u]
    if chosen != target:
        drop_attack(w, b, u)
        w.ints[TARGET, b, u] = chosen
    return chosen


@inner
def act(w: World, b: int, u: int) -> int:
    """One loop of unit u's order; returns its posture."""
    order = w.ints[ORDER, b, u]
    target = -1
    if order == SCANNING:
        target = choose_target(w, b, u)
    elif order == ATTACKING:
        target = w.ints[TARGET, b, u]
        if not w.alive[b, target]:
            drop_attack(w, b, u)
            w.ints[ORDER, b, u] = IDLE
            return STANDING
    if target >= 0:
        return fight(w, b, u, target)
    if order == IDLE:
        return STANDING
    if walk(w, b, u, w.floats[GOAL_X, b, u], w.floats[GOAL_Y, b, u]):
        if order == MOVING:
            w.ints[ORDER, b, u] = IDLE
        return STANDING
    return WALKING


@inner
def go_round(w: World, b: int, u: int, normal_x: float, normal_y: float) -> None:
    """Note the way along an obstacle if it stands in walker u's way; `normal` points from it to the walker.

    Of several obstacles the one that turns the walker furthest from its way counts: that way clears them all.
    """
    way_x, way_y = w.wish[0, u], w.wish[1, u]
    if way_x * normal_x + way_y * normal_y >= ZERO:
        return
    along = way_y * normal_x - way_x * normal_y
    if w.ints[SIDE, b, u] == 0:
        w.ints[SIDE, b, u] = 1 if along >= ZERO else -1
    side = np.float32(w.ints[SIDE, b, u])
    along *= side
    if along < w.wish[2, u]:
        w.wish[2, u] = along
        w.floats[DETOUR_X, b, u] = -side * normal_y
        w.floats[DETOUR_Y, b, u] = side * normal_x


@inner
def meet(w: World, b: int, i: int, j: int, squared: float, touch: float) -> None:
    """Push two units apart if their bodies overlap, and let a walker go round one that does not make way."""
    distance = math.sqrt(squared)
    normal_x, normal_y = ONE, ZERO
    if distance >= TINY:
        normal_x = (w.floats[X, b, j] - w.floats[X, b, i]) / distance
        normal_y = (w.floats[Y, b, j] - w.floats[Y, b, i]) / distance
    i_walks, j_walks = w.posture[i] == WALKING, w.posture[j] == WALKING
    rank = w.posture[j] - w.posture[i]
    if (i < w.n_agents) != (j < w.n_agents):
        rank = i_walks - j_walks  # nobody makes way for the other side
    share = HALF if rank == 0 else (ONE if rank > 0 else ZERO)
    depth = touch - distance
    if depth > ZERO:
        shift(w, b, i, -normal_x * depth * share, -normal_y * depth * share)
        shift(w, b, j, normal_x * depth * (ONE - share), normal_y * depth * (ONE - share))
    if i_walks and rank > 0:
        go_round(w, b, i, -normal_x, -normal_y)
    elif j_walks and rank < 0:
        go_round(w, b, j, normal_x, normal_y)


@inner
def collide(w: World, b: int, count: int) -> None:
    """Let the first `count` units of the crowd meet, each pair once."""
    for a in range(count):
        u = w.crowd[a]
        w.floats[DETOUR_X, b, u] = ZERO
        w.floats[DETOUR_Y, b, u] = ZERO
        w.wish[2, u] = TWO
        if w.posture[u] != WALKING:
            w.ints[SIDE, b, u] = 0
    for a in range(count):
        i = w.crowd[a]
        for c in range(a + 1, count):
            j = w.crowd[c]
            dx, dy = w.floats[X, b, j] - w.floats[X, b, i], w.floats[Y, b, j] - w.floats[Y, b, i]
            squared = dx * dx + dy * dy
            touch = w.stats[i, SEPARATION] + w.stats[j, SEPARATION]
            if squared < (touch + CLOSE) * (touch + CLOSE):
                meet(w, b, i, j, squared, touch)


@inner
def play_loop(w: World, b: int) -> None:
    """One game loop of battle b: timers, then every unit in random order, then collisions."""
    count = 0
    for u in range(w.alive.shape[1]):
        if w.alive[b, u]:
            w.crowd[count] = u
            count += 1
            w.floats[COOLDOWN, b, u] -= ONE
            w.floats[HELP, b, u] -= ONE
    shuffle_crowd(w, b, count)
    for a in range(count):
        u = w.crowd[a]
        if w.alive[b, u]:
            w.posture[u] = act(w, b, u)
    living = 0
    for a in range(count):
        u = w.crowd[a]
        if w.alive[b, u]:
            w.crowd[living] = u
            living += 1
    collide(w, b, living)


@inner
def play(w: World, b: int, loops: int) -> None:
    """Play battle b and publish what is derived."""
    for _ in range(loops):
        play_loop(w, b)
    for u in range(w.alive.shape[1]):
        w.floats[WEAPON_COOLDOWN, b, u] = max(w.floats[COOLDOWN, b, u], ZERO)
        w.floats[FACING, b, u] = math.atan2(w.floats[FACE_Y, b, u], w.floats[FACE_X, b, u])


@inner
def take_orders(w: World, b: int, kind: Any, target: Any, goal_x: Any, goal_y: Any) -> None:
    """Replace the running orders of battle b's agents."""
    for u in range(w.n_agents):
        new = kind[b, u]
        if new == ATTACK_ORDER:
            if w.ints[ORDER, b, u] != ATTACKING or w.ints[TARGET, b, u] != target[b, u]:
                drop_attack(w, b, u)
            w.ints[ORDER, b, u] = ATTACKING
            w.ints[TARGET, b, u] = target[b, u]
        elif new == MOVE_ORDER:
            drop_attack(w, b, u)
            w.ints[ORDER, b, u] = MOVING
            w.floats[GOAL_X, b, u] = goal_x[b, u]
            w.floats[GOAL_Y, b, u] = goal_y[b, u]
        elif new == STOP_ORDER:
            drop_attack(w, b, u)
            w.ints[ORDER, b, u] = IDLE


@inner
def place(w: World, b: int, start: Any) -> None:
    """Put all units of battle b where and as they start."""
    for u in range(w.alive.shape[1]):
        for field in range(N_FLOATS):
            w.floats[field, b, u] = ZERO
        for field in range(start.shape[0]):
            w.floats[START_FIELDS[field], b, u] = start[field, u]
        w.alive[b, u] = True
        w.ints[ORDER, b, u] = IDLE if u < w.n_agents else SCANNING
        w.ints[TARGET, b, u] = -1
        w.ints[ENGAGED, b, u] = -1
        w.ints[SIDE, b, u] = 0


@inner
def world(
    floats: Any, ints: Any, alive: Any, rng: Any, stats: Any, hit: Any, walkable: Any, roomy: Any, n_agents: int
) -> World:
    """The arrays, with scratch."""
    n = alive.shape[1]
    wish = np.zeros((3, n), np.float32)
    posture, crowd = np.zeros(n, np.int64), np.zeros(n, np.int64)
    return World(floats, ints, alive, rng, stats, hit, walkable, roomy, n_agents, wish, posture, crowd)


@kernel
def begin(
    mask: Any, start: Any,
    floats: Any, ints: Any, alive: Any, rng: Any, stats: Any, hit: Any, walkable: Any, roomy: Any, n_agents: int,
) -> None:  # fmt: skip
    """Start the battles of mask [B] from start [START_FIELDS, U]; the agents first look one or two loops later."""
    w = world(floats, ints, alive, rng, stats, hit, walkable, roomy, n_agents)
    for b in range(mask.shape[0]):
        if mask[b]:
            place(w, b, start)
            play(w, b, 1 + np.int64(draw(w, b) >> np.uint64(63)))


@kernel
def advance(
    active: Any, kind: Any, target: Any, goal_x: Any, goal_y: Any, loops: int,
    floats: Any, ints: Any, alive: Any, rng: Any, stats: Any, hit: Any, walkable: Any, roomy: Any, n_agents: int,
) -> None:  # fmt: skip
    """Give the orders [B, n_agents] and play `loops` loops of every active battle."""
    w = world(floats, ints, alive, rng, stats, hit, walkable, roomy, n_agents)
    for b in range(active.shape[0]):
        if active[b]:
            take_orders(w, b, kind, target, goal_x, goal_y)
            play(w, b, loops)


_ROWS = boolean[::1]
_ORDERS = (int8[:, ::1], int16[:, ::1], float32[:, ::1], float32[:, ::1])
_BATTLES = (float32[:, :, ::1], int16[:, :, ::1], boolean[:, ::1], uint64[:, ::1])
_TABLES = (float32[:, ::1], float32[:, ::1], boolean[:, ::1], boolean[:, ::1])

SIGNATURES: dict[Any, tuple[Any, ...]] = {
    begin: (_ROWS, float32[:, ::1], *_BATTLES, *_TABLES, int64),
    advance: (_ROWS, *_ORDERS, int64, *_BATTLES, *_TABLES, int64),
}


def compile_kernels() -> None:
    """Compile the kernels or load them from Numba's cache; a second call costs nothing."""
    for function, signature in SIGNATURES.items():
        if not function.signatures:
            function.compile(signature)
            function.disable_compile()

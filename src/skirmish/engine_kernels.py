"""Numba kernels of the engine: one battle after the other, loop by loop.

`advance` is called from outside and starts and plays battles; the rest is inlined into it.
docs/skirmish.md says which parts of the model are known of the real game and which are this project's own.
All share one file, since Numba's cache notices changes only in the file of the function it has cached.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import boolean, float32, int8, int16, int64, njit, uint32, uint64

X, Y, HEALTH, COOLDOWN, SWING, FACE_X, FACE_Y, GOAL_X, GOAL_Y, HOME_X, HOME_Y, HELP = range(12)
WAY_X, WAY_Y, LEFT_X, LEFT_Y, LEFT_COS, RIGHT_X, RIGHT_Y, RIGHT_COS = range(12, 20)
N_BODY = 20
"""COOLDOWN: loops until the next attack may start. SWING: loops until the damage point of the running attack, 0 if none
runs. FACE: unit vector. GOAL: where the order leads. HOME: where a chase began. HELP: loops until the unit may call for
help again. WAY: unit vector of a walker's wish. LEFT, RIGHT: unit vectors along what stands in the way, passing it on
the one or the other side, and their cosines with the way; the cosines are 2 when the way is free."""

ORDER, TARGET, ENGAGED, SIDE, POSTURE = range(5)
N_MIND = 5
"""ENGAGED: the target if it has been in weapon range since it was chosen, else -1. SIDE: on which side the unit goes
round what stands in its way (1 left, -1 right, 0 undecided)."""

IDLE, MOVING, ATTACKING, SCANNING = range(4)
"""ORDER: stand; go to the goal; attack the target; go to the goal and attack what comes near (attack-move)."""

SPEED, RANGE, SCAN, SLOP, RADIUS, SEPARATION, CLEARANCE, PERIOD = range(8)
SWING_TIME, TURN_COS, TURN_SIN, AIM_COS, EARLIEST, LATEST = range(8, 14)
N_STATS = 14
"""TURN: the largest turn in a loop; AIM: the angle within which a weapon fires; EARLIEST, LATEST: random delay."""

START_FIELDS = (X, Y, FACE_X, FACE_Y, GOAL_X, GOAL_Y, HEALTH)
"""What a battle starts with; all other numbers of the body start at 0."""

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
FEW = 12
"""Up to here testing all pairs is faster than sorting."""
GRAIN = np.float32(1.0 / 1024.0)
"""Overlaps below this are left alone."""
TINY = np.float32(1e-6)
ZERO = np.float32(0.0)
HALF = np.float32(0.5)
ONE = np.float32(1.0)
TWO = np.float32(2.0)
FAR = np.float32(1e9)
UNIFORM = np.float32(2.0**-24)
QUARTER_TURN = np.float32(math.pi / 2)
ATAN_3, ATAN_5, ATAN_7 = np.float32(-0.3276228), np.float32(0.1593142), np.float32(-0.0464965)

# Numba counts references to arrays even inside loops, which makes a battle five times slower; `_nrt=False` drops the
# counting. Nothing here allocates, so nothing needs it.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "boundscheck": False, "_nrt": False}
inner = njit(forceinline=True, **_OPTIONS)
kernel = njit(cache=True, nogil=True, **_OPTIONS)

Real = Any
"""A float32 inside the kernels."""


class Battle(NamedTuple):
    """One battle and the tables all battles share. U unit columns: agents first, then enemies.

    body [U, N_BODY] float32; mind [U, N_MIND] int16; alive [U] bool; rng [4] uint64: the battle's own xoshiro256++
    state; stats [U, N_STATS] float32 of each column's unit type, in cells and loops; hit [U, U] float32: points that a
    hit of the row's unit takes from the column's; walkable, roomy [32, 32] bool: ground, and ground whose eight
    neighbours are ground too; widest: no bodies further apart than this meet.
    Scratch: crowd, line [U] uint32: units in random order and in order of x (unsigned, which spares a test for negative
    indices); along, across [U] float32: where the units of the line were before they met.
    """

    body: Any
    mind: Any
    alive: Any
    rng: Any
    stats: Any
    hit: Any
    walkable: Any
    roomy: Any
    n_agents: int
    widest: Real
    crowd: Any
    line: Any
    along: Any
    across: Any


@inner
def next_bits(s0: Any, s1: Any, s2: Any, s3: Any) -> tuple[Any, Any, Any, Any, Any]:
    """64 random bits and the state after them (xoshiro256++ of Blackman and Vigna)."""
    total = s0 + s3
    bits = ((total << np.uint64(23)) | (total >> np.uint64(41))) + s0
    shifted = s1 << np.uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    return bits, s0, s1, s2, (s3 << np.uint64(45)) | (s3 >> np.uint64(19))


@inner
def draw(w: Battle) -> np.uint64:
    """The next 64 random bits of the battle."""
    bits, w.rng[0], w.rng[1], w.rng[2], w.rng[3] = next_bits(w.rng[0], w.rng[1], w.rng[2], w.rng[3])
    return bits


@inner
def shuffle(w: Battle, items: Any, count: int) -> None:
    """Put the first `count` items into random order; 64 bits serve for two places."""
    s0, s1, s2, s3 = w.rng[0], w.rng[1], w.rng[2], w.rng[3]
    bits = np.uint64(0)
    for i in range(count - 1, 0, -1):
        if (count - i) & 1:
            bits, s0, s1, s2, s3 = next_bits(s0, s1, s2, s3)
        else:
            bits <<= np.uint64(32)
        j = np.int64(((bits >> np.uint64(32)) * np.uint64(i + 1)) >> np.uint64(32))
        items[i], items[j] = items[j], items[i]
    w.rng[0], w.rng[1], w.rng[2], w.rng[3] = s0, s1, s2, s3


@inner
def drop_attack(w: Battle, u: int) -> None:
    """End the attack; one that has not reached its damage point costs no cooldown."""
    if w.body[u, SWING] > ZERO:
        w.body[u, SWING] = ZERO
        w.body[u, COOLDOWN] = ZERO
    w.mind[u, ENGAGED] = -1


@inner
def turn(w: Battle, u: int, wish_x: Real, wish_y: Real) -> Real:
    """Turn unit u towards the unit vector `wish`; returns the cosine of the angle that is left."""
    face_x, face_y = w.body[u, FACE_X], w.body[u, FACE_Y]
    cosine = w.stats[u, TURN_COS]
    if face_x * wish_x + face_y * wish_y >= cosine:
        w.body[u, FACE_X] = wish_x
        w.body[u, FACE_Y] = wish_y
        return ONE
    sine = w.stats[u, TURN_SIN] if face_x * wish_y - face_y * wish_x >= ZERO else -w.stats[u, TURN_SIN]
    turned_x = face_x * cosine - face_y * sine
    turned_y = face_x * sine + face_y * cosine
    w.body[u, FACE_X] = turned_x
    w.body[u, FACE_Y] = turned_y
    return turned_x * wish_x + turned_y * wish_y


@inner
def blocked(w: Battle, x: Real, y: Real, clearance: Real) -> bool:
    """Whether a square of half width `clearance` round (x, y) touches ground that cannot be walked on."""
    left, right = int(x - clearance), int(x + clearance)
    low, high = int(y - clearance), int(y + clearance)
    return not (w.walkable[left, low] and w.walkable[left, high] and w.walkable[right, low] and w.walkable[right, high])


@inner
def shift(w: Battle, u: int, dx: Real, dy: Real) -> None:
    """Move unit u by (dx, dy) as far as the terrain lets it, sliding along walls."""
    x, y = w.body[u, X], w.body[u, Y]
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
    w.body[u, X] = new_x
    w.body[u, Y] = new_y


@inner
def walk(w: Battle, u: int, to_x: Real, to_y: Real) -> bool:
    """Walk one loop towards a point, round what is in the way; returns whether the unit is there.

    A unit that has not finished turning moves by the component of its facing along its way.
    """
    x, y = w.body[u, X], w.body[u, Y]
    dx, dy = to_x - x, to_y - y
    distance = math.sqrt(dx * dx + dy * dy)
    if distance < TINY:
        return True
    way_x, way_y = dx / distance, dy / distance
    w.body[u, WAY_X] = way_x
    w.body[u, WAY_Y] = way_y
    if w.body[u, LEFT_COS] < TWO:
        if w.mind[u, SIDE] == 0:
            w.mind[u, SIDE] = 1 if w.body[u, LEFT_COS] >= w.body[u, RIGHT_COS] else -1
        left = w.mind[u, SIDE] > 0
        along_x = w.body[u, LEFT_X] if left else w.body[u, RIGHT_X]
        along_y = w.body[u, LEFT_Y] if left else w.body[u, RIGHT_Y]
        step = w.stats[u, SPEED] * max(ZERO, turn(w, u, along_x, along_y))
        shift(w, u, along_x * step, along_y * step)
        if abs(w.body[u, X] - x) + abs(w.body[u, Y] - y) < HALF * step:
            w.mind[u, SIDE] = -w.mind[u, SIDE]  # a wall: try the other way round
        return False
    w.mind[u, SIDE] = 0
    step = w.stats[u, SPEED] * max(ZERO, turn(w, u, way_x, way_y))
    if distance <= step:
        shift(w, u, dx, dy)
        return True
    shift(w, u, way_x * step, way_y * step)
    return False


@inner
def provoke(w: Battle, u: int, attacker: int) -> None:
    """Let an enemy that has no target hunt the attacker."""
    if w.mind[u, TARGET] < 0:
        w.mind[u, TARGET] = attacker
        w.body[u, HOME_X] = w.body[u, X]
        w.body[u, HOME_Y] = w.body[u, Y]


@inner
def call_for_help(w: Battle, victim: int, attacker: int) -> None:
    """Set an enemy that was hit, and now and then its friends near by, on the attacker."""
    provoke(w, victim, attacker)
    if w.body[victim, HELP] > ZERO:
        return
    w.body[victim, HELP] = CALL_PERIOD
    for u in range(w.n_agents, w.alive.shape[0]):
        dx = w.body[u, X] - w.body[victim, X]
        dy = w.body[u, Y] - w.body[victim, Y]
        if w.alive[u] and dx * dx + dy * dy <= CALL_RADIUS * CALL_RADIUS:
            provoke(w, u, attacker)


@inner
def strike(w: Battle, u: int, target: int) -> None:
    """The instant hit of unit u."""
    health = w.body[target, HEALTH] - w.hit[u, target]
    w.body[target, HEALTH] = max(health, ZERO)
    if health <= ZERO:
        w.alive[target] = False
    elif target >= w.n_agents:
        call_for_help(w, target, u)


@inner
def aim(w: Battle, u: int, dx: Real, dy: Real, squared: Real) -> bool:
    """Turn unit u towards (dx, dy) if need be; returns whether its weapon bears."""
    along = w.body[u, FACE_X] * dx + w.body[u, FACE_Y] * dy
    bearing = w.stats[u, AIM_COS]
    if along > ZERO and along * along >= bearing * bearing * squared:
        return True
    distance = max(math.sqrt(squared), TINY)
    return turn(w, u, dx / distance, dy / distance) >= bearing


@inner
def fight(w: Battle, u: int, target: int) -> int:
    """One loop of attacking `target`: come into range, turn, swing, strike. Returns the unit's posture.

    A new attack needs the plain range; a running one, and a unit that waits for its weapon, bear with the slop.
    """
    dx = w.body[target, X] - w.body[u, X]
    dy = w.body[target, Y] - w.body[u, Y]
    squared = dx * dx + dy * dy
    reach = w.stats[u, RANGE] + w.stats[u, RADIUS] + w.stats[target, RADIUS]
    swinging = w.body[u, SWING] > ZERO
    if squared <= reach * reach:
        w.mind[u, ENGAGED] = target
    else:
        reach += w.stats[u, SLOP]
        lost = w.mind[u, ENGAGED] != target or squared > reach * reach
        if lost:
            drop_attack(w, u)
        if lost or not (swinging or w.body[u, COOLDOWN] > ZERO):
            walk(w, u, w.body[target, X], w.body[target, Y])
            return WALKING
    bears = aim(w, u, dx, dy, squared)
    if swinging:
        w.body[u, SWING] = max(w.body[u, SWING] - ONE, ZERO)
        if w.body[u, SWING] == ZERO:
            strike(w, u, target)
    elif bears and w.body[u, COOLDOWN] <= ZERO:
        chance = np.float32(draw(w) >> np.uint64(40)) * UNIFORM
        delay = w.stats[u, EARLIEST] + (w.stats[u, LATEST] - w.stats[u, EARLIEST]) * chance
        w.body[u, COOLDOWN] = w.stats[u, PERIOD] + delay
        w.body[u, SWING] = w.stats[u, SWING_TIME]
    return FIGHTING


@inner
def nearest(w: Battle, u: int) -> int:
    """The agent nearest to enemy u within its scan range, or -1."""
    found = -1
    x, y = w.body[u, X], w.body[u, Y]
    closest = FAR
    for v in range(w.n_agents):
        if w.alive[v]:
            dx, dy = w.body[v, X] - x, w.body[v, Y] - y
            squared = dx * dx + dy * dy
            if squared < closest:
                sight = w.stats[u, SCAN] + w.stats[u, RADIUS] + w.stats[v, RADIUS]
                if squared <= sight * sight:
                    closest = squared
                    found = v
    return found


@inner
def choose_target(w: Battle, u: int) -> int:
    """The target of an enemy that finds its own: the one it is shooting at, else the nearest in sight, else its prey.

    Prey, a target that has left the scan range, is chased as far as the leash allows.
    """
    target = w.mind[u, TARGET]
    known = target >= 0 and w.alive[target]
    if known and w.mind[u, ENGAGED] == target:
        dx = w.body[target, X] - w.body[u, X]
        dy = w.body[target, Y] - w.body[u, Y]
        limit = w.stats[u, RANGE] + w.stats[u, SLOP] + w.stats[u, RADIUS] + w.stats[target, RADIUS]
        if dx * dx + dy * dy <= limit * limit:
            return target
    chosen = nearest(w, u)
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
def act(w: Battle, u: int) -> int:
    """One loop of unit u's order; returns its posture."""
    order = w.mind[u, ORDER]
    target = -1
    if order == SCANNING:
        target = choose_target(w, u)
    elif order == ATTACKING:
        target = w.mind[u, TARGET]
        if not w.alive[target]:
            drop_attack(w, u)
            w.mind[u, ORDER] = IDLE
            return STANDING
    if target >= 0:
        return fight(w, u, target)
    if order == IDLE:
        return STANDING
    if walk(w, u, w.body[u, GOAL_X], w.body[u, GOAL_Y]):
        if order == MOVING:
            w.mind[u, ORDER] = IDLE
        return STANDING
    return WALKING


@inner
def go_round(w: Battle, u: int, normal_x: Real, normal_y: Real) -> None:
    """Note the ways along an obstacle if it stands in walker u's way; `normal` points from it to the walker.

    Of several obstacles the one that turns the walker furthest from its way counts: that way clears them all.
    """
    way_x, way_y = w.body[u, WAY_X], w.body[u, WAY_Y]
    if way_x * normal_x + way_y * normal_y >= ZERO:
        return
    along = way_y * normal_x - way_x * normal_y
    if along < w.body[u, LEFT_COS]:
        w.body[u, LEFT_COS] = along
        w.body[u, LEFT_X] = -normal_y
        w.body[u, LEFT_Y] = normal_x
    if -along < w.body[u, RIGHT_COS]:
        w.body[u, RIGHT_COS] = -along
        w.body[u, RIGHT_X] = normal_y
        w.body[u, RIGHT_Y] = -normal_x


@inner
def meet(w: Battle, i: int, j: int) -> None:
    """Push two units apart if their bodies overlap, and let a walker go round one that does not make way."""
    dx, dy = w.body[j, X] - w.body[i, X], w.body[j, Y] - w.body[i, Y]
    squared = dx * dx + dy * dy
    touch = w.stats[i, SEPARATION] + w.stats[j, SEPARATION]
    i_walks, j_walks = w.mind[i, POSTURE] == WALKING, w.mind[j, POSTURE] == WALKING
    rank = w.mind[j, POSTURE] - w.mind[i, POSTURE]
    if (i < w.n_agents) != (j < w.n_agents):
        rank = i_walks - j_walks  # nobody makes way for the other side
    near = squared < (touch + CLOSE) * (touch + CLOSE)
    i_held_up, j_held_up = near and i_walks and rank > 0, near and j_walks and rank < 0
    overlap = squared < (touch - GRAIN) * (touch - GRAIN)
    if not (overlap or i_held_up or j_held_up):
        return
    distance = math.sqrt(squared)
    normal_x, normal_y = ONE, ZERO
    if distance >= TINY:
        normal_x, normal_y = dx / distance, dy / distance
    if overlap:
        depth = touch - distance
        share = HALF if rank == 0 else (ONE if rank > 0 else ZERO)
        shift(w, i, -normal_x * depth * share, -normal_y * depth * share)
        shift(w, j, normal_x * depth * (ONE - share), normal_y * depth * (ONE - share))
    if i_held_up:
        go_round(w, i, -normal_x, -normal_y)
    elif j_held_up:
        go_round(w, j, normal_x, normal_y)


@inner
def line_up(w: Battle, count: int, direction: Real) -> None:
    """Sort the first `count` units of the line by `direction` * x; from loop to loop little changes."""
    for a in range(count):
        w.along[a] = direction * w.body[w.line[a], X]
    if count > FEW:
        for a in range(1, count):
            u, key = w.line[a], w.along[a]
            c = a
            while c > 0 and w.along[c - 1] > key:
                w.line[c], w.along[c] = w.line[c - 1], w.along[c - 1]
                c -= 1
            w.line[c], w.along[c] = u, key
    for a in range(count):
        w.across[a] = w.body[w.line[a], Y]


@inner
def collide(w: Battle, count: int, direction: Real) -> None:
    """Let the first `count` units of the line meet, each pair that is near enough once."""
    for a in range(count):
        u = w.line[a]
        w.body[u, LEFT_COS] = TWO
        w.body[u, RIGHT_COS] = TWO
        if w.mind[u, POSTURE] != WALKING:
            w.mind[u, SIDE] = 0
    line_up(w, count, direction)
    for a in range(count):
        for c in range(a + 1, count):
            ahead = w.along[c] - w.along[a]
            if count > FEW and ahead > w.widest:
                break
            aside = w.across[c] - w.across[a]
            if ahead * ahead + aside * aside < w.widest * w.widest:
                meet(w, w.line[a], w.line[c])


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
def play(w: Battle, loops: int) -> None:
    """Game loops of the battle: timers, then every unit in random order, then collisions."""
    direction = ONE if draw(w) >> np.uint64(63) else -ONE  # so that no side of the map is pushed first
    for u in range(w.alive.shape[0]):
        w.crowd[u] = u
        w.line[u] = u
    count = keep_living(w, w.crowd, w.alive.shape[0])
    living = keep_living(w, w.line, w.alive.shape[0])
    for _ in range(loops):
        for a in range(count):
            u = w.crowd[a]
            w.body[u, COOLDOWN] -= ONE
            w.body[u, HELP] -= ONE
        shuffle(w, w.crowd, count)
        for a in range(count):
            u = w.crowd[a]
            if w.alive[u]:
                w.mind[u, POSTURE] = act(w, u)
        count = keep_living(w, w.crowd, count)
        living = keep_living(w, w.line, living)
        collide(w, living, direction)


@inner
def take_orders(w: Battle, kind: Any, target: Any, goal_x: Any, goal_y: Any) -> None:
    """Replace the agents' running orders; the arguments are [n_agents]."""
    for u in range(w.n_agents):
        new = kind[u]
        if new == ATTACK_ORDER:
            if w.mind[u, ORDER] != ATTACKING or w.mind[u, TARGET] != target[u]:
                drop_attack(w, u)
            w.mind[u, ORDER] = ATTACKING
            w.mind[u, TARGET] = target[u]
        elif new == MOVE_ORDER:
            drop_attack(w, u)
            w.mind[u, ORDER] = MOVING
            w.body[u, GOAL_X] = goal_x[u]
            w.body[u, GOAL_Y] = goal_y[u]
        elif new == STOP_ORDER:
            drop_attack(w, u)
            w.mind[u, ORDER] = IDLE


@inner
def place(w: Battle, start: Any) -> None:
    """Put all units where and as they start, start [U, START_FIELDS]."""
    for u in range(w.alive.shape[0]):
        for field in range(N_BODY):
            w.body[u, field] = ZERO
        for field in range(len(START_FIELDS)):
            w.body[u, START_FIELDS[field]] = start[u, field]
        w.body[u, LEFT_COS] = TWO
        w.mind[u, ORDER] = IDLE if u < w.n_agents else SCANNING
        w.mind[u, TARGET] = -1
        w.mind[u, ENGAGED] = -1
        w.mind[u, SIDE] = 0
        w.mind[u, POSTURE] = STANDING
        w.alive[u] = True


@inner
def read(w: Battle, x: Any, y: Any, health: Any) -> None:
    """Take over what the public arrays [U] say: whoever sets up a situation writes there."""
    for u in range(w.alive.shape[0]):
        w.body[u, X] = x[u]
        w.body[u, Y] = y[u]
        w.body[u, HEALTH] = health[u]


@inner
def angle(x: Real, y: Real) -> Real:
    """atan2(y, x) to 2e-4 radians, several times faster."""
    wide, high = abs(x), abs(y)
    slope = min(wide, high) / max(max(wide, high), TINY)
    square = slope * slope
    result = slope + slope * square * (ATAN_3 + square * (ATAN_5 + square * ATAN_7))
    if high > wide:
        result = QUARTER_TURN - result
    if x < ZERO:
        result = TWO * QUARTER_TURN - result
    return -result if y < ZERO else result


@inner
def publish(w: Battle, x: Any, y: Any, health: Any, weapon_cooldown: Any, facing: Any) -> None:
    """Write the public arrays [U]."""
    for u in range(w.alive.shape[0]):
        x[u] = w.body[u, X]
        y[u] = w.body[u, Y]
        health[u] = w.body[u, HEALTH]
        weapon_cooldown[u] = max(w.body[u, COOLDOWN], ZERO)
        facing[u] = angle(w.body[u, FACE_X], w.body[u, FACE_Y])


@kernel
def advance(
    active: Any, anew: bool, start: Any, kind: Any, target: Any, goal_x: Any, goal_y: Any, loops: int,
    x: Any, y: Any, health: Any, weapon_cooldown: Any, facing: Any, alive: Any,
    body: Any, mind: Any, rng: Any, stats: Any, hit: Any, walkable: Any, roomy: Any, n_agents: int, widest: Real,
    crowd: Any, line: Any, along: Any, across: Any,
) -> None:  # fmt: skip
    """Give the orders [B, n_agents] and play `loops` loops of every active battle.

    With `anew` the battles begin from start [U, START_FIELDS] instead and play the one or two loops that pass before
    the agents first look.
    """
    for b in range(active.shape[0]):
        if active[b]:
            w = Battle(
                body[b], mind[b], alive[b], rng[b], stats, hit, walkable, roomy, n_agents, widest,
                crowd, line, along, across,
            )  # fmt: skip
            if anew:
                place(w, start)
                length = 1 + int(draw(w) >> np.uint64(63))
            else:
                read(w, x[b], y[b], health[b])
                take_orders(w, kind[b], target[b], goal_x[b], goal_y[b])
                length = loops
            play(w, length)
            publish(w, x[b], y[b], health[b], weapon_cooldown[b], facing[b])


_ROWS, _REALS = boolean[::1], float32[:, ::1]
_ORDERS = (int8[:, ::1], int16[:, ::1], _REALS, _REALS)
_PUBLIC = (_REALS, _REALS, _REALS, _REALS, _REALS, boolean[:, ::1])
_PRIVATE = (float32[:, :, ::1], int16[:, :, ::1], uint64[:, ::1])
_SCRATCH = (*[uint32[::1]] * 2, *[float32[::1]] * 2)
_TABLES = (_REALS, _REALS, boolean[:, ::1], boolean[:, ::1], int64, float32, *_SCRATCH)

SIGNATURE = (_ROWS, boolean, _REALS, *_ORDERS, int64, *_PUBLIC, *_PRIVATE, *_TABLES)


def compile_kernels() -> None:
    """Compile the kernel or load it from Numba's cache; a second call costs nothing."""
    if not advance.signatures:
        advance.compile(SIGNATURE)
        advance.disable_compile()

"""What the engine's compiled loops share: columns of the arrays, flags, constants, one battle's view, random numbers.

Numba's cache notices changes only in the file of the function it has cached; `kernel_cache` watches the other files.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

X, Y, HEALTH, COOLDOWN, SWING, FACE_X, FACE_Y, GOAL_X, GOAL_Y, HOME_X, HOME_Y, HELP = range(12)
SHIELD, WARD, ENERGY, PACE, BLOW, MISSILE_X, MISSILE_Y, MISSILE_PACE = range(12, 20)
BEAM_X, BEAM_Y, BEAM_DX, BEAM_DY, HEAD_X, HEAD_Y, FROM_X, FROM_Y, STEP, BEND = range(20, 30)
N_BODY = 30
"""COOLDOWN: loops until the next attack may start. SWING: loops until the damage point of the running attack, 0 if none
runs. FACE: unit vector. GOAL: where the order leads. HOME: where a chase began. HELP: loops until the unit may call for
help again. WARD: loops until the shield begins to grow. PACE: present speed of a unit that accelerates. BLOW: loops
until the rest of a channelled attack lands (a second blow, the end of a beam), 0 if none runs. MISSILE: place and speed
of the missile on its way. BEAM: centre and direction of the line that a beam burns. HEAD: where the unit walks in this
loop. FROM, STEP: where its latest step began and how long it was meant to be. BEND: the angle (radians, left above 0)
by which it leaves its way to get past someone."""

ORDER, TARGET, ENGAGED, SIDE, POSTURE, HITS, MISSILE, BLOW_AT, CLOSE_UP, SPENT, HEALS = range(11)
CELL, GOAL_CELL, NEXT_CELL, GLANCE = range(11, 15)
N_MIND = 15
"""ENGAGED: the target if it has been in weapon range since it was chosen, else -1. SIDE: on which side the unit goes
round what stands in its way (above 0 left, below 0 right, 0 undecided), falling to 0 once the way is free. HITS:
attacks landed or launched since the latest orders. MISSILE, BLOW_AT, HEALS: whom the missile, the channelled attack,
the healing beam is meant for, -1 if nobody. CLOSE_UP: the running attack uses the second, close weapon. SPENT: a living
bomb that has gone off. CELL, GOAL_CELL, NEXT_CELL: the latest answer of `ways`, -1 if none. GLANCE:
loops until a walker looks ahead again."""

IDLE, MOVING, ATTACKING, SCANNING, HUNTING, HEALING = range(6)
"""ORDER: stand; go to the goal; attack the target; go to the goal and attack what comes near (attack-move); attack the
other side wherever it is, one unit after the other; heal the target."""

SPEED, RANGE, SCAN, SLOP, RADIUS, CLEARANCE, PERIOD, SWING_TIME, REST, ARMOR = range(10)
TURN_COS, TURN_SIN, AIM_COS, EARLIEST, LATEST = range(10, 15)
HEALTH_MAX, SHIELD_MAX, REGROWTH, SHIELD_DELAY, SHIELD_GROWTH, ACCELERATION = range(15, 21)
MISSILE_SPEED, MISSILE_GAIN, SECOND_BLOW, BLAST_RADIUS, BEAM_LIFE, BEAM_STEP, BEAM_DELAY = range(21, 28)
CLOSE_RANGE, CLOSE_SWING, CLOSE_PERIOD = range(28, 31)
ENERGY_MAX, ENERGY_GROWTH, ENERGY_LEAST, HEAL_RATE, HEAL_COST, HEAL_SCAN = range(31, 37)
N_STATS = 37
"""TURN: the largest turn in a loop; AIM: the angle within which a weapon fires; EARLIEST, LATEST: random delay; REST:
the cooldown above which a shooter still stands in its backswing. Everything in cells and loops. A healer's RANGE and
AIM are those of its healing."""

GROUND, DELIVERY, SLOT, TURRET, FOLLOWS, APART = range(6)
N_TRAITS = 6
"""GROUND: WALKS, CLIMBS or FLIES. SLOT: row of `burns` of a unit with a beam. TURRET: its body needs no turning.
FOLLOWS: an enemy healer goes with its army. APART: tested for
collisions apart from the line, so that the line may be tested narrowly."""

WALKS, CLIMBS, FLIES = range(3)
UNARMED, INSTANT, MISSILES_FLY, BEAM, SUICIDE, HEALER = range(6)

DAMAGE, TOUCH, RANK = range(3)
N_PAIRS = 3
"""By pair of columns. DAMAGE: points of a hit before armour. TOUCH: distance at which the bodies touch, 0 if they pass
through each other. RANK: 0 the row's unit cannot attack (a healer: heal) the column's, else how much it prefers it."""
NO_THREAT, THREAT = np.float32(1.0), np.float32(2.0)

RECOVERY, MISSILES, BEAMS, BLASTS, HEALERS, SECOND_BLOWS, PICKY, MAZE, LAYERS, MOTION, SECOND_WEAPONS = (
    1 << bit for bit in range(11)
)
"""What of all this occurs on a map; what does not occur costs next to nothing. RECOVERY: shields, regrowth, energy.
PICKY: not everyone can attack everyone, or prefers some. MAZE: terrain that has to be walked round. LAYERS: bodies that
pass each other or cross what walkers cannot. MOTION: rooted, accelerating or turreted bodies."""

START_FIELDS = (X, Y, FACE_X, FACE_Y, GOAL_X, GOAL_Y, HEALTH, SHIELD, ENERGY)
"""What a battle starts with; all other numbers of the body start at 0."""

STANDING, WALKING, FIGHTING = range(3)
"""Postures, in the order in which friends make way: who stands yields to who walks, both to who fights."""

STOP_ORDER, MOVE_ORDER, ATTACK_ORDER, HEAL_ORDER = 1, 2, 3, 4
"""Kinds of orders that do something here; the values are those of `engine`."""

PAD = 2
"""Rows of blocked cells round the engine's copy of the terrain: nothing moves further in a loop."""
MARGIN = np.float32(PAD)
BLOCKED, NARROW, ROOMY = range(3)
"""Cells: not to be stood on; to be tested for walls near by; all neighbours are free too."""

CALL_RADIUS = np.float32(4.0)
CALL_PERIOD = np.float32(32.0)
LEASH = np.float32(21.0)
BEAM_HALF = np.float32(1.25)
BEAM_SPACING = np.float32(0.25)
BEAM_POINTS = 11
BEAM_WIDTH = np.float32(0.15)
WALL_GAP = np.float32(1.0 / 1024.0)
LOOK = np.float32(2.5)
"""How far ahead a walker sees who stands in its way, in cells between the bodies."""
SLIT = np.float32(0.02)
"""A gap of so many radians is none."""
PATIENCE = 2
"""Loops that a walker whose way is free goes without looking ahead, unless it bumps into someone."""
MEMORY = 8
"""Loops for which a walker remembers on which side it has gone round something."""
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
_BARE: dict[str, Any] = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""For what is only called by kernels."""
inner = njit(forceinline=True, **_BARE)
called = njit(**_BARE)
"""For what happens rarely: not inlined by force, which saves time of compilation."""
kernel = njit(cache=True, nogil=True, **_OPTIONS)

Real = Any
"""A float32 inside the kernels."""


class Battle(NamedTuple):
    """One battle and the tables all battles share. U unit columns: agents first, then enemies.

    body [U, N_BODY] float32; mind [U, N_MIND] int16; alive [U] bool; rng [4] uint64: the battle's own xoshiro256++
    state; burns [C, 2, U] int8: for the two sweeps of each of C beams, loops until the touched unit is hurt, -1 when it
    has been; stats [U, N_STATS] float32, traits [U, N_TRAITS] int16 of each column's unit type; pairs [N_PAIRS, U, U]
    float32; ground [3, w + 2 PAD, h + 2 PAD] uint8: cells for those who walk, climb, fly; ways [cells, cells] int16:
    the next waypoint of a walker; features: what occurs on the map; widest: no bodies of the line that
    are further apart meet.
    Scratch: crowd, line [U] uint32: units in random order and, but for those APART, in order of x (unsigned, which
    spares a test for negative indices); still [U + 1] uint32: those that did not walk in the loop before, their number
    last; along, across [U] float32: where those of the line were before they met, and angles that walkers cannot take.
    """

    body: Any
    mind: Any
    alive: Any
    rng: Any
    burns: Any
    stats: Any
    traits: Any
    pairs: Any
    ground: Any
    ways: Any
    n_agents: int
    features: int
    widest: Real
    crowd: Any
    line: Any
    still: Any
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
def uniform(w: Battle) -> Real:
    """A random number in [0, 1)."""
    return np.float32(draw(w) >> np.uint64(40)) * UNIFORM


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
def has(w: Battle, feature: int) -> bool:
    """Whether something occurs on the map."""
    return (w.features & feature) != 0


@inner
def head_for(w: Battle, u: int, x: Real, y: Real) -> int:
    """Let unit u walk towards a point in this loop; returns the posture."""
    w.body[u, HEAD_X] = x
    w.body[u, HEAD_Y] = y
    return WALKING


@inner
def squared_distance(w: Battle, u: int, v: int) -> Real:
    """Square of the distance between two units' centres."""
    dx, dy = w.body[v, X] - w.body[u, X], w.body[v, Y] - w.body[u, Y]
    return dx * dx + dy * dy


@inner
def other_side(w: Battle, u: int) -> tuple[int, int]:
    """First column, and the one after the last, of the units that unit u fights."""
    if u < w.n_agents:
        return w.n_agents, w.alive.shape[0]
    return 0, w.n_agents


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

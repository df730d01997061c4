"""Compiled: turning, walking round terrain and bodies, pushing."""

import math

import numpy as np

from skirmish.engine_layout import (
    ACCELERATION,
    APART,
    BLOCKED,
    CELL,
    CLEARANCE,
    CLOSE,
    FACE_X,
    FACE_Y,
    FEW,
    FROM_X,
    FROM_Y,
    GOAL_CELL,
    GRAIN,
    GROUND,
    HALF,
    LAYERS,
    LEFT_COS,
    LEFT_X,
    LEFT_Y,
    MARGIN,
    MAZE,
    MEMORY,
    MOTION,
    NEXT_CELL,
    ONE,
    PACE,
    PAD,
    POSTURE,
    RIGHT_COS,
    RIGHT_X,
    RIGHT_Y,
    ROOMY,
    SIDE,
    SPEED,
    STEP,
    TINY,
    TOUCH,
    TURN_COS,
    TURN_SIN,
    TURRET,
    TWO,
    WALKING,
    WALKS,
    WALL_GAP,
    WAY_X,
    WAY_Y,
    ZERO,
    Battle,
    Real,
    X,
    Y,
    called,
    has,
    inner,
)


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
def stride(w: Battle, u: int, way_x: Real, way_y: Real) -> Real:
    """How far unit u gets in this loop along a unit vector, turning on the way.

    A unit that has not finished turning moves by the component of its facing along its way; one that accelerates keeps
    the component of its velocity.
    """
    speed = w.stats[u, SPEED]
    if has(w, MOTION):
        if w.stats[u, ACCELERATION] > ZERO:
            kept = w.body[u, PACE] * max(ZERO, w.body[u, FACE_X] * way_x + w.body[u, FACE_Y] * way_y)
            speed = min(speed, kept + w.stats[u, ACCELERATION])
            w.body[u, PACE] = speed
        if w.traits[u, TURRET]:
            turn(w, u, way_x, way_y)
            return speed
    return speed * max(ZERO, turn(w, u, way_x, way_y))


@inner
def blocked(w: Battle, kind: int, x: Real, y: Real, clearance: Real) -> bool:
    """Whether a square of half width `clearance` round (x, y) touches ground that this kind of unit cannot be on."""
    left, right = int(x - clearance + MARGIN), int(x + clearance + MARGIN)
    low, high = int(y - clearance + MARGIN), int(y + clearance + MARGIN)
    if clearance > HALF:  # a wall of one cell has room between the corners of a wide body
        column, row = int(x + MARGIN), int(y + MARGIN)
        if (
            w.ground[kind, left, row] == BLOCKED
            or w.ground[kind, right, row] == BLOCKED
            or w.ground[kind, column, low] == BLOCKED
            or w.ground[kind, column, high] == BLOCKED
        ):
            return True
    return (
        w.ground[kind, left, low] == BLOCKED
        or w.ground[kind, left, high] == BLOCKED
        or w.ground[kind, right, low] == BLOCKED
        or w.ground[kind, right, high] == BLOCKED
    )


@inner
def shift(w: Battle, u: int, dx: Real, dy: Real) -> None:
    """Move unit u by (dx, dy), less than a cell each, as far as the terrain lets it, sliding along walls."""
    x, y = w.body[u, X], w.body[u, Y]
    new_x, new_y = x + dx, y + dy
    kind = int(w.traits[u, GROUND]) if has(w, LAYERS) else WALKS
    if w.ground[kind, int(new_x + MARGIN), int(new_y + MARGIN)] != ROOMY:
        clearance = w.stats[u, CLEARANCE]
        if blocked(w, kind, new_x, y, clearance):
            if dx > ZERO:
                new_x = max(x, np.float32(int(new_x + clearance)) - clearance - WALL_GAP)
            else:
                new_x = min(x, np.float32(int(new_x - clearance)) + ONE + clearance)
        if blocked(w, kind, new_x, new_y, clearance):
            if dy > ZERO:
                new_y = max(y, np.float32(int(new_y + clearance)) - clearance - WALL_GAP)
            else:
                new_y = min(y, np.float32(int(new_y - clearance)) + ONE + clearance)
    w.body[u, X] = new_x
    w.body[u, Y] = new_y


@inner
def cell_of(w: Battle, x: Real, y: Real) -> int:
    """Index of the cell of a point, of the nearest one if the point lies off the map."""
    width, height = w.ground.shape[1] - 2 * PAD, w.ground.shape[2] - 2 * PAD
    return min(max(int(x), 0), width - 1) * height + min(max(int(y), 0), height - 1)


@inner
def waypoint(w: Battle, u: int, to_x: Real, to_y: Real) -> tuple[Real, Real, bool]:
    """Where a walker should head for on its way to a point, and whether that is the point itself."""
    here, there = cell_of(w, w.body[u, X], w.body[u, Y]), cell_of(w, to_x, to_y)
    if w.mind[u, CELL] != here or w.mind[u, GOAL_CELL] != there:
        w.mind[u, CELL] = here
        w.mind[u, GOAL_CELL] = there
        w.mind[u, NEXT_CELL] = w.ways[here, there]  # far off in memory
    step = int(w.mind[u, NEXT_CELL])
    if step in (-1, here, there):
        return to_x, to_y, True
    height = w.ground.shape[2] - 2 * PAD
    return np.float32(step // height) + HALF, np.float32(step % height) + HALF, False


@inner
def choose_side(w: Battle, u: int, squared_progress: Real) -> bool:
    """Whether unit u passes what stands in its way on the left: where the way is shorter, until it gets stuck there.

    Whoever has turned back, from a wall or someone who came the other way, sticks to that for a while.
    """
    side = int(w.mind[u, SIDE])
    left = side > 0
    if side == 0:
        left = w.body[u, LEFT_COS] >= w.body[u, RIGHT_COS]
    elif abs(side) > MEMORY:
        w.mind[u, SIDE] = side - 1 if left else side + 1
        return left
    elif squared_progress < HALF * HALF * w.body[u, STEP] * w.body[u, STEP]:
        w.mind[u, SIDE] = -2 * MEMORY if left else 2 * MEMORY
        return not left
    w.mind[u, SIDE] = MEMORY if left else -MEMORY
    return left


@inner
def walk(w: Battle, u: int, goal_x: Real, goal_y: Real) -> bool:
    """Walk one loop towards a point, round what is in the way; returns whether the unit is there."""
    x, y = w.body[u, X], w.body[u, Y]
    to_x, to_y, last = goal_x, goal_y, True
    if has(w, MAZE) and w.traits[u, GROUND] == WALKS:
        to_x, to_y, last = waypoint(w, u, goal_x, goal_y)
    dx, dy = to_x - x, to_y - y
    distance = math.sqrt(dx * dx + dy * dy)
    if distance < TINY:
        return last
    way_x, way_y = dx / distance, dy / distance
    w.body[u, WAY_X] = way_x
    w.body[u, WAY_Y] = way_y
    came_x, came_y = x - w.body[u, FROM_X], y - w.body[u, FROM_Y]
    w.body[u, FROM_X] = x
    w.body[u, FROM_Y] = y
    if w.body[u, LEFT_COS] < TWO:
        left = choose_side(w, u, came_x * came_x + came_y * came_y)
        along_x = w.body[u, LEFT_X] if left else w.body[u, RIGHT_X]
        along_y = w.body[u, LEFT_Y] if left else w.body[u, RIGHT_Y]
        step = stride(w, u, along_x, along_y)
        w.body[u, STEP] = step
        shift(w, u, along_x * step, along_y * step)
        return False
    if w.mind[u, SIDE] != 0:
        w.mind[u, SIDE] += -1 if w.mind[u, SIDE] > 0 else 1
    step = stride(w, u, way_x, way_y)
    w.body[u, STEP] = step
    if distance <= step:
        shift(w, u, dx, dy)
        return last
    shift(w, u, way_x * step, way_y * step)
    return False


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
def push(w: Battle, u: int, dx: Real, dy: Real) -> None:
    """Shift a unit that something presses against; the rooted stay where they are."""
    if not (has(w, MOTION) and w.stats[u, SPEED] == ZERO):
        shift(w, u, dx, dy)


@inner
def meet(w: Battle, i: int, j: int) -> None:
    """Push two units apart if their bodies overlap, and let a walker go round one that does not make way."""
    dx, dy = w.body[j, X] - w.body[i, X], w.body[j, Y] - w.body[i, Y]
    squared = dx * dx + dy * dy
    touch = w.pairs[TOUCH, i, j]
    if squared >= (touch + CLOSE) * (touch + CLOSE) or touch == ZERO:
        return
    i_walks, j_walks = w.mind[i, POSTURE] == WALKING, w.mind[j, POSTURE] == WALKING
    rank = w.mind[j, POSTURE] - w.mind[i, POSTURE]
    if (i < w.n_agents) != (j < w.n_agents):
        rank = i_walks - j_walks  # nobody makes way for the other side
    i_held_up, j_held_up = i_walks and rank > 0, j_walks and rank < 0
    overlap = squared < (touch - GRAIN) * (touch - GRAIN)
    if not (overlap or i_held_up or j_held_up):
        return
    distance = math.sqrt(squared)
    normal_x, normal_y = ONE, ZERO
    if distance >= TINY:
        normal_x, normal_y = dx / distance, dy / distance
    if overlap:
        depth = min(touch - distance, HALF)
        share = HALF if rank == 0 else (ONE if rank > 0 else ZERO)
        push(w, i, -normal_x * depth * share, -normal_y * depth * share)
        push(w, j, normal_x * depth * (ONE - share), normal_y * depth * (ONE - share))
    if i_held_up:
        go_round(w, i, -normal_x, -normal_y)
    elif j_held_up:
        go_round(w, j, normal_x, normal_y)


@inner
def line_up(w: Battle, count: int, direction: Real) -> None:
    """Sort the first `count` units of the line by `direction` * x, equal ones by column; little changes in a loop."""
    for a in range(count):
        w.along[a] = direction * w.body[w.line[a], X]
    if count > FEW:
        for a in range(1, count):
            u, key = w.line[a], w.along[a]
            c = a
            while c > 0 and (w.along[c - 1] > key or (w.along[c - 1] == key and w.line[c - 1] > u)):
                w.line[c], w.along[c] = w.line[c - 1], w.along[c - 1]
                c -= 1
            w.line[c], w.along[c] = u, key
    for a in range(count):
        w.across[a] = w.body[w.line[a], Y]


@inner
def clear_way(w: Battle, u: int) -> None:
    """Forget what stood in unit u's way."""
    w.body[u, LEFT_COS] = TWO
    w.body[u, RIGHT_COS] = TWO
    if w.mind[u, POSTURE] != WALKING:
        w.mind[u, SIDE] = 0


@called
def meet_apart(w: Battle) -> None:
    """Let those that stand apart from the line meet everyone."""
    for u in range(w.alive.shape[0]):
        if w.alive[u] and w.traits[u, APART]:
            clear_way(w, u)
    for u in range(w.alive.shape[0]):
        if w.alive[u] and w.traits[u, APART]:
            for v in range(w.alive.shape[0]):
                if w.alive[v] and w.pairs[TOUCH, u, v] > ZERO and (v > u or not w.traits[v, APART]):
                    meet(w, min(u, v), max(u, v))


@inner
def collide(w: Battle, count: int, direction: Real) -> None:
    """Let the first `count` units of the line meet, each pair that is near enough once."""
    for a in range(count):
        clear_way(w, w.line[a])
    if has(w, LAYERS):
        meet_apart(w)
    line_up(w, count, direction)
    for a in range(count):
        for c in range(a + 1, count):
            ahead = w.along[c] - w.along[a]
            if count > FEW and ahead > w.widest:
                break
            aside = w.across[c] - w.across[a]
            if ahead * ahead + aside * aside < w.widest * w.widest:
                meet(w, w.line[a], w.line[c])

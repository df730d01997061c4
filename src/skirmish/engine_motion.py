"""Compiled: turning, walking round terrain and bodies, pushing."""

import math

import numpy as np

from skirmish.engine_layout import (
    ACCELERATION,
    APART,
    BEND,
    BLOCKED,
    CELL,
    CLEARANCE,
    FACE_X,
    FACE_Y,
    FEW,
    FIGHTING,
    FROM_X,
    FROM_Y,
    GLANCE,
    GOAL_CELL,
    GRAIN,
    GROUND,
    HALF,
    LAYERS,
    LOOK,
    MARGIN,
    MAZE,
    MEMORY,
    MOTION,
    NEXT_CELL,
    ONE,
    PACE,
    PAD,
    PATIENCE,
    POSTURE,
    QUARTER_TURN,
    ROOMY,
    SIDE,
    SLIT,
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
    ZERO,
    Battle,
    Real,
    X,
    Y,
    angle,
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
def in_the_way(w: Battle, u: int, v: int) -> bool:
    """Whether walker u has to go round v: a friend who fights, or an opponent who does not walk."""
    if v == u or not w.alive[v] or w.pairs[TOUCH, u, v] == ZERO:
        return False
    if (u < w.n_agents) == (v < w.n_agents):
        return w.mind[v, POSTURE] == FIGHTING
    return w.mind[v, POSTURE] != WALKING


@inner
def held_up(w: Battle, u: int, way_x: Real, way_y: Real, distance: Real) -> bool:
    """Whether someone stands in the way of walker u before the point that it heads for."""
    x, y = w.body[u, X], w.body[u, Y]
    for a in range(w.still[w.alive.shape[0]]):
        v = w.still[a]
        dx, dy = w.body[v, X] - x, w.body[v, Y] - y
        along = dx * way_x + dy * way_y
        if along <= ZERO or along >= distance:
            continue
        aside = dx * way_y - dy * way_x
        touch = w.pairs[TOUCH, u, v]
        if aside < touch and aside > -touch and along < LOOK + touch and in_the_way(w, u, v):
            return True
    return False


@called
def way_round(w: Battle, u: int, way_x: Real, way_y: Real, distance: Real) -> tuple[Real, Real]:
    """Angles from the way, to the left and to the right, at which walker u gets past all who stand in its way.

    Who is near hides an angle on both sides of it; angles that overlap leave no gap between them.
    """
    x, y = w.body[u, X], w.body[u, Y]
    count = 0
    for a in range(w.still[w.alive.shape[0]]):
        v = w.still[a]
        if not in_the_way(w, u, v):
            continue
        dx, dy = w.body[v, X] - x, w.body[v, Y] - y
        touch = w.pairs[TOUCH, u, v]
        squared = dx * dx + dy * dy
        if squared > (LOOK + touch) * (LOOK + touch) or squared > (distance + touch) * (distance + touch):
            continue
        w.along[count] = angle(way_x * dx + way_y * dy, way_x * dy - way_y * dx)
        w.across[count] = angle(math.sqrt(max(squared - touch * touch, ZERO)), touch)
        count += 1
    left, right = ZERO, ZERO
    for _ in range(count):
        before_left, before_right = left, right
        for a in range(count):
            if w.along[a] - w.across[a] < left + SLIT and w.along[a] + w.across[a] > left:
                left = w.along[a] + w.across[a]
            if w.along[a] + w.across[a] > right - SLIT and w.along[a] - w.across[a] < right:
                right = w.along[a] - w.across[a]
        if left == before_left and right == before_right:
            break
    return left, -right


@inner
def choose_side(w: Battle, u: int, left_angle: Real, right_angle: Real, squared_progress: Real) -> bool:
    """Whether unit u passes what stands in its way on the left: where the way is shorter, until it gets stuck there.

    Whoever has turned back, from a wall or someone who came the other way, sticks to that for a while.
    """
    side = int(w.mind[u, SIDE])
    left = side > 0
    if side == 0:
        left = left_angle <= right_angle
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
    came_x, came_y = x - w.body[u, FROM_X], y - w.body[u, FROM_Y]
    w.body[u, FROM_X] = x
    w.body[u, FROM_Y] = y
    w.mind[u, GLANCE] -= 1
    if w.mind[u, GLANCE] < 0:
        w.mind[u, GLANCE] = PATIENCE
        w.body[u, BEND] = ZERO
        if held_up(w, u, way_x, way_y, distance - TINY):
            left_angle, right_angle = way_round(w, u, way_x, way_y, distance)
            left = choose_side(w, u, left_angle, right_angle, came_x * came_x + came_y * came_y)
            w.body[u, BEND] = left_angle if left else -right_angle
            w.mind[u, GLANCE] = 0
    bend = w.body[u, BEND]
    if bend != ZERO:
        if abs(bend) > TWO * QUARTER_TURN:
            w.body[u, STEP] = ZERO
            return False
        cosine, sine = math.cos(bend), math.sin(bend)
        along_x, along_y = way_x * cosine - way_y * sine, way_x * sine + way_y * cosine
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
def push(w: Battle, u: int, dx: Real, dy: Real) -> None:
    """Shift a unit that something presses against; the rooted stay where they are."""
    if not (has(w, MOTION) and w.stats[u, SPEED] == ZERO):
        shift(w, u, dx, dy)


@inner
def meet(w: Battle, i: int, j: int) -> None:
    """Push two units apart if their bodies overlap."""
    dx, dy = w.body[j, X] - w.body[i, X], w.body[j, Y] - w.body[i, Y]
    squared = dx * dx + dy * dy
    touch = w.pairs[TOUCH, i, j]
    if touch == ZERO or squared >= (touch - GRAIN) * (touch - GRAIN):
        return
    i_walks, j_walks = w.mind[i, POSTURE] == WALKING, w.mind[j, POSTURE] == WALKING
    rank = w.mind[j, POSTURE] - w.mind[i, POSTURE]
    if (i < w.n_agents) != (j < w.n_agents):
        rank = i_walks - j_walks  # nobody makes way for the other side
    distance = math.sqrt(squared)
    normal_x, normal_y = ONE, ZERO
    if distance >= TINY:
        normal_x, normal_y = dx / distance, dy / distance
    if i_walks and rank > 0 and w.body[i, BEND] == ZERO:
        w.mind[i, GLANCE] = 0
    if j_walks and rank < 0 and w.body[j, BEND] == ZERO:
        w.mind[j, GLANCE] = 0
    depth = min(touch - distance, HALF)
    share = HALF if rank == 0 else (ONE if rank > 0 else ZERO)
    push(w, i, -normal_x * depth * share, -normal_y * depth * share)
    push(w, j, normal_x * depth * (ONE - share), normal_y * depth * (ONE - share))


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


@called
def meet_apart(w: Battle) -> None:
    """Let those that stand apart from the line meet everyone."""
    for u in range(w.alive.shape[0]):
        if w.alive[u] and w.traits[u, APART]:
            for v in range(w.alive.shape[0]):
                if w.alive[v] and w.pairs[TOUCH, u, v] > ZERO and (v > u or not w.traits[v, APART]):
                    meet(w, min(u, v), max(u, v))


@inner
def collide(w: Battle, count: int, direction: Real) -> None:
    """Let the first `count` units of the line meet, each pair that is near enough once."""
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

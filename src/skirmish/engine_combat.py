"""Compiled: hits, shields, missiles, beams, blasts, healing, and what a victim does about it."""

import math

import numpy as np

from skirmish.engine_layout import (
    AIM_COS,
    ARMOR,
    BEAM,
    BEAM_DELAY,
    BEAM_DX,
    BEAM_DY,
    BEAM_HALF,
    BEAM_LIFE,
    BEAM_POINTS,
    BEAM_SPACING,
    BEAM_STEP,
    BEAM_WIDTH,
    BEAM_X,
    BEAM_Y,
    BEAMS,
    BLAST_RADIUS,
    BLOW,
    BLOW_AT,
    CALL_PERIOD,
    CALL_RADIUS,
    CLOSE_PERIOD,
    CLOSE_RANGE,
    CLOSE_SWING,
    CLOSE_UP,
    COOLDOWN,
    DAMAGE,
    DELIVERY,
    EARLIEST,
    ENERGY,
    ENGAGED,
    FACE_X,
    FACE_Y,
    FIGHTING,
    HALF,
    HEAL_COST,
    HEAL_RATE,
    HEALER,
    HEALS,
    HEALTH,
    HEALTH_MAX,
    HELP,
    HITS,
    HOME_X,
    HOME_Y,
    LATEST,
    MISSILE,
    MISSILE_GAIN,
    MISSILE_PACE,
    MISSILE_SPEED,
    MISSILE_X,
    MISSILE_Y,
    MISSILES,
    MISSILES_FLY,
    ONE,
    PERIOD,
    PICKY,
    RADIUS,
    RANGE,
    RANK,
    RECOVERY,
    REST,
    SECOND_BLOW,
    SECOND_BLOWS,
    SECOND_WEAPONS,
    SHIELD,
    SHIELD_DELAY,
    SLOP,
    SLOT,
    SPENT,
    SUICIDE,
    SWING,
    SWING_TIME,
    TARGET,
    TINY,
    WARD,
    ZERO,
    Battle,
    Real,
    X,
    Y,
    called,
    has,
    head_for,
    inner,
    other_side,
    squared_distance,
    uniform,
)
from skirmish.engine_motion import turn


@inner
def lose_aim(w: Battle, u: int) -> None:
    """Stop aiming; an attack that has not reached its damage point costs no cooldown."""
    if w.body[u, SWING] > ZERO:
        w.body[u, SWING] = ZERO
        w.body[u, COOLDOWN] = ZERO
    w.mind[u, ENGAGED] = -1


@inner
def drop_attack(w: Battle, u: int) -> None:
    """End the attack for another order or target, and with it what of it is channelled."""
    lose_aim(w, u)
    if has(w, SECOND_BLOWS | BEAMS):
        w.mind[u, BLOW_AT] = -1


@inner
def provoke(w: Battle, u: int, attacker: int) -> None:
    """Let an enemy that has no target hunt the attacker if it can."""
    if w.mind[u, TARGET] < 0 and not (has(w, PICKY) and w.pairs[RANK, u, attacker] == ZERO):
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
        if w.alive[u] and squared_distance(w, u, victim) <= CALL_RADIUS * CALL_RADIUS:
            provoke(w, u, attacker)


@inner
def strike(w: Battle, u: int, target: int) -> None:
    """One hit of unit u: the shield takes what it can, armour softens the rest, half a point at least gets through."""
    points = w.pairs[DAMAGE, u, target]
    if has(w, RECOVERY):
        taken = min(w.body[target, SHIELD], points)
        w.body[target, SHIELD] -= taken
        w.body[target, WARD] = w.stats[target, SHIELD_DELAY]
        points -= taken
    health = w.body[target, HEALTH]
    if points > ZERO:
        health = max(health - max(points - w.stats[target, ARMOR], HALF), ZERO)
        w.body[target, HEALTH] = health
    if health == ZERO:
        w.alive[target] = False
    elif target >= w.n_agents and w.alive[u]:
        call_for_help(w, target, u)


@called
def strike_later(w: Battle, u: int, target: int) -> None:
    """A hit that was not due at once."""
    strike(w, u, target)


@inner
def launch(w: Battle, u: int, target: int) -> None:
    """Send a missile off from the edge of unit u."""
    dx, dy = w.body[target, X] - w.body[u, X], w.body[target, Y] - w.body[u, Y]
    ahead = w.stats[u, RADIUS] / max(math.sqrt(dx * dx + dy * dy), w.stats[u, RADIUS])
    w.mind[u, MISSILE] = target
    w.body[u, MISSILE_X] = w.body[u, X] + dx * ahead
    w.body[u, MISSILE_Y] = w.body[u, Y] + dy * ahead
    w.body[u, MISSILE_PACE] = w.stats[u, MISSILE_SPEED]


@called
def fly(w: Battle) -> None:
    """One loop of all missiles: each follows its target and is lost when that dies."""
    for u in range(w.alive.shape[0]):
        target = int(w.mind[u, MISSILE])
        if target < 0:
            continue
        if not w.alive[target]:
            w.mind[u, MISSILE] = -1
            continue
        dx, dy = w.body[target, X] - w.body[u, MISSILE_X], w.body[target, Y] - w.body[u, MISSILE_Y]
        distance, pace = math.sqrt(dx * dx + dy * dy), w.body[u, MISSILE_PACE]
        if distance - w.stats[target, RADIUS] <= pace:
            w.mind[u, MISSILE] = -1
            strike_later(w, u, target)
        else:
            w.body[u, MISSILE_X] += dx / distance * pace
            w.body[u, MISSILE_Y] += dy / distance * pace
            w.body[u, MISSILE_PACE] = pace + w.stats[u, MISSILE_GAIN]


@inner
def ignite(w: Battle, u: int, target: int) -> None:
    """Begin the two sweeps of a beam along the line through the target, across the shot."""
    dx, dy = w.body[target, X] - w.body[u, X], w.body[target, Y] - w.body[u, Y]
    distance = max(math.sqrt(dx * dx + dy * dy), TINY)
    w.body[u, BEAM_X] = w.body[target, X]
    w.body[u, BEAM_Y] = w.body[target, Y]
    w.body[u, BEAM_DX] = -dy / distance
    w.body[u, BEAM_DY] = dx / distance
    w.body[u, BLOW] = w.stats[u, BEAM_LIFE]
    w.mind[u, BLOW_AT] = target
    slot = w.traits[u, SLOT]
    for v in range(w.alive.shape[0]):
        w.burns[slot, 0, v] = 0
        w.burns[slot, 1, v] = 0


@called
def sweep(w: Battle, u: int, first: int, last: int) -> None:
    """Touch with the points `first` to `last` - 1 of both sweeps; the touched are hurt a little later."""
    slot, primary = w.traits[u, SLOT], w.mind[u, BLOW_AT]
    begin, end = other_side(w, u)
    for v in range(begin, end):
        if not w.alive[v] or v == primary or w.pairs[RANK, u, v] == ZERO:
            continue
        dx, dy = w.body[v, X] - w.body[u, BEAM_X], w.body[v, Y] - w.body[u, BEAM_Y]
        aside = dx * w.body[u, BEAM_DY] - dy * w.body[u, BEAM_DX]
        along = dx * w.body[u, BEAM_DX] + dy * w.body[u, BEAM_DY]
        near = w.stats[v, RADIUS] + BEAM_WIDTH
        if abs(aside) > near or abs(along) > BEAM_HALF + near:
            continue
        for point in range(first, last):
            place = BEAM_SPACING * np.float32(point) - BEAM_HALF
            for way in range(2):
                gap = along - place if way == 0 else along + place
                if w.burns[slot, way, v] == 0 and gap * gap + aside * aside <= near * near:
                    w.burns[slot, way, v] = np.int8(w.stats[u, BEAM_DELAY])


@inner
def burn(w: Battle, u: int) -> None:
    """One loop of unit u's beam: the sweeps go on, and when it ends both hurt the target."""
    left = w.body[u, BLOW]
    if left <= ZERO:
        target = int(w.mind[u, BLOW_AT])
        w.mind[u, BLOW_AT] = -1
        for _ in range(2):
            if w.alive[target]:
                strike_later(w, u, target)
        return
    since, step = w.stats[u, BEAM_LIFE] - left, w.stats[u, BEAM_STEP]
    first = math.ceil(since / step)
    last = min(math.ceil((since + ONE) / step), BEAM_POINTS)
    if first < last:
        sweep(w, u, first, last)
    w.body[u, BLOW] = left - ONE


@called
def scorch(w: Battle) -> None:
    """One loop of the hurts that the sweeps have left behind."""
    for u in range(w.alive.shape[0]):
        if w.traits[u, DELIVERY] != BEAM:
            continue
        slot = w.traits[u, SLOT]
        begin, end = other_side(w, u)
        for v in range(begin, end):
            for way in range(2):
                left = w.burns[slot, way, v]
                if left > 0:
                    w.burns[slot, way, v] = left - 1 if left > 1 else -1
                    if left == 1 and w.alive[v]:
                        strike_later(w, u, v)


@inner
def follow_up(w: Battle, u: int) -> None:
    """One loop of waiting for the second blow, which falls if the target still lives."""
    w.body[u, BLOW] -= ONE
    if w.body[u, BLOW] <= ZERO:
        target = int(w.mind[u, BLOW_AT])
        w.mind[u, BLOW_AT] = -1
        if w.alive[target]:
            strike_later(w, u, target)


@called
def detonate(w: Battle) -> None:
    """Let living bombs that have died go off, and those that die of it."""
    again = True
    while again:
        again = False
        for u in range(w.alive.shape[0]):
            if w.alive[u] or w.traits[u, DELIVERY] != SUICIDE or w.mind[u, SPENT]:
                continue
            w.mind[u, SPENT] = 1
            again = True
            begin, end = other_side(w, u)
            for v in range(begin, end):
                reach = w.stats[u, BLAST_RADIUS] + w.stats[v, RADIUS]
                if w.alive[v] and w.pairs[RANK, u, v] > ZERO and squared_distance(w, u, v) <= reach * reach:
                    strike_later(w, u, v)


@inner
def release(w: Battle, u: int, target: int) -> None:
    """What happens at the damage point."""
    w.mind[u, HITS] += 1
    delivery = w.traits[u, DELIVERY]
    if has(w, MISSILES) and delivery == MISSILES_FLY and not (has(w, SECOND_WEAPONS) and w.mind[u, CLOSE_UP]):
        launch(w, u, target)
    elif has(w, BEAMS) and delivery == BEAM:
        ignite(w, u, target)
    else:
        strike(w, u, target)
        if has(w, SECOND_BLOWS) and w.stats[u, SECOND_BLOW] > ZERO:
            w.body[u, BLOW] = w.stats[u, SECOND_BLOW]
            w.mind[u, BLOW_AT] = target


@inner
def begin_attack(w: Battle, u: int, target: int, squared: Real) -> None:
    """Swing: set the cooldown with its random delay and the time to the damage point."""
    period, swing = w.stats[u, PERIOD], w.stats[u, SWING_TIME]
    if has(w, SECOND_WEAPONS):
        near = w.stats[u, CLOSE_RANGE] + w.stats[u, RADIUS] + w.stats[target, RADIUS]
        close_up = w.stats[u, CLOSE_RANGE] > ZERO and squared <= near * near
        w.mind[u, CLOSE_UP] = close_up
        if close_up:
            period, swing = w.stats[u, CLOSE_PERIOD], w.stats[u, CLOSE_SWING]
    delay = w.stats[u, EARLIEST] + (w.stats[u, LATEST] - w.stats[u, EARLIEST]) * uniform(w)
    late = w.body[u, COOLDOWN] if w.body[u, COOLDOWN] > -ONE else ZERO  # attacks start on whole loops; make up for it
    w.body[u, COOLDOWN] = late + period + delay
    w.body[u, SWING] = swing


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

    A new attack needs the plain range; a running one, and a shooter's backswing after it, bear with the slop.
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
            lose_aim(w, u)
        if lost or not (swinging or w.body[u, COOLDOWN] > w.stats[u, REST]):
            return head_for(w, u, w.body[target, X], w.body[target, Y])
    if w.traits[u, DELIVERY] == SUICIDE:
        w.mind[u, HITS] += 1
        w.body[u, HEALTH] = ZERO
        w.alive[u] = False
        return FIGHTING
    bears = aim(w, u, dx, dy, squared)
    falls = False
    if swinging:
        w.body[u, SWING] = max(w.body[u, SWING] - ONE, ZERO)
        falls = w.body[u, SWING] == ZERO
    elif bears and w.body[u, COOLDOWN] <= ZERO:
        begin_attack(w, u, target, squared)
        falls = w.body[u, SWING] == ZERO
    if falls:
        release(w, u, target)
    return FIGHTING


@called
def attended(w: Battle, u: int, patient: int) -> bool:
    """Whether another healer than u is at work on the patient."""
    for v in range(w.alive.shape[0]):
        if v != u and w.alive[v] and w.traits[v, DELIVERY] == HEALER and w.mind[v, HEALS] == patient:
            return True
    return False


@inner
def heal(w: Battle, u: int, patient: int) -> int:
    """One loop of healing: come into range, turn, turn energy into health. Returns the healer's posture."""
    dx = w.body[patient, X] - w.body[u, X]
    dy = w.body[patient, Y] - w.body[u, Y]
    squared = dx * dx + dy * dy
    reach = w.stats[u, RANGE] + w.stats[u, RADIUS] + w.stats[patient, RADIUS]
    w.mind[u, HEALS] = -1
    if squared > reach * reach:
        return head_for(w, u, w.body[patient, X], w.body[patient, Y])
    if aim(w, u, dx, dy, squared) and not attended(w, u, patient):
        missing = w.stats[patient, HEALTH_MAX] - w.body[patient, HEALTH]
        points = min(min(w.stats[u, HEAL_RATE], missing), w.body[u, ENERGY] / w.stats[u, HEAL_COST])
        w.body[patient, HEALTH] += points
        w.body[u, ENERGY] = max(w.body[u, ENERGY] - points * w.stats[u, HEAL_COST], ZERO)
        w.mind[u, HEALS] = patient
    return FIGHTING

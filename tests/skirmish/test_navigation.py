"""Ways round obstacles: they are free, they are short, and whoever follows them arrives."""

import math
import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skirmish.formation import fits
from skirmish.maps import MAP_NAMES, MapError, load_map
from skirmish.navigation import convex, fitting, navigation

MARINE, STALKER = 0.375, 0.5
WINDING = ("corridor", "so_many_baneling", "2c_vs_64zg")


def grid(*rows):
    """Ground [x, y] from rows of text, the top row first."""
    return np.array([[c == "." for c in row] for row in reversed(rows)]).T.copy()


def random_ground(seed, width, height, density):
    return np.random.default_rng(seed).random((width, height)) > density


def length(start, cells):
    return sum(math.dist(a, b) for a, b in zip([start, *cells], cells))


def shortest(ground, start, goal):
    """Length of the shortest way over neighbouring cells, diagonals included, or None."""
    cost, todo = {start: 0.0}, [start]
    while todo:
        x, y = todo.pop(0)
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                a, b = x + dx, y + dy
                inside = 0 <= a < ground.shape[0] and 0 <= b < ground.shape[1]
                if inside and ground[a, b] and ground[a, y] and ground[x, b]:
                    total = cost[x, y] + math.hypot(dx, dy)
                    if total < cost.get((a, b), math.inf) - 1e-9:
                        cost[a, b] = total
                        todo.append((a, b))
    return cost.get(goal)


def blocked(ground, x, y, half):
    return not fits(ground, np.array([[x, y]]), half - 1e-6)[0]


def walk(ground, ways, place, goal, half, stride=0.14, loops=4000):
    """Follow the ways as a unit does, sliding along walls; returns how near to the goal it comes."""
    x, y = place
    cell_of_goal = (int(goal[0]), int(goal[1]))
    for _ in range(loops):
        cell = ways.waypoint((int(x), int(y)), cell_of_goal)
        to = goal if cell == cell_of_goal else (cell[0] + 0.5, cell[1] + 0.5)
        distance = math.dist((x, y), to)
        if distance < 1e-9:
            break
        step = min(stride, distance) / distance
        dx, dy = (to[0] - x) * step, (to[1] - y) * step
        if blocked(ground, x + dx, y, half):
            dx = (math.floor(x + dx + half) - half - x) if dx > 0 else (math.floor(x + dx - half) + 1 + half - x)
        if blocked(ground, x + dx, y + dy, half):
            dy = (math.floor(y + dy + half) - half - y) if dy > 0 else (math.floor(y + dy - half) + 1 + half - y)
        if abs(dx) + abs(dy) < 1e-9:
            break
        x, y = x + dx, y + dy
    return math.dist((x, y), goal)


def places(ground, half, rng, count):
    """Random points where a body can stand."""
    trials = rng.random((4000, 2)) * ground.shape
    return trials[fits(ground, trials, half)][:count]


@pytest.mark.parametrize("name", MAP_NAMES)
def test_only_winding_ground_needs_a_table(name):
    ways = navigation(load_map(name).pathing, MARINE)
    assert ways.open == (name not in WINDING)
    assert ways.table.shape == ((0, 0) if ways.open else (1024, 1024))
    if ways.open:
        assert ways.waypoint((9, 16), (23, 16)) == (23, 16)


def test_a_colossus_crosses_2c_vs_64zg_as_it_likes():
    assert navigation(load_map("2c_vs_64zg").cliff_pathing, 0.5625).open


@pytest.mark.parametrize("half", [MARINE, STALKER])
@pytest.mark.parametrize("name", WINDING)
def test_every_way_reaches_its_goal_and_is_short(name, half):
    ground = load_map(name).pathing
    ways = navigation(ground, half)
    rng = np.random.default_rng(0)
    cells = [tuple(cell) for cell in rng.permutation(np.argwhere(fitting(ground, half)))[:24].tolist()]
    for start in cells[:6]:
        for goal in cells:
            path = ways.path(start, goal)
            assert path[-1:] == [goal] or start == goal
            around = shortest(ground, start, goal)
            assert length(start, path) <= around * 1.05 + (2 if half == MARINE else 3)


@pytest.mark.parametrize("half", [MARINE, STALKER])
@pytest.mark.parametrize("name", WINDING)
def test_whoever_follows_the_ways_arrives(name, half):
    ground = load_map(name).pathing
    ways = navigation(ground, half)
    points = places(ground, half, np.random.default_rng(1), 24)
    for start, goal in zip(points[::2], points[1::2]):
        assert walk(ground, ways, tuple(start), tuple(goal), half) < 1e-6


@pytest.mark.parametrize("name", WINDING)
def test_straight_ways_are_free(name):
    ground = load_map(name).pathing
    ways = navigation(ground, MARINE)
    rng = np.random.default_rng(2)
    points = places(ground, MARINE, rng, 600)
    tested = 0
    for start, goal in zip(points[::2], points[1::2]):
        a, b = (tuple(int(value) for value in point) for point in (start, goal))
        if ways.waypoint(a, b) == b and max(abs(a[0] - b[0]), abs(a[1] - b[1])) > 1:
            line = start + np.linspace(0, 1, 400)[:, None] * (goal - start)
            assert fits(ground, line, MARINE - 1e-5).all()
            tested += 1
    assert tested > 100


def test_corridor_leads_through_its_neck():
    ways = navigation(load_map("corridor").pathing, MARINE)
    path = ways.path((27, 28), (4, 4))
    assert any(11 <= x < 15 and y in (12, 13) for x, y in path)
    assert length((27, 28), path) < math.dist((27, 28), (4, 4)) * 1.05


@pytest.mark.parametrize(("start", "strip"), [((12, 9), range(2, 4)), ((20, 9), range(28, 30))])
def test_2c_vs_64zg_leads_round_the_cliff_on_the_nearer_side(start, strip):
    ways = navigation(load_map("2c_vs_64zg").pathing, MARINE)
    path = ways.path(start, (start[0], 16))
    assert any(x in strip and y == 12 for x, y in path)
    assert path[-1] == (start[0], 16)


def test_a_goal_on_the_cliff_leads_below_it():
    ways = navigation(load_map("2c_vs_64zg").pathing, MARINE)
    assert ways.path((16, 8), (16, 12)) == [(16, 11)]
    assert ways.waypoint((16, 11), (16, 12)) == (16, 11)


def test_ways_out_of_walls_and_into_other_rooms_lead_to_the_nearest_place():
    ground = grid("...#...", "...#...", "...#...")
    ways = navigation(ground, MARINE)
    assert ways.path((0, 1), (5, 1)) == [(2, 1)]
    assert ways.waypoint((3, 0), (6, 2)) in ((2, 0), (4, 0))
    assert (ways.table >= 0).all()


def test_no_ground_no_way():
    assert navigation(np.zeros((5, 5), dtype=bool), MARINE).open
    lost = navigation(grid(".#.", "###", ".#."), STALKER)
    assert lost.open  # a stalker fits nowhere: nothing is known, nothing is asked


def test_wide_bodies_need_two_cells():
    ground = grid("......", "......", "###.##", "......", "......")
    assert navigation(ground, MARINE).path((0, 0), (0, 4))[-1] == (0, 4)
    assert navigation(ground, STALKER).path((0, 0), (0, 4))[-1] == (0, 1)
    ground[4, 2] = True
    assert navigation(ground, STALKER).path((0, 0), (0, 4))[-1] == (0, 4)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((".....", "....."), True),
        (("#...#", ".....", "#...#"), True),
        (("#....", "....."), True),
        ((".#.", "..."), False),
        (("...", ".#.", "..."), False),
        (("...##", "...##", "....."), False),
        (("##.##", "....."), True),  # a bump of one cell
        (("##...", "##...", "....."), False),
        (("#####", "#####"), True),
        ((".#.", ".#."), False),
    ],
)
def test_convex_ground_is_told_from_other(rows, expected):
    assert convex(grid(*rows)) == expected


@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(3, 14),
    height=st.integers(3, 14),
    density=st.floats(0.05, 0.4),
    half=st.sampled_from([0.25, MARINE, 0.4375, STALKER, 0.5625]),
)
@example(seed=0, width=14, height=3, density=0.2, half=MARINE)
@settings(max_examples=80, deadline=None)
def test_ways_on_random_ground_arrive(seed, width, height, density, half):
    ground = random_ground(seed, width, height, density)
    ways = navigation(ground, half)
    rng = np.random.default_rng(seed)
    if ways.open:
        return
    room = fitting(ground, half)
    cells = [tuple(cell) for cell in np.argwhere(room).tolist()]
    for _ in range(10):
        start, goal = (cells[i] for i in rng.integers(0, len(cells), 2))
        path = ways.path(start, goal)
        if half < STALKER and shortest(ground, start, goal) is not None:
            assert path[-1:] == [goal] or start == goal
    if half < STALKER:
        points = places(ground, half, rng, 8)
        for start, goal in zip(points[::2], points[1::2]):
            a, b = ((int(x), int(y)) for x, y in (start, goal))
            if shortest(ground, a, b) is not None:
                assert walk(ground, ways, tuple(start), tuple(goal), half) < 1e-6


def test_ways_are_built_once_and_fast():
    ground = np.ones((32, 32), dtype=bool)
    ground[10:12, 5:25] = False
    navigation(ground[:20], MARINE)  # compiled
    begun = time.process_time()
    ways = navigation(ground, MARINE)
    assert time.process_time() - begun < 0.6  # 0.2 s on an idle core
    assert navigation(ground.copy(), MARINE) is ways
    assert not ways.table.flags.writeable


def test_too_large_a_ground_and_too_wide_a_body_are_refused():
    with pytest.raises(MapError, match=r"100 x 100 cells is too large.*at most 4096 cells \(32 MiB"):
        navigation(np.ones((100, 100), dtype=bool), MARINE)
    with pytest.raises(MapError, match=r"half width above 0 up to 1 cells, not 1\.5"):
        navigation(np.ones((8, 8), dtype=bool), 1.5)

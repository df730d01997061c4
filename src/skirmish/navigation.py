"""How walkers find their way round obstacles: from every cell to every cell, the next point to walk to.

    ways = navigation(map_spec.pathing, clearance=0.375)
    if not ways.open:
        cell = ways.table[x * ways.height + y, goal_x * ways.height + goal_y]

A body walks to the centre of the cell that the table names, or straight to its goal where that is the goal's own cell,
and looks again whenever it has come to another cell. Straight ways are free from wherever in the one cell it stands; at
corners the table leads from cell to neighbouring cell, where sliding along the wall settles the rest.

Any-angle shortest paths (Nash et al., Theta*: Any-Angle Path Planning on Grids, 2007) from every cell at once.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from skirmish.maps import MAX_CELLS, MapError

WIDEST = 1.0
"""Largest half width of a body (cells) that the model of passages holds for."""

_HALF = 0.5
"""From this half width on a passage must be two cells wide."""

_FAR = 1e9
_TOUCH = 1e-6
"""Overlaps below this do not count: bodies may touch walls."""

_OPTIONS: dict[str, Any] = {"error_model": "numpy", "boundscheck": False}
inner = njit(inline="never", **_OPTIONS)
Grid = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Navigation:
    """Ways for bodies of one half width over one ground of w x h cells; a cell's index is x * h + y.

    open: the ground is convex, so the straight way is always free; `table` is empty then.
    table: [cells, cells] int16, read-only: from the row's cell towards the column's cell, the cell whose centre to
    walk to next; the column's cell itself where the straight way is free or the step is the last. Towards a cell where
    the body cannot get, the way leads to the nearest one where it can. -1 on ground where the body fits nowhere.
    """

    width: int
    height: int
    clearance: float
    open: bool
    table: NDArray[np.int16]

    def waypoint(self, start: tuple[int, int], goal: tuple[int, int]) -> tuple[int, int]:
        """The cell to walk to next on the way from one cell (x, y) to another."""
        if self.open:
            return goal
        x, y = divmod(int(self.table[self.index(start), self.index(goal)]), self.height)
        return x, y

    def path(self, start: tuple[int, int], goal: tuple[int, int]) -> list[tuple[int, int]]:
        """All waypoints from one cell to another, or to the reachable cell nearest to it, without the start."""
        cells = [start]
        while (following := self.waypoint(cells[-1], goal)) not in cells:
            cells.append(following)
        return cells[1:]

    def index(self, cell: tuple[int, int]) -> int:
        """Row and column of the table that belong to a cell (x, y)."""
        return cell[0] * self.height + cell[1]


def navigation(pathing: Grid, clearance: float) -> Navigation:
    """The ways over `pathing` [w, h] for bodies of half width `clearance`; built once per ground and half width.

    The table takes 2 (w h)^2 bytes: 2 MiB for 32 x 32 cells, 32 MiB for 64 x 64, the largest ground allowed.
    Raises MapError for a larger ground or a wider body.
    """
    width, height = pathing.shape
    if width * height > MAX_CELLS:
        raise MapError(
            f"A ground of {width} x {height} cells is too large for path finding: "
            f"at most {MAX_CELLS} cells ({MAX_CELLS**2 * 2 >> 20} MiB of ways) are possible."
        )
    if not 0 < clearance <= WIDEST:
        raise MapError(f"Path finding serves bodies of half width above 0 up to {WIDEST:g} cells, not {clearance:g}.")
    return _navigation(np.ascontiguousarray(pathing, dtype=np.bool_).tobytes(), width, height, float(clearance))


@lru_cache(maxsize=64)
def _navigation(cells: bytes, width: int, height: int, clearance: float) -> Navigation:
    walkable = np.frombuffer(cells, dtype=np.bool_).reshape(width, height)
    roomy = fitting(walkable, clearance)
    if convex(roomy):
        return Navigation(width, height, clearance, True, np.empty((0, 0), dtype=np.int16))
    table = build(walkable, roomy, clearance)
    table.setflags(write=False)
    return Navigation(width, height, clearance, False, table)


def fitting(walkable: Grid, clearance: float) -> Grid:
    """The cells [w, h] where a body has room: a wide one must fit between the four cells round a corner."""
    if clearance < _HALF:
        return walkable.copy()
    padded = np.pad(walkable, 1)
    corners = padded[:-1, :-1] & padded[1:, :-1] & padded[:-1, 1:] & padded[1:, 1:]
    return walkable & (corners[:-1, :-1] | corners[1:, :-1] | corners[:-1, 1:] | corners[1:, 1:])


def convex(cells: Grid) -> bool:
    """Whether the cells hold every cell whose centre lies in the convex hull of their centres.

    On such ground a body that walks straight, and slides along the wall where it touches it, gets everywhere.
    """
    columns = [(x, np.flatnonzero(column)) for x, column in enumerate(cells) if column.any()]
    if not columns:
        return True
    low = _chain([(x, int(ys[0])) for x, ys in columns], 1)
    high = _chain([(x, int(ys[-1])) for x, ys in columns], -1)
    xs = np.arange(columns[0][0], columns[-1][0] + 1)
    bottom = np.ceil(np.interp(xs, low[:, 0], low[:, 1]) - _TOUCH).astype(int)
    top = np.floor(np.interp(xs, high[:, 0], high[:, 1]) + _TOUCH).astype(int)
    return all(bool(cells[x, y0 : y1 + 1].all()) for x, y0, y1 in zip(xs, bottom, top))


def _chain(points: list[tuple[int, int]], side: int) -> NDArray[np.int64]:
    """The lower (side 1) or upper (side -1) half of the convex hull of points sorted by x, [P, 2]."""
    hull: list[tuple[int, int]] = []
    for x, y in points:
        while len(hull) > 1:
            (ax, ay), (bx, by) = hull[-2:]
            if side * ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) > 0:
                break
            hull.pop()
        hull.append((x, y))
    return np.array(hull, dtype=np.int64)


@inner
def wall(walkable: Any, x: int, y: int) -> bool:
    """Whether a cell is no ground; there is none outside the map."""
    return not (0 <= x < walkable.shape[0] and 0 <= y < walkable.shape[1] and walkable[x, y])


@inner
def standing(walkable: Any, x: int, y: int, clearance: float, boxes: Any) -> int:
    """Where in a cell a body can stand: up to two boxes (x0, y0, x1, y1) that cover it; returns how many.

    Walls beside the cell narrow it. A wall at one corner leaves an L, which two boxes cover; with walls at several
    corners the whole cell is given, which makes every straight way from there count as blocked.
    """
    x0 = x + (clearance if wall(walkable, x - 1, y) else 0.0)
    x1 = x + 1 - (clearance if wall(walkable, x + 1, y) else 0.0)
    y0 = y + (clearance if wall(walkable, x, y - 1) else 0.0)
    y1 = y + 1 - (clearance if wall(walkable, x, y + 1) else 0.0)
    corners = 0
    cut_x, cut_y = 0, 0
    for dx in (-1, 1):
        for dy in (-1, 1):
            free = not wall(walkable, x + dx, y) and not wall(walkable, x, y + dy)
            if free and wall(walkable, x + dx, y + dy):
                corners += 1
                cut_x, cut_y = dx, dy
    boxes[0, 0], boxes[0, 1], boxes[0, 2], boxes[0, 3] = x0, y0, x1, y1
    if corners != 1:
        return 1
    boxes[1, 0], boxes[1, 1], boxes[1, 2], boxes[1, 3] = x0, y0, x1, y1
    if cut_x > 0:
        boxes[0, 2] = min(x1, x + 1 - clearance)
    else:
        boxes[0, 0] = max(x0, x + clearance)
    if cut_y > 0:
        boxes[1, 3] = min(y1, y + 1 - clearance)
    else:
        boxes[1, 1] = max(y0, y + clearance)
    return 2


@inner
def swept_free(walls: Any, a: Any, b: Any, clearance: float) -> bool:
    """Whether a body can move straight from anywhere in box a to anywhere in box b (x0, y0, x1, y1) [4].

    walls [h, w + 1]: number of walls left of a cell in its row. The boxes between a and b, interpolated and widened by
    the body, sweep exactly the convex hull of all such moves.
    """
    grow = clearance - _TOUCH
    ax0, ay0, ax1, ay1 = a[0] - grow, a[1] - grow, a[2] + grow, a[3] + grow
    bx0, by0, bx1, by1 = b[0] - grow, b[1] - grow, b[2] + grow, b[3] + grow
    first, last = int(np.floor(min(ay0, by0))), int(np.floor(max(ay1, by1)))
    if first < 0 or last >= walls.shape[0] or min(ax0, bx0) < 0 or max(ax1, bx1) >= walls.shape[1] - 1:
        return False
    for row in range(first, last + 1):
        enter, leave = 0.0, 1.0  # shares of the way during which the box touches the row
        rise = by1 - ay1
        if rise > 0:
            enter = max(enter, (row - ay1) / rise)
        elif rise < 0:
            leave = min(leave, (row - ay1) / rise)
        rise = by0 - ay0
        if rise > 0:
            leave = min(leave, (row + 1 - ay0) / rise)
        elif rise < 0:
            enter = max(enter, (row + 1 - ay0) / rise)
        if enter > leave:
            continue
        left = min(ax0 + (bx0 - ax0) * enter, ax0 + (bx0 - ax0) * leave)
        right = max(ax1 + (bx1 - ax1) * enter, ax1 + (bx1 - ax1) * leave)
        if walls[row, int(np.floor(right)) + 1] != walls[row, int(np.floor(left))]:
            return False
    return True


@inner
def sees(walls: Any, from_boxes: Any, n_from: int, to_boxes: Any, n_to: int, clearance: float) -> bool:
    """Whether the straight way is free between all boxes of two cells."""
    for i in range(n_from):
        for j in range(n_to):
            if not swept_free(walls, from_boxes[i], to_boxes[j], clearance):
                return False
    return True


@inner
def steps_to(walkable: Any, roomy: Any, x: int, y: int, to_x: int, to_y: int, wide: bool) -> bool:
    """Whether a body can step from a cell to the neighbour (to_x, to_y)."""
    if not (0 <= to_x < roomy.shape[0] and 0 <= to_y < roomy.shape[1] and roomy[to_x, to_y]):
        return False
    if x != to_x and y != to_y:
        return not wall(walkable, to_x, y) and not wall(walkable, x, to_y)
    if not wide:
        return True
    sx, sy = abs(to_y - y), abs(to_x - x)  # across the step
    above = not wall(walkable, x + sx, y + sy) and not wall(walkable, to_x + sx, to_y + sy)
    below = not wall(walkable, x - sx, y - sy) and not wall(walkable, to_x - sx, to_y - sy)
    return above or below


@inner
def look_round(walkable: Any, roomy: Any, clearance: float) -> tuple[Any, Any]:
    """Which cell (column) sees all of which cell (row), and the centre of it, both [cells, cells] bool."""
    width, height = walkable.shape
    cells = width * height
    walls = np.zeros((height, width + 1), dtype=np.int32)
    boxes = np.zeros((cells, 2, 4))
    centres = np.zeros((cells, 1, 4))
    counts = np.zeros(cells, dtype=np.int64)
    for x in range(width):
        for y in range(height):
            walls[y, x + 1] = walls[y, x] + (not walkable[x, y])
            if roomy[x, y]:
                c = x * height + y
                counts[c] = standing(walkable, x, y, clearance, boxes[c])
                middle_x = min(max(x + 0.5, boxes[c, 0, 0]), boxes[c, 0, 2])
                middle_y = min(max(y + 0.5, boxes[c, 0, 1]), boxes[c, 0, 3])
                centres[c, 0, 0] = centres[c, 0, 2] = middle_x
                centres[c, 0, 1] = centres[c, 0, 3] = middle_y
    whole = np.zeros((cells, cells), dtype=np.bool_)
    middle = np.zeros((cells, cells), dtype=np.bool_)
    for a in range(cells):
        for b in range(cells):
            if counts[a] and counts[b]:
                if b > a:
                    whole[a, b] = whole[b, a] = sees(walls, boxes[a], counts[a], boxes[b], counts[b], clearance)
                middle[b, a] = whole[a, b] or sees(walls, boxes[a], counts[a], centres[b], 1, clearance)
    return whole, middle


@inner
def neighbours(walkable: Any, roomy: Any, wide: bool) -> Any:
    """The neighbouring cells that a body can step to from each cell, [cells, 8], -1 for none."""
    width, height = walkable.shape
    found = np.full((width * height, 8), -1, dtype=np.int16)
    for x in range(width):
        for y in range(height):
            count = 0
            for dx in range(-1, 2):
                for dy in range(-1, 2):
                    if (dx or dy) and roomy[x, y] and steps_to(walkable, roomy, x, y, x + dx, y + dy, wide):
                        found[x * height + y, count] = (x + dx) * height + y + dy
                        count += 1
    return found


@inner
def spread(steps: Any, whole: Any, middle: Any, goal: int, height: int, work: Any) -> None:
    """Ways to one goal from all cells that can reach it: `parent` of `work` gets each cell's next waypoint, else -1.

    Dijkstra over neighbouring cells, each of which takes its neighbour's waypoint over if it sees it.
    """
    parent, cost, done, heap, keys = work
    parent[:] = -1
    cost[:] = _FAR
    done[:] = False
    parent[goal], cost[goal] = goal, 0.0
    heap[0], keys[0] = goal, 0.0
    size = 1
    while size:
        cell = heap[0]
        size -= 1
        sift_down(heap, keys, size)
        if done[cell]:
            continue
        done[cell] = True
        for k in range(8):
            other = steps[cell, k]
            if other < 0:
                break
            if done[other]:
                continue
            via = parent[cell]
            if not (whole[via, other] if via == goal else middle[via, other]):
                via = cell
            dx, dy = via // height - other // height, via % height - other % height
            total = cost[via] + np.sqrt(float(dx * dx + dy * dy))
            if total < cost[other] - _TOUCH:
                cost[other], parent[other] = total, via
                sift_up(heap, keys, size, other, total)
                size += 1


@inner
def sift_up(heap: Any, keys: Any, size: int, item: int, key: float) -> None:
    """Add an item to a heap of `size` items."""
    place = size
    while place and keys[(place - 1) // 2] > key:
        heap[place], keys[place] = heap[(place - 1) // 2], keys[(place - 1) // 2]
        place = (place - 1) // 2
    heap[place], keys[place] = item, key


@inner
def sift_down(heap: Any, keys: Any, size: int) -> None:
    """Close the gap at the top of a heap whose last item has the index `size`."""
    item, key = heap[size], keys[size]
    place = 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        heap[place], keys[place] = heap[child], keys[child]
        place = child
    heap[place], keys[place] = item, key


@inner
def closest(chosen: Any, cell: int, height: int) -> int:
    """The chosen cell [cells] nearest to a cell, or -1."""
    best, found = _FAR, -1
    for other in range(chosen.shape[0]):
        if chosen[other]:
            dx, dy = other // height - cell // height, other % height - cell % height
            distance = dx * dx + dy * dy
            if distance < best:
                best, found = distance, other
    return found


@inner
def fill_unreachable(table: Any, roomy: Any) -> None:
    """Lead every way that has no end to the nearest cell that can be reached, and out of cells without room."""
    cells, height = table.shape[0], roomy.shape[1]
    fits = np.zeros(cells, dtype=np.bool_)
    for c in range(cells):
        fits[c] = roomy[c // height, c % height]
    ends = np.full((cells, cells), -1, dtype=np.int16)  # per region of connected cells, named after its first cell
    for a in range(cells):
        if fits[a]:
            region = 0
            while table[region, a] < 0:
                region += 1
            for b in range(cells):
                if table[a, b] < 0:
                    if ends[region, b] < 0:
                        ends[region, b] = closest(table[a] >= 0, b, height)
                    table[a, b] = -2 - ends[region, b]
            for b in range(cells):
                if table[a, b] < -1:
                    table[a, b] = table[a, -2 - table[a, b]]
    for a in range(cells):
        if not fits[a]:
            table[a, :] = closest(fits, a, height)


@njit(cache=True, nogil=True, **_OPTIONS)
def build(walkable: Any, roomy: Any, clearance: float) -> Any:
    """The table of `Navigation` for a ground [w, h] that is not convex."""
    cells = walkable.size
    height = walkable.shape[1]
    table = np.full((cells, cells), -1, dtype=np.int16)
    whole, middle = look_round(walkable, roomy, clearance)
    steps = neighbours(walkable, roomy, clearance >= _HALF)
    work = (
        np.empty(cells, dtype=np.int64),
        np.empty(cells),
        np.empty(cells, dtype=np.bool_),
        np.empty(8 * cells + 1, dtype=np.int64),
        np.empty(8 * cells + 1),
    )
    for goal in range(cells):
        if roomy[goal // height, goal % height]:
            spread(steps, whole, middle, goal, height, work)
            table[:, goal] = work[0]
    fill_unreachable(table, roomy)
    return table

"""The maps: names, sizes, ground, spawn points."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skirmish.formation import formation, lattice
from skirmish.maps import MAP_NAMES, PLAYABLE, MapError, load_map, require_playable
from skirmish.units import load_units

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("default_*__0.npz"))


def test_there_are_smacs_23_maps_and_one_easy_one():
    assert len(MAP_NAMES) == 24
    assert set(PLAYABLE) <= set(MAP_NAMES)
    assert "2m_vs_1m" in PLAYABLE


@pytest.mark.parametrize("name", MAP_NAMES)
def test_teams_and_spawns_agree(name):
    spec = load_map(name)
    assert (len(spec.ally_types), len(spec.enemy_types)) == (spec.n_agents, spec.n_enemies)
    allies = [spawn.unit for spawn in spec.spawns if spawn.team == "ally" for _ in range(spawn.count)]
    assert sorted(allies) == sorted(spec.ally_types)
    assert all(spec.pathing[int(spawn.x), int(spawn.y)] for spawn in spec.spawns)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_ground_and_teams_equal_the_recordings(path):
    recording = np.load(path)
    meta = json.loads(str(recording["meta"]))
    if meta["grid"] != "map":
        pytest.skip("recorded on an invented grid")
    spec = load_map(meta["map"])
    np.testing.assert_array_equal(spec.pathing, recording["pathing_grid"])
    np.testing.assert_array_equal(spec.height[:, ::-1] / 255, recording["terrain_height"])
    types = [meta["type_names"][i] for i in recording["type_index"]]
    assert tuple(types[: spec.n_agents]) == spec.ally_types
    assert sorted(types[spec.n_agents :]) == sorted(spec.enemy_types)


def test_the_strip_is_what_a_live_client_shows():
    pathing = load_map("3m").pathing
    expected = np.zeros((32, 32), dtype=bool)
    expected[2:30, 7:25] = True
    np.testing.assert_array_equal(pathing, expected)


def test_an_unknown_map_is_named_with_the_nearest():
    with pytest.raises(MapError, match=r'no map "3mm".*10m_vs_11m.*Did you mean "3m"\?'):
        load_map("3mm")


def test_a_known_map_that_cannot_be_played_says_so():
    assert load_map("MMM2").n_agents == 10
    with pytest.raises(MapError, match=r'"MMM2" has units that the embedded engine cannot play yet.*3m, 8m'):
        require_playable("MMM2")


def test_checksums_tell_maps_apart():
    assert len({load_map(name).checksum for name in MAP_NAMES}) == len(MAP_NAMES)


@pytest.mark.parametrize("name", PLAYABLE)
def test_formations_are_tight_disjoint_and_face_each_other(name):
    spec = load_map(name)
    places = formation(spec, load_units())
    points = np.stack([places.x, places.y], axis=1).astype(float)
    n = spec.n_agents
    for team in (points[:n], points[n:]):
        gaps = np.linalg.norm(team[:, None] - team, axis=2)[~np.eye(len(team), dtype=bool)]
        if len(team) > 1:
            assert gaps.min() >= 0.75
            assert np.ptp(team, axis=0).max() < 6
    assert (places.face_x[:n] > 0.99).all()
    assert (places.face_x[n:] < -0.99).all()
    assert list(map(tuple, points[:n])) == sorted(map(tuple, points[:n]))
    assert spec.pathing[places.x.astype(int), places.y.astype(int)].all()
    assert spec.pathing[places.goal_x.astype(int), places.goal_y.astype(int)].all()


def test_a_lattice_fills_its_rings():
    points = np.array(lattice(7, 2.0))
    np.testing.assert_allclose(points[0], [0, 0])
    np.testing.assert_allclose(np.hypot(points[1:, 0], points[1:, 1]), 2.0)


def test_names_and_sizes_need_no_compiler():
    code = "import sys, skirmish; skirmish.load_map('3m'); sys.exit('numba' in sys.modules)"
    source = Path(__file__).parents[2] / "src"
    assert subprocess.run([sys.executable, "-c", code], cwd=source, check=False).returncode == 0

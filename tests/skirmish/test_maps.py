"""The maps: names, sizes, ground, spawn points."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skirmish.maps import GROUPS, MAP_NAMES, MapError, load_map, resolve_maps, table

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("default_*__0.npz"))


def test_there_are_smacs_23_maps_and_one_easy_one():
    assert len(MAP_NAMES) == 24
    assert "2m_vs_1m" in MAP_NAMES


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
    with pytest.raises(MapError, match=r'no map "3mm"\. Did you mean "3m"\? Maps: 3m, 8m, .*10m_vs_11m'):
        load_map("3mm")


def test_groups_hold_known_maps_once():
    members = [name for names in GROUPS.values() for name in names]
    assert list(GROUPS) == ["easy", "medium", "hard", "super_hard"]
    assert set(members) <= set(MAP_NAMES)
    assert len(members) == len(set(members)) == 10


def test_groups_and_names_resolve_each_once():
    assert resolve_maps("easy") == ["3m", "2s3z"]
    assert resolve_maps("3m, super_hard,3m") == ["3m", "corridor", "6h_vs_8z"]
    assert resolve_maps(["8m", "medium"]) == ["8m", "5m_vs_6m", "2s_vs_1sc"]


def test_an_unknown_group_is_named_with_the_nearest():
    with pytest.raises(MapError, match=r'no map or group "super_hart"\. Did you mean "super_hard"\?'):
        resolve_maps("3m,super_hart")
    with pytest.raises(MapError, match='no map or group ""'):
        resolve_maps("3m,")


def test_the_table_tells_every_map():
    lines = table().splitlines()
    assert len(lines) == 2 + len(MAP_NAMES)
    assert "| corridor | 6 Zealot | 24 Zergling | 400 | super_hard |" in lines
    page = (Path(__file__).parents[2] / "docs" / "maps.md").read_text(encoding="utf-8")
    assert table() in page, "paste the output of `python -m skirmish` into docs/maps.md"


def test_checksums_tell_maps_apart():
    assert len({load_map(name).checksum for name in MAP_NAMES}) == len(MAP_NAMES)


def test_orders_have_the_points_they_need():
    orders = {name: load_map(name).enemy_order for name in MAP_NAMES}
    assert {name: order.kind for name, order in orders.items() if order.kind != "attack_point"} == {
        "2m_vs_1z": "attack_random_point",
        "2c_vs_64zg": "attack_units",
        "2s_vs_1sc": "none",
    }
    expected = {"attack_point": 1, "attack_random_point": 2, "attack_units": 0, "none": 0}
    assert all(len(order.points) == expected[order.kind] for order in orders.values())
    assert orders["2m_vs_1z"].points == ((13, 12), (19, 12))


@pytest.mark.parametrize("name", MAP_NAMES)
def test_a_colossus_climbs_the_cliffs_of_2c_vs_64zg_alone(name):
    spec = load_map(name)
    assert (spec.cliff_pathing | ~spec.pathing).all()
    cliffs = spec.cliff_pathing & ~spec.pathing
    if name == "2c_vs_64zg":
        assert cliffs[4:28, 12].all()
        assert not spec.cliff_pathing[:2].any() and not spec.cliff_pathing[:, 21:].any()
    else:
        assert not cliffs.any()


def test_names_and_sizes_need_no_compiler():
    code = "import sys, skirmish; skirmish.load_map('3m'); sys.exit('numba' in sys.modules)"
    source = Path(__file__).parents[2] / "src"
    assert subprocess.run([sys.executable, "-c", code], cwd=source, check=False).returncode == 0

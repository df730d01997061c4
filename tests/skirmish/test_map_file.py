"""Maps from YAML files: what they mean, and what is said about mistakes in them."""

from pathlib import Path

import numpy as np
import pytest
import yaml

import skirmish
from skirmish.formation import formation
from skirmish.map_file import type_bits
from skirmish.maps import MapError, load_map, resolve_maps
from skirmish.options import RuleOptions, sizes_of
from skirmish.units import load_units

EXAMPLE = Path(skirmish.__file__).parent / "data" / "gate.yaml"

SMALL = """
limit: 50
agents:
  - {unit: Marine, count: 2, at: [2.5, 3]}
  - {unit: Medivac, at: [2, 3]}
enemies:
  - {unit: Zealot, at: [9, 3]}
order: {kind: attack_point, point: [2, 3]}
terrain: |
  ############
  #.....~+/..#
  #..........#
  #..........#
  #..........#
  ############
"""


@pytest.fixture
def write(tmp_path):
    """Write a map file and return its path."""

    def write(text, name="small.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_a_map_file_says_what_a_map_is(write):
    spec = load_map(write(SMALL))
    assert (spec.name, spec.limit, spec.n_agents, spec.n_enemies) == ("small", 50, 3, 1)
    assert spec.ally_types == ("Marine", "Marine", "Medivac")
    assert spec.enemy_types == ("Zealot",)
    assert (spec.a_race, spec.b_race, spec.unit_type_bits, spec.map_type) == ("T", "P", 3, "custom")
    assert spec.pathing.shape == (12, 6)
    assert not spec.pathing[0].any() and spec.pathing[1:11, 1:4].all()
    assert not spec.pathing[6, 4] and spec.cliff_pathing[6, 4]
    assert (spec.cliff_pathing & ~spec.pathing).sum() == 1
    z = spec.height[:, 4].astype(float) / 255 * 32 - 16
    np.testing.assert_allclose(z[[0, 1, 6, 7, 8]], [1, 8, 9, 10, 9], atol=0.07)
    assert spec.enemy_order.kind == "attack_point"
    assert spec.enemy_order.points == ((2.0, 3.0),)


def test_the_example_is_a_wall_with_a_gate():
    spec = load_map(str(EXAMPLE))
    wall = spec.pathing[14]
    assert 1 < wall.sum() < 5
    assert spec.pathing[1:14].any(axis=1).all()
    start = formation(spec, load_units())
    assert start.x[: spec.n_agents].max() < 14 < start.x[spec.n_agents :].min()


def test_agents_are_ordered_by_type_whatever_the_file_s_order(write):
    swapped = SMALL.replace("{unit: Marine, count: 2, at: [2.5, 3]}", "{unit: Stalker, at: [4, 3]}").replace(
        "{unit: Medivac, at: [2, 3]}", "{unit: Marine, count: 2, at: [2.5, 3]}"
    )
    assert load_map(write(swapped)).ally_types == ("Marine", "Marine", "Stalker")


@pytest.mark.parametrize(
    ("allies", "enemies", "bits"),
    [
        ("Marine", "Marine", 0),
        ("Stalker", "Zealot", 0),
        ("Stalker Zealot", "Zealot", 2),
        ("Marine Medivac", "Zealot Colossus", 4),
    ],
)
def test_type_bits_tell_all_types_of_the_map_apart(allies, enemies, bits):
    assert type_bits(allies.split(), enemies.split()) == bits


def test_sizes_follow_from_the_units(write):
    sizes = sizes_of(load_map(write(SMALL)), RuleOptions())
    assert sizes.obs == 4 + 1 * (5 + 1 + 3) + 2 * (5 + 0 + 3) + (1 + 0 + 3)


def test_the_checksum_sees_content_only(write):
    original = load_map(write(SMALL)).checksum
    assert load_map(write("# a remark\nname: other\n" + SMALL, "b.yaml")).checksum == original
    assert load_map(write(SMALL.replace("limit: 50", "limit: 51"))).checksum != original
    assert load_map(write(SMALL.replace("~", "."))).checksum != original


def test_an_official_terrain_can_be_borrowed(write):
    text = SMALL[: SMALL.index("terrain")].replace("[2.5, 3]", "[9, 16]").replace("[2, 3]", "[9, 16]")
    spec = load_map(write(text.replace("[9, 3]", "[23, 16]") + "terrain: octagon\n"))
    np.testing.assert_array_equal(spec.pathing, load_map("2m_vs_1z").pathing)


@pytest.mark.parametrize(
    ("order", "kind", "points"),
    [
        ("{kind: attack_random_point, points: [[2, 3], [4, 3]]}", "attack_random_point", ((2.0, 3.0), (4.0, 3.0))),
        ("{kind: attack_units}", "attack_units", ()),
        ("{kind: none}", "none", ()),
    ],
)
def test_all_orders_can_be_given(write, order, kind, points):
    found = load_map(write(SMALL.replace("{kind: attack_point, point: [2, 3]}", order))).enemy_order
    assert (found.kind, found.points) == (kind, points)


MISTAKES = [
    ("limit: 50", "limits: 50", r'there is no key "limits"\. Did you mean "limit"\?'),
    ("limit: 50\n", "", 'the key "limit" is missing'),
    ("limit: 50", "limit: -5", "limit: a whole number from 1 to 10000 is needed, not -5"),
    ("limit: 50", "limit: true", "limit: a whole number"),
    ("limit: 50", "limit: 50\nlimit: 60", "limit: this key comes twice"),
    ("limit: 50", "limit: 50\nname: a/b", "name: a name without slashes"),
    ("limit: 50", "limit: [", "line [0-9]+: this is no YAML"),
    ("Zealot", "Zealott", r"enemies\[0\]\.unit: there is no unit 'Zealott'\. Did you mean \"Zealot\"\?"),
    ("count: 2", "count: 0", r"agents\[0\]\.count: a whole number from 1 to 200 is needed, not 0"),
    ("count: 2", "count: -2", r"agents\[0\]\.count"),
    ("count: 2", "count: 190", r"terrain: .*has no room for 190 Marine"),
    ("count: 2", "count: 200", "202 units are too many; at most 200"),
    ("count: 2", "number: 2", r'agents\[0\]: there is no key "number"'),
    ("[9, 3]", "[9, 30]", r"enemies\[0\]\.at: \[9, 30\] lies outside the map of 12 x 6 cells"),
    ("[9, 3]", "[-9, 3]", "lies outside"),
    ("[9, 3]", "[9, .nan]", r"enemies\[0\]\.at: a point \[x, y\] is needed"),
    ("[9, 3]", "[9]", r"a point \[x, y\] is needed"),
    ("[9, 3]", "[0.5, 3]", r"enemies\[0\]\.at: a Zealot cannot stand at \(0\.5, 3\)"),
    ("[9, 3]", "[1.2, 3]", "cannot stand"),
    ("[9, 3]", "[6.5, 4.5]", "cannot stand"),
    ("[9, 3]", "[2.9, 3]", r"enemies\[0\]\.at: this Zealot overlaps the Marine of agents\[0\]\.at"),
    ("[9, 3]", "[2.5, 3]", "overlaps"),
    ("{unit: Medivac, at: [2, 3]}", "{unit: Stalker, at: [3, 3]}", r"agents\[1\]\.at: this Stalker overlaps"),
    ("  - {unit: Zealot, at: [9, 3]}\n", "", "enemies: a list of at least one group"),
    (
        "{unit: Zealot, at: [9, 3]}",
        "{unit: Medivac, at: [9, 3]}",
        "enemies: an army needs at least one unit that fights",
    ),
    ("kind: attack_point", "kind: attack", r"order\.kind: attack_point, .* possible, not 'attack'"),
    ("point: [2, 3]", "points: [2, 3]", r'order: there is no key "points"\. Did you mean "point"'),
    ("point: [2, 3]", "point: [0, 3]", r"order\.point: nobody can walk to \(0, 3\)"),
    ("{kind: attack_point, point: [2, 3]}", "none", r"order\.kind"),
    (
        "{kind: attack_point, point",
        "{kind: attack_random_point, points",
        r"order\.points: a point \[x, y\] is needed, not 2",
    ),
    ("{kind: attack_point, point: [2, 3]}", "{kind: attack_random_point, points: [[2, 3]]}", "two points are needed"),
    ("  #.....~+/..#", "  #.....~+/..", "terrain: row 2 has 11 cells, the first has 12"),
    ("~", "?", r"terrain: row 2, column 7: '\?' is none of \. # ~ \+ /"),
    (SMALL[SMALL.index("terrain") :], "terrain: strop", r'there is no terrain "strop"\. Did you mean "strip"\?'),
    (SMALL[SMALL.index("terrain") :], "terrain: 5", "rows of text or the name of a terrain"),
    (
        "  ############\n",
        "  ############\n" + "  #..........#\n" * 500,
        "12 x 1006 cells; a map has .* at most 4096 cells",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "message"), MISTAKES, ids=[message[:40] for *_, message in MISTAKES])
def test_mistakes_are_named(write, right, wrong, message):
    assert right in SMALL
    path = write(SMALL.replace(right, wrong))
    with pytest.raises(MapError, match=message) as caught:
        load_map(path)
    assert str(caught.value).startswith(f'Map file "{path}", ')
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "5", "- a", "agents: 1"])
def test_anything_else_is_refused(write, text):
    with pytest.raises(MapError, match=r'Map file ".*", the file: '):
        load_map(write(text))


def test_a_missing_file_is_named_with_the_nearest(write, tmp_path):
    write(SMALL, "valley.yaml")
    with pytest.raises(MapError, match=r'There is no map file ".*vally\.yaml"\. Did you mean ".*valley\.yaml"\?'):
        load_map(str(tmp_path / "vally.yaml"))


def test_files_and_groups_resolve_together(write):
    path = write(SMALL)
    assert resolve_maps(f"easy, 3m,{path}") == ["3m", "2s3z", path]


def test_every_key_of_the_documentation_s_example_is_right():
    page = Path(skirmish.__file__).parents[2] / "docs" / "maps.md"
    block = page.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    documented, packaged = (yaml.safe_load(text) for text in (block, EXAMPLE.read_text(encoding="utf-8")))
    assert documented == packaged

"""The unit statistics and what follows from them."""

import pytest

from skirmish.units import BUILDS, LOOPS_PER_SECOND, PROFILES, UNIT_NAMES, load_units


def test_both_profiles_hold_all_ten_unit_types_in_order():
    for profile in PROFILES:
        assert tuple(load_units(profile)) == UNIT_NAMES


def test_an_unknown_profile_is_named():
    with pytest.raises(ValueError, match=r'"wol".*multiplayer and liberty'):
        load_units("wol")


def test_a_marine_is_a_marine():
    marine = load_units()["Marine"]
    assert (marine.health, marine.shield, marine.armor, marine.radius) == (45, 0, 0, 0.375)
    assert marine.speed / LOOPS_PER_SECOND == pytest.approx(0.140625)
    assert marine.turn_rate_deg / LOOPS_PER_SECOND == pytest.approx(62.5, abs=0.02)
    weapon = marine.weapons[0]
    assert (weapon.damage, weapon.range, weapon.scan_range, weapon.range_slop) == (6, 5, 5.5, 1)
    assert weapon.period_s * LOOPS_PER_SECOND == pytest.approx(13.77, abs=0.01)
    assert weapon.damage_point_s * LOOPS_PER_SECOND == pytest.approx(0.8)
    assert [delay * LOOPS_PER_SECOND for delay in weapon.random_delay_s] == [-1, 2]


@pytest.mark.parametrize(
    ("attacker", "target", "points"),
    [
        ("Marine", "Marine", 6),
        ("Marine", "Marauder", 5),
        ("Marauder", "Marauder", 19),
        ("Stalker", "Zealot", 12),
        ("Stalker", "SpineCrawler", 16),
        ("Zergling", "Colossus", 4),
        ("Colossus", "Zergling", 15),
        ("Baneling", "Zergling", 35),
        ("SpineCrawler", "Stalker", 29),
    ],
)
def test_a_hit_adds_the_bonus_and_loses_the_armor(attacker, target, points):
    units = load_units()
    assert units[attacker].hit(units[target]) == points


def test_the_profiles_differ_in_the_stalkers_weapon():
    damage = {profile: load_units(profile)["Stalker"].weapons[0].damage for profile in PROFILES}
    assert damage == {"multiplayer": 13, "liberty": 10}


def test_the_builds_differ_in_the_hydralisks_period():
    periods = {build: load_units(build=build)["Hydralisk"].weapons[0].period_s * LOOPS_PER_SECOND for build in BUILDS}
    assert periods == {"4.10": pytest.approx(13.2), "4.6.2": pytest.approx(12.0)}
    with pytest.raises(ValueError, match=r'build "5.0".*4.10 and 4.6.2'):
        load_units(build="5.0")


def test_who_can_attack_and_heal_whom():
    units = load_units()
    assert units["Marine"].can_attack(units["Medivac"])
    assert not units["Marauder"].can_attack(units["Medivac"])
    assert units["Zergling"].can_attack(units["Colossus"])
    assert units["Medivac"].can_heal(units["Zealot"])
    assert not units["Medivac"].can_heal(units["Stalker"])
    assert not units["Medivac"].can_heal(units["SpineCrawler"])


def test_structures_take_more_of_a_baneling():
    units = load_units()
    assert units["Baneling"].damage(units["SpineCrawler"]) == 80

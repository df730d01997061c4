"""Verdicts on means beside the real game's, and the file they come from."""

import pytest

from skirmish.maps import MAP_NAMES
from skirmish.playing import STATISTICS
from skirmish.reference import INSIDE, NEAR, Reference, Sample, references


def exactly(mean):
    return Sample(mean, 0, 1)


def test_the_band_spans_both_statistics_and_their_errors():
    reference = Reference({"length": Sample(20, 4, 16)}, {"length": Sample(30, 1, 4)}, ())
    assert reference.band("length") == (18, 31)
    assert reference.verdict("length", exactly(18.5)) == INSIDE
    assert reference.verdict("length", exactly(17)) == NEAR
    assert reference.verdict("length", exactly(33.9)) == NEAR
    assert reference.verdict("length", exactly(40)) == "off +29%"
    assert reference.verdict("length", exactly(9)) == "off -50%"
    assert reference.verdict("length", Sample(40, 18, 16)) == INSIDE
    assert reference.band("return") is None
    assert reference.verdict("return", exactly(1)) == ""


def test_equal_values_alone_do_not_prove_that_there_are_no_others():
    reference = Reference({"win_rate": Sample(0, 0, 30)}, {}, ())
    assert reference.verdict("win_rate", exactly(0.09)) == INSIDE
    assert reference.verdict("win_rate", exactly(0.2)).startswith("off")


def test_the_references_are_complete():
    found = references()
    assert set(found) <= set(MAP_NAMES)
    assert len(found) == 9
    for name, reference in found.items():
        assert set(reference.single) >= {"length", "win_rate"}
        assert all(set(row) == set(STATISTICS[:4]) for row in reference.untrained)
        assert (set(reference.window) == set(STATISTICS)) == (name != "25m")
    assert found["3m"].single["return"].mean == pytest.approx(1.4346)

"""Hints in error sentences."""

from utils.errors import nearest


def test_the_nearest_choice_is_named_whatever_its_case():
    assert nearest("mmm2", ["3m", "MMM2"]) == ' Did you mean "MMM2"?'


def test_nothing_is_named_where_nothing_is_near():
    assert nearest("zzz", ["3m", "MMM2"]) == ""

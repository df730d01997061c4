"""Values to try: lists, ranges, grids, draws."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.sweep import Axis, parse_axis, points, split_values, typed
from utils.errors import UserError

CONFIG = {"lr": 0.001, "epochs": 5, "mixer": "vdn", "layers": [64], "flag": True, "env_args": {"step_mul": 8}}


class TestParsing:
    @pytest.mark.parametrize(
        ("text", "axis"),
        [
            ("lr=0.1,0.3,0.5", Axis("lr", ("0.1", "0.3", "0.5"))),
            ("mixer=qmix", Axis("mixer", ("qmix",))),
            ("layers=[64,64],[128]", Axis("layers", ("[64,64]", "[128]"))),
            ("epochs=5..15", Axis("epochs", (), 5, 15)),
            ("lr=log:1e-4..1e-2", Axis("lr", (), 1e-4, 1e-2, True)),
            ("lr=-1.5..-.5", Axis("lr", (), -1.5, -0.5)),
            ("env_args.step_mul=4,8", Axis("env_args.step_mul", ("4", "8"))),
        ],
    )
    def test_lists_and_ranges(self, text, axis):
        assert parse_axis(text) == axis

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("lr", "is not of the form"),
            ("=1", "is not of the form"),
            ("lr=", "names no values"),
            ("lr=,", "names no values"),
            ("lr=1,1", "names a value twice"),
            ("lr=3..1", "must go upwards"),
            ("lr=log:0..1", "must begin above 0"),
        ],
    )
    def test_mistakes_are_a_sentence(self, text, sentence):
        with pytest.raises(UserError, match=sentence):
            parse_axis(text)

    def test_commas_in_brackets_and_quotes_do_not_split(self):
        assert split_values("[1, 2],(3,4), 'a,b' ,c") == ["[1, 2]", "(3,4)", "'a,b'", "c"]


class TestGrid:
    def test_all_combinations_in_the_order_of_the_axes(self):
        axes = [Axis("lr", ("1", "2")), Axis("epochs", ("5", "6"))]
        assert [tuple(point.values()) for point in points(axes, 0, 0, CONFIG)] == [
            ("1", "5"),
            ("1", "6"),
            ("2", "5"),
            ("2", "6"),
        ]

    def test_without_axes_there_is_one_point(self):
        assert points([], 0, 0, CONFIG) == [{}]

    def test_values_get_the_types_of_the_configuration(self):
        point = {"lr": "1e-4", "epochs": "7", "env_args.step_mul": "4", "layers": "[1,2]", "flag": "false"}
        assert typed(point, CONFIG) == {
            "lr": 1e-4,
            "epochs": 7,
            "env_args.step_mul": 4,
            "layers": [1, 2],
            "flag": False,
        }

    @pytest.mark.parametrize(
        ("axes", "n", "sentence"),
        [
            ([Axis("lr", (), 0, 1)], 0, "add --random N"),
            ([], 3, "needs something to draw"),
            ([Axis("lr", ("1",)), Axis("lr", ("2",))], 0, "swept twice"),
            ([Axis("epochs", ("5", "6"))], 3, "only 2 different combinations were found"),
        ],
    )
    def test_mistakes_are_a_sentence(self, axes, n, sentence):
        with pytest.raises(UserError, match=sentence):
            points(axes, n, 0, CONFIG)


class TestRandom:
    AXES = (Axis("lr", (), 1e-4, 1e-2, True), Axis("epochs", (), 3, 6), Axis("mixer", ("vdn", "qmix")))

    def test_the_same_seed_draws_the_same_and_more_draws_begin_alike(self):
        first = points(self.AXES, 5, 7, CONFIG)
        assert points(self.AXES, 5, 7, CONFIG) == first
        assert points(self.AXES, 9, 7, CONFIG)[:5] == first
        assert points(self.AXES, 5, 8, CONFIG) != first

    def test_no_combination_comes_twice(self):
        drawn = points([Axis("epochs", (), 1, 4)], 4, 0, CONFIG)
        assert sorted(int(point["epochs"]) for point in drawn) == [1, 2, 3, 4]

    def test_a_logarithmic_range_is_drawn_evenly_over_its_decades(self):
        drawn = [float(point["lr"]) for point in points(self.AXES[:1], 400, 0, CONFIG)]
        share = sum(value < 1e-3 for value in drawn) / len(drawn)
        assert share == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / 400))

    @settings(max_examples=50, deadline=None)
    @given(st.integers(0, 100), st.integers(3, 20), st.integers(0, 2**31))
    def test_draws_stay_within_their_range(self, low, width, seed):
        axes = [Axis("epochs", (), low, low + width), Axis("lr", (), low + 0.123456, low + 0.123457)][: 1 + low % 2]
        for point in points(axes, 3, seed, CONFIG):
            assert low <= int(point["epochs"]) <= low + width
            assert low + 0.123456 <= float(point.get("lr", low + 0.123456)) <= low + 0.123457

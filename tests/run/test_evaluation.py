"""Intervals, the choice of models, and the table of episodes."""

import csv
import math
from types import SimpleNamespace

import pytest

from run.assembly import Parts
from run.evaluation import evaluate, find_models, student, wilson
from utils.errors import UserError


class TestIntervals:
    def test_wilson_has_its_published_values(self):
        # Newcombe 1998, table I: 81 of 263 and 0 of 20
        interval = wilson(81, 263)
        assert (round(interval.low, 4), round(interval.high, 4)) == (0.2553, 0.3662)
        interval = wilson(0, 20)
        assert interval.low == 0.0
        assert interval.high == pytest.approx(0.1611, abs=5e-5)

    def test_wilson_is_symmetric_and_stays_within_0_and_1(self):
        won, lost = wilson(32, 32), wilson(0, 32)
        assert won.high == 1.0
        assert won.low == pytest.approx(1 - lost.high)

    def test_student_has_its_closed_form(self):
        interval = student([1.0, 2.0, 3.0])
        half = 4.302652729911275 * 1.0 / math.sqrt(3)  # t quantile 0.975 with 2 degrees of freedom, deviation 1
        assert interval.mean == 2.0
        assert interval.high - interval.mean == pytest.approx(half)
        assert interval.mean - interval.low == pytest.approx(half)

    def test_a_single_value_says_nothing_about_the_mean(self):
        assert student([5.0]).high == math.inf


class TestFindModels:
    @pytest.fixture
    def models(self, tmp_path):
        for step in (100, 900, 2000):
            (tmp_path / str(step)).mkdir()
        (tmp_path / "buffer").mkdir()
        return tmp_path

    @pytest.mark.parametrize(("load_step", "expected"), [(0, 2000), (100, 100), (600, 900), (10**9, 2000)])
    def test_the_latest_or_the_nearest(self, models, load_step, expected):
        assert find_models(str(models), load_step) == (models / str(expected), expected)

    def test_a_folder_of_models_is_taken_as_it_is(self, models):
        (models / "900" / "agent.th").touch()
        assert find_models(str(models / "900"), 0) == (models / "900", 900)

    def test_an_empty_or_missing_folder_is_refused(self, models):
        with pytest.raises(UserError, match="holds no models"):
            find_models(str(models / "buffer"), 0)
        with pytest.raises(UserError, match="is not a folder"):
            find_models(str(models / "nowhere"), 0)


class FakeRunner:
    """Plays four episodes at a time; every third is won."""

    def __init__(self):
        self.n = 0
        self.last_episodes = []

    def run(self, test_mode):
        assert test_mode
        numbers = range(self.n, self.n + 4)
        self.n += 4
        self.last_episodes = [
            {"return": float(i), "length": 10 + i, "battle_won": i % 3 == 0, "dead_allies": 1.0, "extra": 9}
            for i in numbers
        ]


def test_exactly_the_asked_for_episodes_are_written(tmp_path):
    parts = Parts(FakeRunner(), None, None, None, None)
    summary = evaluate(parts, SimpleNamespace(test_nepisode=10), tmp_path / "new" / "evaluation.csv")
    with open(tmp_path / "new" / "evaluation.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["episode"] for row in rows] == [str(i) for i in range(10)]
    assert rows[3] == {
        "episode": "3", "return": "3.0", "length": "13", "battle_won": "1", "dead_allies": "1",
        "dead_enemies": "", "timeout": "",
    }  # fmt: skip
    assert summary["episodes"] == 10
    assert summary["return"]["mean"] == 4.5
    assert summary["win_rate"]["mean"] == 0.4


def test_a_runner_without_single_episodes_is_refused(tmp_path):
    runner = SimpleNamespace(run=lambda test_mode: None)
    with pytest.raises(UserError, match='"SimpleNamespace" does not report single episodes'):
        evaluate(Parts(runner, None, None, None, None), SimpleNamespace(test_nepisode=1), tmp_path / "x.csv")


class TestReplays:
    def test_the_runner_is_asked_after_the_last_episode(self, tmp_path):
        runner = FakeRunner()
        saved_after = []
        runner.save_replay = lambda: saved_after.append(runner.n)
        args = SimpleNamespace(test_nepisode=8, save_replay=True)
        evaluate(Parts(runner, None, None, None, None), args, tmp_path / "x.csv")
        assert saved_after == [8]

    def test_what_cannot_record_says_so(self, tmp_path):
        runner = FakeRunner()
        args = SimpleNamespace(test_nepisode=4, save_replay=True)
        with pytest.raises(UserError, match='the runner "FakeRunner" records no replays'):
            evaluate(Parts(runner, None, None, None, None), args, tmp_path / "x.csv")
        assert runner.n == 0, "refused before anything is played"

        def refuse():
            raise NotImplementedError("No replays yet.")

        runner.save_replay = refuse
        with pytest.raises(UserError, match=r"save_replay=True: No replays yet\."):
            evaluate(Parts(runner, None, None, None, None), args, tmp_path / "x.csv")

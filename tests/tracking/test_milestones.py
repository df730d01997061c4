"""Steps, episodes and seconds to 90 %."""

from tracking.milestones import Milestones


def play(milestones, win_rates):
    return [milestones.test(rate, 1000 * i, 10 * i, 2.0 * i, 3.0 * i) for i, rate in enumerate(win_rates, 1)]


def test_first_and_sustained_crossing_are_told_apart():
    new = play(Milestones(evaluations=2), [0.5, 0.90625, 0.5, 1.0, 0.9, 1.0])
    expected = {"steps_to_90": 2000, "episodes_to_90": 20, "seconds_to_90": 4, "cpu_seconds_to_90": 6}
    sustained = {key.replace("_90", "_sustained_90"): 5 * value / 2 for key, value in expected.items()}
    assert new == [{}, expected, {}, {}, sustained, {}]


def test_resuming_goes_on_counting():
    first, second = Milestones(evaluations=2), Milestones(evaluations=2)
    play(first, [0.95])
    second.load_state_dict(first.state_dict())
    assert second.test(1.0, 2000, 20, 4.0, 6.0)["steps_to_sustained_90"] == 2000
    assert second.reached["steps_to_90"] == 1000

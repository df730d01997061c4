"""Policies that need no training fare about as in the real game."""

import numpy as np
import pytest

from skirmish.calibrate import REAL_LENGTH, REAL_RETURN, play_nearest, play_random

EPISODES = 400


@pytest.mark.parametrize("name", ["3m", "8m", "25m"])
def test_random_play_loses_as_in_the_real_game(name):
    ours, real = play_random(name, EPISODES, seed=1), REAL_LENGTH[name]
    assert not ours.won.any()
    assert ours.dead_allies.mean() > 0.97 * ours.dead_allies.max()
    assert ours.dead_enemies.mean() < 0.2
    # Two standard errors of the real sample, and 10 % for what the model is known to miss.
    assert abs(ours.length.mean() - real.mean) < 0.1 * real.mean + 2 * real.deviation / np.sqrt(real.episodes)
    if name in REAL_RETURN:
        reference = REAL_RETURN[name]
        error = 2 * reference.deviation / np.sqrt(reference.episodes)
        assert abs(ours.episode_return.mean() - reference.mean) < 0.05 * reference.mean + error
        assert 0.7 < ours.episode_return.std() / reference.deviation < 1.3


@pytest.mark.parametrize(("name", "least", "most"), [("3m", 0.4, 0.95), ("8m", 0.4, 0.95), ("5m_vs_6m", 0, 0.1)])
def test_attacking_the_nearest_wins_the_even_fights_only(name, least, most):
    assert least <= play_nearest(name, EPISODES, seed=1).won.mean() <= most


def test_attacking_the_nearest_loses_27m_vs_30m_and_wins_two_against_one():
    assert play_nearest("27m_vs_30m", 60, seed=1).won.mean() < 0.1
    assert play_nearest("2m_vs_1m", 60, seed=1).won.all()


def test_an_army_that_stays_away_times_out():
    # Random play of three marines sometimes leaves one where no enemy looks.
    assert 0 < (play_random("3m", EPISODES, seed=1).length == 60).mean() < 0.15

"""Predator-prey: catches and fines by hand, walls, views, streams."""

import numpy as np
import pytest

from envs import REGISTRY
from envs.predator_prey import CATCH, GONE, PredatorPrey

STAY = 4


def placed(agents, prey, **arguments):
    """A game of one with everybody where they are told to be."""
    games = PredatorPrey(1, 0, n_agents=len(agents), n_prey=len(prey), grid=8, **arguments)
    games.reset()
    games._place[0] = [*agents, *prey]
    return games


def play(games, *actions):
    return games.step(np.array([actions]))


def test_two_agents_catch_a_prey_together_and_leave_with_it():
    games = placed([(3, 3), (5, 3), (0, 0), (0, 2)], [(4, 3), (7, 7)])
    result = play(games, CATCH, CATCH, STAY, STAY)
    assert result.reward[0] == 10
    assert games._there[0].tolist() == [False, False, True, True, False, True]
    assert games.available(np.arange(1))[0, 0].tolist() == [False] * GONE + [True]
    assert not result.terminated[0]


def test_one_that_tries_alone_is_fined():
    games = placed([(3, 3), (5, 3)], [(4, 3)])
    assert play(games, CATCH, STAY).reward[0] == -2
    games = placed([(3, 3), (5, 3), (4, 4)], [(4, 3)], miscoordination_penalty=-1.5)
    assert play(games, CATCH, CATCH, CATCH).reward[0] == 10 - 1.5  # the third comes too late


@pytest.mark.parametrize(
    ("agents", "prey", "over", "won"),
    [
        ([(3, 3), (5, 3)], [(4, 3)], True, True),
        ([(3, 3), (5, 3)], [(4, 3), (0, 0)], True, True),  # nobody is left to catch the other one
        ([(3, 3), (5, 3), (7, 7)], [(4, 3), (0, 0)], True, True),
        ([(3, 3), (5, 3), (7, 7), (7, 6)], [(4, 3), (0, 0)], False, False),
    ],
)
def test_a_game_is_over_and_won_when_all_that_can_be_caught_is(agents, prey, over, won):
    result = play(placed(agents, prey), CATCH, CATCH, *[STAY] * (len(agents) - 2))
    assert (result.terminated[0], result.battle_won[0]) == (over, won)


def test_the_usual_game_can_be_won():
    pairs = [(x, y) for y in (0, 2, 4, 6) for x in (3, 5)]
    games = placed(pairs, [(4, y) for y in (0, 2, 4, 6)] + [(0, y) for y in (1, 3, 5, 7)])
    result = play(games, *[CATCH] * 8)
    assert result.reward[0] == 40
    assert result.terminated[0] and result.battle_won[0]


def test_catching_needs_a_prey_beside_and_moves_stay_on_the_grid():
    games = placed([(0, 0), (7, 7)], [(0, 1), (4, 4)])
    assert games.available(np.arange(1))[0].tolist() == [
        [True, False, True, False, True, True, False],
        [False, True, False, True, True, False, False],
    ]
    with pytest.raises(ValueError, match="Agent 1 cannot take action 5 now"):
        play(games, STAY, CATCH)


def test_the_view_shows_others_prey_and_the_edge():
    games = placed([(0, 0), (1, 0)], [(0, 2)], sight=2)
    view = games.observations(np.arange(1))[0, 0, :75].reshape(5, 5, 3)
    assert view[3, 2].tolist() == [1, 0, 0]  # the other agent, one to the east
    assert view[2, 4].tolist() == [0, 1, 0]  # the prey, two to the north
    assert view[2, 2].tolist() == [0, 0, 0]  # not oneself
    assert view[:2, :, 2].all()
    assert view[:, :2, 2].all()


def test_nobody_ever_shares_a_cell_and_a_game_does_not_depend_on_its_neighbours():
    def course(n_battles):
        games, random = PredatorPrey(n_battles, seed=3), np.random.default_rng(0)
        games.reset()
        for _ in range(50):
            chance = random.random((1, 8, 7)) * games.available(np.arange(n_battles))[:1]
            games.step(np.repeat(chance.argmax(2), n_battles, axis=0), np.arange(n_battles) == 0)
            places = games._place[0][games._there[0]]
            assert len(np.unique(places, axis=0)) == len(places)
        return games._place[0].copy()

    assert np.array_equal(course(1), course(3))


def test_a_restored_game_goes_on_as_the_first_one_did():
    games = PredatorPrey(2, seed=1)
    games.reset()
    games.step(np.full((2, 8), STAY))
    saved = games.snapshot()

    def go_on():
        for _ in range(5):
            games.step(np.full((2, 8), STAY))
        games.reset()
        return games._place.copy()

    first = go_on()
    games.restore(saved)
    assert np.array_equal(first, go_on())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gird": 5}, 'no environment argument "gird". Did you mean "grid"'),
        ({"n_agents": 1}, "needs 2 agents"),
        ({"grid": 3}, "crowd a grid of 9 cells"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        REGISTRY["predator_prey"](**arguments)

"""Policies that need no training choose what is available and what they say."""

import numpy as np
import pytest

from skirmish.battles import Battles
from skirmish.fidelity import main, read_windows
from skirmish.playing import play
from skirmish.policies import EpsilonGreedy, Frame, Kite, Priority, UniformRandom, UntrainedNetworks, priorities


def frame_of(battles):
    obs, state, avail = battles.frame()
    battles.reset()
    battles.observe(obs, state, avail)
    return Frame(obs, avail, battles.engine.units)


def networks(battles, count, seed=0):
    return UntrainedNetworks(count, battles.n_agents, battles.obs_size, battles.n_actions, seed)


@pytest.mark.parametrize("name", ["3m", "2s3z", "MMM"])
def test_every_policy_plays_legally_to_the_end(name):
    battles = Battles(name, 8, seed=1)
    epsilon = np.linspace(0, 1, 8)
    policies = [UniformRandom(0), networks(battles, 4), EpsilonGreedy(networks(battles, 2), epsilon, 0), Kite()]
    policies += [Priority(order, battles.n_actions) for order in priorities(battles.n_enemies).values()]
    for policy in policies:
        outcomes = play(battles, policy)  # an illegal action would raise
        assert (outcomes.length > 0).all()
        assert (outcomes.length <= battles.episode_limit).all()


def test_uniform_random_play_is_uniform():
    battles = Battles("3m", 3000, seed=1)
    frame = frame_of(battles)
    chosen = UniformRandom(0)(frame)
    counts = np.bincount(chosen.ravel(), minlength=battles.n_actions)
    open_actions = frame.avail[0, 0] > 0
    assert counts[~open_actions].sum() == 0
    np.testing.assert_allclose(counts[open_actions] / counts.sum(), 1 / open_actions.sum(), rtol=0.1)


def test_a_priority_takes_the_first_available_action():
    battles = Battles("3m", 2, seed=1)
    frame = frame_of(battles)
    assert (Priority((6, 7, 4), battles.n_actions)(frame) == 4).all()  # nobody is in reach at first


def test_epsilon_of_one_is_random_and_of_zero_is_greedy():
    battles = Battles("3m", 400, seed=1)
    frame = frame_of(battles)
    greedy = networks(battles, 1, seed=3)(frame)
    chosen = EpsilonGreedy(networks(battles, 1, seed=3), np.repeat([0.0, 1.0], 200), 0)(frame)
    assert (chosen[:200] == greedy[:200]).all()
    assert len(np.unique(chosen[200:, 0])) == frame.avail[0, 0].sum()


def test_networks_are_alike_within_and_differ_between_themselves():
    battles = Battles("3m", 4, seed=1)
    frame = frame_of(battles)
    frame.obs[:] = frame.obs[:1]
    values = networks(battles, 2).values(frame)
    np.testing.assert_allclose(values[0], values[1], atol=1e-6)
    assert abs(values[0] - values[2]).max() > 0.01
    with pytest.raises(ValueError, match="4 battles cannot be split evenly over 3 networks"):
        networks(battles, 3).values(frame)


def test_the_program_prints_its_tables_and_writes_its_numbers(capsys, tmp_path):
    run = tmp_path / "sacred" / "3m" / "qmix" / "1"
    run.mkdir(parents=True)
    names = ("ep_length_mean", "return_mean", "dead_allies_mean", "dead_enemies_mean", "battle_won_mean")
    entries = ", ".join(f'"{name}": {{"steps": [100, 10100, 30000], "values": [1.0, 2.0, 9.0]}}' for name in names)
    (run / "metrics.json").write_text(f"{{{entries}}}")
    (run / "config.json").write_text('{"env_args": {"map_name": "3m"}}')
    assert read_windows(tmp_path)["3m"]["return"].mean == 1.5
    target = tmp_path / "out.json"
    main(["--maps", "3m,3s_vs_3z", "--episodes", "16", "--windows", str(tmp_path), "--json", str(target)])
    printed = capsys.readouterr().out
    assert "| 3m | length |" in printed
    assert "| 3s_vs_3z |" in printed
    assert "kiting" in printed
    assert target.stat().st_size > 1000

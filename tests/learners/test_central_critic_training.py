"""MADDPG and MASAC learn: a matrix game, 3m, and continuous actions on simple_spread."""

import pytest
from short_training import Training

PAYOFF = [[2.0, 0.0, 1.0], [0.0, 2.0, 1.0], [1.0, 1.0, 6.0]]  # three ways to agree, one of them best

pytest.importorskip("mpe2", reason="python -m pip install -r requirements-envs.txt")


@pytest.fixture
def training(tmp_path):
    """`training(name, ...)` -> a `Training`, closed in the end."""
    made = []

    def make(name, **keys):
        made.append(Training(name, tmp_path, **keys))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("name", ["maddpg", "masac"])
def test_a_team_finds_the_best_way_to_agree(name, training):
    keys = {"batch_size": 64, "batch_size_run": 32, "updates_per_batch": 5, "lr": 3e-3, "critic_lr": 3e-3}
    game = training(name, env="matrix_game", env_args={"payoff": PAYOFF}, **keys)
    game.until(2_000)
    assert game.returns[0] < 2.5
    assert game.win_rate(32) == 1.0


@pytest.mark.parametrize("name", ["maddpg", "masac"])
def test_discrete_actions_are_learned_on_3m(name, training):
    battle = training(name)
    battle.until(6_000)
    assert sum(battle.returns[:5]) / 5 < 3  # an untrained team
    assert sum(battle.returns[-10:]) / 10 > 6  # above those that attack without having learned


@pytest.mark.parametrize("name", ["maddpg", "masac"])
def test_one_agent_learns_to_steer_by_continuous_actions(name, training):
    keys = {"updates_per_batch": 40, "batch_size": 128, "critic_layers": [64, 64]}
    steering = training(name, env="pettingzoo", env_args={"kwargs": {"N": 1}}, **keys)
    steering.until(4_000)
    assert sum(steering.returns[:5]) / 5 < -11
    assert sum(steering.returns[-5:]) / 5 > -10.5


@pytest.mark.long
@pytest.mark.parametrize("name", ["maddpg", "masac"])
def test_a_team_learns_to_spread_by_continuous_actions(name, training):
    team = training(name, env="pettingzoo")
    team.until(16_000)  # at random: -77
    assert sum(team.returns[-20:]) / 20 > -67

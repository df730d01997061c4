"""States as units: what SMAC's columns mean, there and back."""

import pytest
import torch

from envs.smac import SMACEnv
from modules.world_models import ObsBlocks, StateLayout
from skirmish.battles import Battles

ALLY = ("health", "energy/cooldown", "rel_x", "rel_y")
ENEMY = ("health", "rel_x", "rel_y")


@pytest.fixture
def layout():
    return StateLayout(2, 7, 2 * 4 + 1 * 3 + 2 * 7, ALLY, 1, ENEMY)


def test_tokens_name_each_units_columns_and_leave_what_enemies_lack_at_zero(layout):
    state = torch.arange(1.0, 26.0)
    tokens = layout.tokens(state)
    assert tokens.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 0, 10, 11]]


def test_state_of_tokens_restores_units_and_writes_the_last_actions(layout):
    tokens = layout.tokens(torch.arange(1.0, 26.0).repeat(3, 1))
    state = layout.state(tokens, torch.tensor([[0, 6], [1, 2], [3, 3]]))
    assert torch.equal(layout.tokens(state), tokens)
    assert state[0, 11:].nonzero().flatten().tolist() == [0, 13]
    assert state[1, 11:].nonzero().flatten().tolist() == [1, 9]


def test_a_unit_without_health_is_dead(layout):
    state = torch.ones(25)
    state[4] = 0.0
    assert layout.alive(layout.tokens(state)).tolist() == [True, False, True]


def test_a_state_that_names_no_units_is_one_token_that_always_lives():
    layout = StateLayout(2, 3, 5)
    tokens = layout.tokens(torch.zeros(4, 5))
    assert tokens.shape == (4, 1, 5) and layout.alive(tokens).all() and layout.n_target_actions == 0
    assert torch.equal(layout.state(tokens + 2, torch.zeros(4, 2, dtype=torch.long)), torch.full((4, 5), 2.0))


def test_observations_instead_of_a_state_are_not_read_as_units():
    assert not StateLayout(2, 7, 2 * 30, ALLY, 1, ENEMY).has_units


def test_tokens_of_a_real_battle_are_its_units():
    battles = Battles("3m", 1, seed=0, notify=None)
    battles.reset()
    obs, state, avail = battles.frame()
    battles.observe(obs, state, avail)
    info = battles.get_env_info()
    layout = StateLayout(3, 9, info["state_shape"], tuple(info["agent_features"]), 3, tuple(info["enemy_features"]))
    tokens = layout.tokens(torch.from_numpy(state))[0]
    units = battles.engine.units
    assert torch.allclose(tokens[:, 2] * 32 + 16, torch.from_numpy(units.x[0]), atol=1e-4)
    assert (tokens[:, 0] == 1).all() and layout.last_action_start == 21


def test_blocks_add_up():
    assert ObsBlocks(4, (3, 5), (2, 5), 1).size == 30


def test_a_healers_targets_are_agents_and_everybody_elses_are_enemies():
    layout = StateLayout(3, 6 + 3, 3 * 4 + 3 * 3, ALLY, 3, ENEMY, healers=[2])
    target = torch.zeros(1, 3, 3)
    target[0, 0, 1] = target[0, 2, 1] = 1.0
    pairs = layout.targets(target)[0]
    assert pairs.nonzero().tolist() == [[0, 3 + 1], [2, 1]]


def test_the_medivac_of_a_real_battle_is_the_healer():
    assert SMACEnv("MMM").get_env_info()["healers"] == [9]
    assert SMACEnv("3m").get_env_info()["healers"] == []

"""One battle with agents by name."""

import numpy as np
import pytest

from skirmish.dict_env import DictEnv, agent_names
from skirmish.env import StarCraft2Env
from skirmish.rules import IllegalActionError, NotRunningError


def test_agents_are_named_by_type_and_number():
    assert agent_names(("Stalker", "Stalker", "Zealot")) == ("stalker_0", "stalker_1", "zealot_0")


def test_it_plays_the_battle_of_the_plain_environment():
    named, plain = DictEnv(map_name="3m", seed=5), StarCraft2Env(map_name="3m", seed=5)
    obs, state = named.reset()
    plain.reset()
    assert named.get_stats()["battles_game"] == 0
    random = np.random.default_rng(1)
    dones = {"__all__": False}
    while not dones["__all__"]:
        assert list(obs) == list(named.agents) == ["marine_0", "marine_1", "marine_2"]
        np.testing.assert_array_equal(list(obs.values()), plain.get_obs())
        np.testing.assert_array_equal(state, plain.get_state())
        masks = named.get_avail_actions()
        assert [mask.tolist() for mask in masks.values()] == plain.get_avail_actions()
        actions = {name: random.choice(np.flatnonzero(mask)) for name, mask in masks.items()}
        reward, terminated, info = plain.step(list(actions.values()))
        # The dead need no action.
        obs, state, rewards, dones, infos = named.step({name: a for name, a in actions.items() if a})
        assert rewards == dict.fromkeys(named.agents, reward)
        assert infos == dict.fromkeys(named.agents, info)
        assert [dones[name] for name in named.agents] == [terminated or not lives for lives in plain.living]
    assert named.get_stats() == plain.get_stats()
    with pytest.raises(NotRunningError, match="has ended"):
        named.step(actions)


def test_a_new_seed_begins_anew_and_resets_do_not_change_the_rewards():
    env = DictEnv(map_name="3m", seed=1)
    histories = []
    for _ in range(2):
        obs, _ = env.reset(seed=4)
        rewards = []
        for _ in range(12):
            living = [name for name in env.agents if obs[name].any()]
            obs, _, reward, _, _ = env.step(dict.fromkeys(living, 1))
            rewards.append((reward, {name: row.tolist() for name, row in obs.items()}))
        histories.append(rewards)
    assert histories[0] == histories[1]
    assert env.env.max_reward == 365


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ({"marine_0": 1, "marine_1": 1, "marine2": 1}, 'There is no agent "marine2". Did you mean "marine_2"?'),
        ({"marine_0": 1, "marine_1": 1}, 'The living agent "marine_2" has no action'),
        ({"marine_0": 1, "marine_1": "stop", "marine_2": 1}, "agent \"marine_1\" must be a whole number, not 'stop'"),
        ({"marine_0": 1, "marine_1": 1.5, "marine_2": 1}, 'agent "marine_1" must be a whole number, not 1.5'),
        (
            {"marine_0": 1, "marine_1": 6, "marine_2": 1},
            "Agent 1 (marine_1) cannot take action 6 (attack enemy 0) in step 0; available: 1",
        ),
    ],
)
def test_wrong_actions_are_told_by_name_and_change_nothing(actions, message):
    env = DictEnv(map_name="3m", seed=1)
    with pytest.raises(NotRunningError, match="has not begun"):
        env.step(actions)
    env.reset()
    before = env.env.snapshot()
    with pytest.raises(IllegalActionError) as caught:
        env.step(actions)
    assert message in str(caught.value)
    after = env.env.snapshot()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_sizes_come_with_names():
    info = DictEnv(map_name="3m").get_env_info()
    assert info["agents"] == ("marine_0", "marine_1", "marine_2")
    assert info["obs_shape"] == 30

"""The vector runner: whole episodes, honest masks, tests that disturb nothing, complete state."""

import numpy as np
import pytest
import torch

from envs import VECTOR_REGISTRY
from skirmish.rules import StepResult


def copy_of(batch):
    return {key: value.clone() for key, value in batch.data.transition_data.items()}


def same(first, second):
    return all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture
def runner(make_runner):
    return make_runner()


def test_every_row_is_one_whole_episode(runner):
    batch = runner.run()
    lengths = batch["filled"].sum((1, 2)) - 1
    assert lengths.tolist() == [row["length"] for row in runner.last_episodes]
    assert runner.t_env == lengths.sum()
    for b, length in enumerate(lengths.tolist()):
        assert batch["terminated"][b].flatten().nonzero().flatten().tolist() == [length - 1]
        assert batch["avail_actions"][b, : length + 1].any(-1).all()
        assert batch["reward"][b].sum().item() == pytest.approx(runner.last_episodes[b]["return"], rel=1e-5)


def test_nothing_is_written_behind_the_closing_frame(runner):
    for _ in range(4):  # two batches alternate: the third run writes over the first
        batch = runner.run()
        padding = batch["filled"] == 0
        for key in ("obs", "state", "avail_actions", "actions", "reward", "terminated"):
            values = batch[key].flatten(2)
            assert (values * padding).abs().sum() == 0, key


def test_actions_taken_were_available(runner):
    batch = runner.run()
    taken = batch["avail_actions"][:, :-1].gather(3, batch["actions"][:, :-1])
    assert (taken[batch["filled"][:, 1:, 0] == 1] == 1).all()


def test_a_batch_survives_the_next_run(runner):
    first = runner.run()
    kept = copy_of(first)
    runner.run()
    assert same(copy_of(first), kept)


def test_the_same_seed_gives_the_same_episodes(make_runner):
    first, second, third = make_runner(), make_runner(), make_runner(seed=2)
    batches = [copy_of(runner.run()) for runner in (first, second, third)]
    assert same(batches[0], batches[1])
    assert not same(batches[0], batches[2])


def test_tests_do_not_disturb_training(make_runner):
    plain, tested = make_runner(), make_runner()
    plain.run(), tested.run()
    for _ in range(2):
        tested.run(test_mode=True)
    assert tested.t_env == plain.t_env
    assert same(copy_of(plain.run()), copy_of(tested.run()))


def test_exactly_the_asked_for_test_episodes_are_played(runner):
    runner.run(test_mode=True)
    assert "test_return_mean" not in runner.logger.stats
    runner.run(test_mode=True)
    assert len(runner.logger.stats["test_return_mean"]) == 1
    assert len(runner.last_episodes) == 2
    assert runner.statistics.test_rows == []


def test_pymarls_names_are_logged(runner):
    runner.run()
    names = {"return_mean", "return_std", "ep_length_mean", "battle_won_mean", "dead_allies_mean", "dead_enemies_mean"}
    assert names <= set(runner.logger.stats)
    returns = [row["return"] for row in runner.last_episodes]
    assert runner.logger.stats["return_mean"][0] == (runner.t_env, pytest.approx(sum(returns) / 4))


def test_state_dict_resumes_engines_and_tests_to_the_bit(make_runner):
    first, second = make_runner(), make_runner()
    first.run(), first.run(test_mode=True)
    second.load_state_dict(first.state_dict())
    second.mac.load_state_dict(first.mac.state_dict())
    assert second.t_env == first.t_env
    assert same(copy_of(first.run()), copy_of(second.run()))
    assert same(copy_of(first.run(test_mode=True)), copy_of(second.run(test_mode=True)))
    assert first.logger.stats["test_return_mean"] == second.logger.stats["test_return_mean"]


class Countdown:
    """A stand-in for battles: battle b times out after b + 1 steps and pays 1 a step."""

    n_agents, n_actions = 2, 3

    def __init__(self, n_battles, seed, **env_args):
        self.t, self.lengths = 0, np.arange(n_battles) + 1

    def get_env_info(self):
        sizes = {"n_agents": 2, "n_actions": 3, "obs_shape": 1, "state_shape": 1}
        return {**sizes, "episode_limit": len(self.lengths)}

    def reset(self, rows):
        self.t = 0

    def observe(self, obs, state, avail, rows):
        obs[rows], state[rows], avail[rows] = self.t, self.t, 1

    def step(self, actions, rows):
        self.t += 1
        ended = rows & (self.lengths == self.t)
        nothing = np.zeros(len(rows))
        return StepResult(rows.astype(float), ended, nothing > 0, nothing, nothing, ended)

    def close(self):
        pass


@pytest.mark.parametrize("continuing", [False, True])
def test_time_outs_are_terminal_unless_episodes_continue(make_runner, monkeypatch, continuing):
    monkeypatch.setitem(VECTOR_REGISTRY, "countdown", Countdown)
    runner = make_runner(env="countdown", env_args={"continuing_episode": continuing})
    batch = runner.run()
    assert [row["length"] for row in runner.last_episodes] == [1, 2, 3, 4]
    assert all(row["timeout"] for row in runner.last_episodes)
    assert batch["terminated"].sum() == (0 if continuing else 4)
    assert batch["reward"].sum((1, 2)).tolist() == [1, 2, 3, 4]
    assert batch["filled"].sum((1, 2)).tolist() == [2, 3, 4, 5]
    assert batch["obs"][3, :, 0, 0].tolist() == [0, 1, 2, 3, 4]

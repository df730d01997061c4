"""Engine and rules together."""

import numpy as np
import pytest

from skirmish.battles import Battles
from skirmish.maps import MapError
from skirmish.rules import IllegalActionError


def random_actions(avail, random):
    return (random.random(avail.shape) * avail).argmax(axis=-1)


def play(battles, steps, seed):
    """Random legal play; returns every frame and reward."""
    random = np.random.default_rng(seed)
    frame, log = battles.frame(), []
    battles.observe(*frame)
    for _ in range(steps):
        result = battles.step(random_actions(frame[2], random))
        if result.terminated.any():
            battles.reset(result.terminated)
        battles.observe(*frame)
        log.append([array.copy() for array in (*frame, result.reward, result.terminated)])
    return log


def assert_same(first, second):
    for ours, theirs in zip(first, second):
        for a, b in zip(ours, theirs):
            np.testing.assert_array_equal(a, b)


def test_sizes_are_those_of_smac():
    battles = Battles("3m", 2)
    assert (battles.n_agents, battles.n_enemies, battles.n_actions, battles.episode_limit) == (3, 3, 9, 60)
    assert (battles.obs_size, battles.state_size) == (30, 48)
    info = battles.get_env_info()
    assert (info["obs_shape"], info["state_shape"], info["n_enemies"]) == (30, 48, 3)


def test_an_unknown_map_is_refused_before_anything_is_compiled():
    lines = []
    with pytest.raises(MapError, match='Did you mean "corridor"'):
        Battles("coridor", notify=lines.append)
    assert lines == []


def test_random_play_never_meets_an_illegal_action_and_ends():
    battles = Battles("3m", 16, seed=4)
    battles.reset()
    log = play(battles, 80, seed=1)
    assert sum(int(terminated.sum()) for *_, terminated in log) >= 16
    assert battles.get_stats()["battles_game"] >= 16
    assert all(np.isfinite(array).all() for frame in log for array in frame)


def test_an_illegal_action_is_named_and_moves_nothing():
    battles = Battles("3m", 2)
    battles.reset()
    before = battles.snapshot()
    actions = np.ones((2, 3), dtype=np.int64)
    actions[1, 2] = 7
    with pytest.raises(IllegalActionError, match=r"[Aa]gent 2 of battle 1 .*7"):
        battles.step(actions)
    after = battles.snapshot()
    assert all((before[name] == after[name]).all() for name in before)


def test_rows_left_out_stand_still_and_report_nothing():
    battles = Battles("3m", 3)
    battles.reset()
    before = battles.snapshot()
    result = battles.step(np.ones((3, 3), dtype=np.int64), np.array([True, False, True]))
    after = battles.snapshot()
    np.testing.assert_array_equal(before["engine.x"][1], after["engine.x"][1])
    assert (before["engine.x"][0] != after["engine.x"][0]).any()
    assert not result.terminated.any()
    assert result.reward[1] == 0


def test_observing_into_one_time_step_of_a_batch_equals_observing_into_arrays():
    battles = Battles("8m", 4, seed=1)
    battles.reset()
    obs, state, avail = battles.frame()
    battles.observe(obs, state, avail)
    batch = [np.zeros((array.shape[0], 7, *array.shape[1:]), array.dtype) for array in (obs, state, avail)]
    battles.observe(*(array[:, 3] for array in batch))
    for flat, batched in zip((obs, state, avail), batch):
        np.testing.assert_array_equal(flat, batched[:, 3])
        assert not batched[:, 2].any()


def test_equal_seeds_give_equal_histories():
    histories = []
    for _ in range(2):
        battles = Battles("5m_vs_6m", 4, seed=11)
        battles.reset()
        histories.append(play(battles, 50, seed=3))
    assert_same(*histories)


def test_restoring_a_snapshot_continues_to_the_bit():
    battles = Battles("8m", 3, seed=5)
    battles.reset()
    play(battles, 17, seed=1)
    saved = battles.snapshot()
    first, stats = play(battles, 60, seed=2), battles.get_stats()
    battles.restore(saved)
    assert_same(first, play(battles, 60, seed=2))
    assert battles.get_stats() == stats


def test_step_mul_sets_the_loops_of_a_step():
    distances = {}
    for loops in (4, 8):
        battles = Battles("3m", 1, step_mul=loops)
        battles.reset()
        x = battles.engine.units.x[0, 0]
        battles.step(np.full((1, 3), 5))
        distances[loops] = x - battles.engine.units.x[0, 0]
    # The marines face east, so both lose the same 1.4 steps to the turn.
    assert distances[8] - distances[4] == pytest.approx(4 * 0.140625, abs=1e-4)


def test_a_battle_on_3m_takes_less_than_64_kib():
    small, large = Battles("3m", 1), Battles("3m", 65)
    sizes = [sum(a.nbytes for a in [*b.snapshot().values(), *b.frame()]) for b in (small, large)]
    assert (sizes[1] - sizes[0]) / 64 < 64 * 1024

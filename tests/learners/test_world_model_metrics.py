"""The world model's measures, by hand and against their references."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learners.world_model_metrics import OPEN_LOOP_STEPS, area_under_roc, r_squared


def test_area_under_roc_by_hand():
    scores = torch.tensor([0.1, 0.4, 0.35, 0.8])
    labels = torch.tensor([False, False, True, True])
    assert area_under_roc(scores, labels) == pytest.approx(0.75)
    assert area_under_roc(torch.zeros(4), labels) == pytest.approx(0.5)
    assert math.isnan(area_under_roc(scores, torch.ones(4, dtype=torch.bool)))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_area_under_roc_is_the_chance_that_a_positive_wins(pairs):
    positive = [score for score, label in pairs if label]
    negative = [score for score, label in pairs if not label]
    if not positive or not negative:
        return
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    measured = area_under_roc(torch.tensor([float(s) for s, _ in pairs]), torch.tensor([label for _, label in pairs]))
    assert measured == pytest.approx(wins / (len(positive) * len(negative)))


def test_r_squared_is_one_for_the_truth_and_zero_for_the_mean():
    target = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
    target[:, 1] = 0.25  # a constant feature counts for nothing
    assert r_squared(target, target) == pytest.approx(1.0)
    assert r_squared(target.mean(0).expand_as(target), target) == pytest.approx(0.0, abs=1e-5)


def test_held_out_episodes_are_measured_and_never_trained_on(build):
    parts = build(held_out_every=2)
    learner, buffer = parts.learner.world_model, parts.buffer
    for _ in range(3):
        buffer.insert_episode_batch(parts.runner.run(test_mode=False))
    generator = torch.Generator().manual_seed(0)
    train = buffer.sample_primary(200, 1, generator, split="train", held_out_every=2)["episode"]
    held_out = buffer.sample_primary(200, 1, generator, split="held_out", held_out_every=2)["episode"]
    assert not set(train.tolist()) & set(held_out.tolist())
    learner.train(buffer)
    metrics = learner.evaluate(buffer, generator)
    assert {f"model_open_loop_{step}" for step in OPEN_LOOP_STEPS if step <= 10} <= metrics.keys()
    assert math.isfinite(metrics["model_nll"]) and metrics["model_reward_mse_of_mean"] > 0


def test_the_number_of_updates_follows_from_real_steps_alone(build):
    parts = build(world_model_min_steps=100, world_model_first_updates=7, world_model_updates_per_step=0.1)
    learner, buffer = parts.learner.world_model, parts.buffer
    expected = 0
    for _ in range(4):
        before = buffer.primary_steps_added
        buffer.insert_episode_batch(parts.runner.run(test_mode=False))
        total = buffer.primary_steps_added
        learner.train(buffer)
        learner.train(buffer)  # nothing new, nothing to do
        if total >= 100:
            expected += 7 if expected == 0 else round((total - before) * 0.1)
        assert learner.updates == expected

"""The floor under the policy's entropy: how its price moves, and that it reaches the updates."""

from dataclasses import replace
from math import exp

import pytest

from learners.entropy_floor import MOST, RATE, EntropyFloor


def test_above_the_floor_nothing_changes_below_it_the_price_rises_in_proportion(build):
    settings = build().learner.settings
    floor = EntropyFloor(0.2)
    floor.update(0.5)
    assert floor.applied(settings) is settings
    floor.update(0.15)  # a quarter of the floor is missing
    assert floor.scale == pytest.approx(exp(RATE / 4))
    assert floor.applied(settings) == replace(settings, entropy_coef=settings.entropy_coef * floor.scale)
    floor.update(0.25)
    assert floor.scale == pytest.approx(1)


def test_the_price_has_a_limit_and_no_floor_has_no_price():
    floor, none = EntropyFloor(0.2), EntropyFloor(0)
    for _ in range(100):
        floor.update(0.0)
        none.update(0.0)
    assert floor.scale == pytest.approx(MOST) and none.scale == 1


def test_a_learner_pays_it_and_takes_it_through_a_checkpoint(build):
    parts = build(entropy_floor=5.0)  # nobody has so much
    batch = parts.runner.run(test_mode=False)
    parts.buffer.insert_episode_batch(batch)
    parts.learner.train(batch, 100, 0)
    assert parts.learner.entropy_floor.scale > 1
    other = build(entropy_floor=5.0)
    other.learner.load_state_dict(parts.learner.state_dict())
    assert other.learner.entropy_floor.scale == parts.learner.entropy_floor.scale

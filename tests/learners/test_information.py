"""The information term on segments: who gets the bonus, how large it may be, and where it goes."""

import copy
import math
from dataclasses import replace

import pytest
import torch


@pytest.fixture
def trained(build):
    def make(**overrides):
        parts = build(**overrides)
        for number in range(2):
            batch = parts.runner.run(test_mode=False)
            parts.buffer.insert_episode_batch(batch)
            parts.learner.train(copy.deepcopy(batch), 100, number)
        imagination = parts.learner.imagination
        return parts, imagination.rollout(imagination.starts(parts.buffer, 24), 5)

    return make


@pytest.mark.parametrize("overrides", [{}, {"information_estimator": "ensemble", "world_model_ensemble": 3}])
def test_the_bonus_is_given_to_so_many_existing_steps_and_is_bounded(trained, overrides):
    parts, segments = trained(information_samples=20, **overrides)
    segments = replace(segments, mask=segments.mask & (torch.arange(5) < 3))
    information = parts.learner.information(segments, 0.0, parts.learner.evolution).information
    given = information != 0
    assert 1 <= given.sum() <= 20
    assert not given[~segments.mask].any()
    term = parts.learner.information.bonus
    assert information.abs().max() <= term.weight * term.clip
    if not overrides:
        assert parts.learner.information.stats()["information_max"] <= math.log(6) + 1e-5


def test_all_steps_get_it_when_no_number_is_set_and_none_when_annealed(trained):
    parts, segments = trained(information_samples=0)
    information = parts.learner.information(segments, 0.0, parts.learner.evolution).information
    assert (information != 0).sum() > 20  # more than the usual sample; steps without a choice tell nothing
    late = parts.learner.information(segments, 1.0, parts.learner.evolution)
    assert (late.information == 0).all()


def test_the_bonus_has_a_value_head_of_its_own(trained):
    parts, segments = trained()
    bonus = torch.zeros_like(segments.information)
    bonus[:, 0] = 5.0
    plain = parts.learner.prepare(segments, on_policy=True)
    with_bonus = parts.learner.prepare(replace(segments, information=bonus), on_policy=True)
    assert torch.equal(plain.returns[..., 0], with_bonus.returns[..., 0])
    difference = (with_bonus.returns - plain.returns)[:, 0, :, 1]
    assert torch.allclose(difference, torch.full_like(difference, 5.0), atol=1e-4)


def test_without_information_and_auxiliaries_amal_still_trains(trained):
    parts, _ = trained(lambda_info=0.0, critic_heads=1, num_auxiliary_agents=0, mi_policies="noise")
    assert parts.learner.evolution is None and parts.learner.world_model.ready


def test_the_papers_policy_without_memory_trains(trained):
    parts, segments = trained(
        rnn_hidden_dim=0, world_model="recurrent", world_model_hidden=[16, 16, 8], world_model_memory=8
    )
    assert segments.actor_hidden.shape[-1] == 0 and parts.learner.world_model.ready

"""How much imagination the angle between the real and the imagined gradient allows."""

import pytest
import torch

from learners.agreement import MEMORY, UNTRIED, GradientAgreement

NORTH, EAST = torch.tensor([0.0, 3.0]), torch.tensor([0.5, 0.0])


def test_the_cosine_is_that_of_averaged_directions():
    agreement = GradientAgreement(0.2)
    assert agreement.cosine == 1
    agreement.see("real", NORTH)
    assert agreement.cosine == 1
    agreement.see("imagined", EAST)
    assert agreement.cosine == pytest.approx(0)
    agreement.see("imagined", NORTH)  # length does not count: MEMORY of east, the rest of north
    assert agreement.cosine == pytest.approx((1 - MEMORY) / (MEMORY**2 + (1 - MEMORY) ** 2) ** 0.5)
    assert agreement.rounds == 1


@pytest.mark.parametrize(("imagined", "expected"), [((0, 1), 4), ((1, 0.15), 3), ((1, 0.1), 2), ((1, -5), 1)])
def test_updates_fall_in_proportion_below_the_full_cosine_to_one(imagined, expected):
    agreement = GradientAgreement(0.2)
    for _ in range(UNTRIED):
        assert agreement.updates(4) == 4, "not believed yet"
        agreement.see("real", NORTH)
        agreement.see("imagined", torch.tensor(imagined, dtype=torch.float))
    assert agreement.updates(4) == expected
    assert agreement.updates(0) == 0


def test_switched_off_it_allows_everything():
    agreement = GradientAgreement(0.0)
    for _ in range(UNTRIED):
        agreement.see("real", NORTH)
        agreement.see("imagined", -NORTH)
    assert agreement.updates(4) == 4


def test_a_learner_measures_it_and_takes_it_through_a_checkpoint(build):
    parts = build(imagination_agreement=0.5)
    steps = 0
    for number in range(4):
        batch = parts.runner.run(test_mode=False)
        steps += int(batch["filled"].sum()) - batch.batch_size
        parts.buffer.insert_episode_batch(batch)
        parts.learner.train(batch, steps, number)
    ours = parts.learner.agreement
    assert ours.rounds == 4 and -1 <= ours.cosine < 1
    other = build(imagination_agreement=0.5)
    other.learner.load_state_dict(parts.learner.state_dict())
    assert other.learner.agreement.rounds == 4 and other.learner.agreement.cosine == ours.cosine


def test_without_imagination_nothing_is_measured(build):
    parts = build(imagination_updates=0, num_auxiliary_agents=0, mi_policies="noise")
    batch = parts.runner.run(test_mode=False)
    parts.buffer.insert_episode_batch(batch)
    parts.learner.train(batch, 100, 0)
    assert parts.learner.agreement.rounds == 0

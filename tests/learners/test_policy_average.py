"""The averaged policy: its arithmetic, that it plays the tests and nothing else, and that it survives a resume."""

from types import SimpleNamespace

import pytest
import torch

from learners.policy_average import PolicyAverage


@pytest.fixture
def mac():
    network = torch.nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(1.0)
    return SimpleNamespace(agent=network)


def learn(mac, average, *weights):
    for weight in weights:
        mac.agent.weight.data.fill_(weight)
        average.update()


def test_the_first_weights_are_taken_as_they_are_and_later_ones_by_their_share(mac):
    average = PolicyAverage(mac, 0.75)
    learn(mac, average, 2.0)
    assert average.model.module.weight.item() == 2.0
    learn(mac, average, 6.0)
    assert average.model.module.weight.item() == pytest.approx(0.75 * 2 + 0.25 * 6)


def test_the_controller_acts_with_the_average_for_a_while_even_if_that_fails(mac):
    average = PolicyAverage(mac, 0.5)
    learn(mac, average, 1.0, 3.0)
    present = mac.agent
    with average.acting():
        assert mac.agent.weight.item() == pytest.approx(2.0)
    assert mac.agent is present
    with pytest.raises(RuntimeError), average.acting():
        raise RuntimeError("a test that fails")
    assert mac.agent is present


def test_it_goes_on_from_its_state(mac):
    whole, half = PolicyAverage(mac, 0.5), PolicyAverage(mac, 0.5)
    learn(mac, whole, 1.0, 5.0)
    half.load_state_dict(whole.state_dict())
    learn(mac, whole, 9.0)
    mac.agent.weight.data.fill_(9.0)
    half.update()
    assert torch.equal(whole.model.module.weight, half.model.module.weight)


def test_training_is_the_same_with_and_without_it(build):
    def train(decay):
        parts = build(policy_average=decay)
        steps = 0
        for number in range(3):
            batch = parts.runner.run(test_mode=False)
            steps += int(batch["filled"].sum()) - batch.batch_size
            parts.buffer.insert_episode_batch(batch)
            parts.learner.train(batch, steps, number)
            with parts.learner.testing():
                parts.runner.run(test_mode=True)
        return parts

    plain, averaged = train(0.0), train(0.8)
    assert plain.learner.average is None
    for ours, theirs in zip(plain.mac.parameters(), averaged.mac.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    with averaged.learner.testing():
        assert any(
            not torch.equal(ours, theirs)
            for ours, theirs in zip(plain.mac.parameters(), averaged.mac.parameters(), strict=True)
        )

"""Transitions drawn one by one: each is one that was played, all are equally likely."""

import pytest
import torch

from components.transition_replay_buffer import TransitionReplayBuffer


@pytest.fixture
def buffer(kit):
    buffer = TransitionReplayBuffer(*kit.parts, 4, kit.max_seq_length, preprocess=kit.preprocess, seed=1)
    buffer.insert_episode_batch(kit.episodes([3, 1, 6]))
    return buffer


def test_a_batch_holds_frames_that_follow_each_other_in_one_episode(buffer):
    batch = buffer.sample(9)
    assert (batch.batch_size, batch.max_seq_length, batch.max_t_filled()) == (9, 2, 2)
    state = batch["state"][..., 0]
    assert torch.equal(state[:, 1] - state[:, 0], torch.ones(9))
    episode, step = torch.div(state[:, 0], 100, rounding_mode="floor"), state[:, 0] % 100
    torch.testing.assert_close(batch["reward"][:, 0, 0], episode + step / 100)
    last = step + 1 == torch.tensor([3, 1, 6])[episode.long()]
    assert torch.equal(batch["terminated"][:, 0, 0].bool(), last)
    assert batch["actions"].dtype == torch.int64


def test_transitions_are_equally_likely(buffer):
    seen = torch.cat([buffer.sample(10)["state"][:, 0, 0] for _ in range(2000)])
    values, counts = seen.unique(return_counts=True)
    assert values.tolist() == [0, 1, 2, 100, 200, 201, 202, 203, 204, 205]
    assert counts.min() > 1800
    assert counts.max() < 2200


def test_it_counts_transitions_and_forgets_overwritten_ones(buffer, kit):
    assert buffer.transitions == 10
    assert buffer.can_sample(10)
    assert not buffer.can_sample(11)
    buffer.insert_episode_batch(kit.episodes([2, 2], first=3))
    assert buffer.transitions == 1 + 6 + 2 + 2
    assert (torch.cat([buffer.sample(10)["state"][:, 0, 0] for _ in range(50)]) >= 100).all()


def test_too_few_transitions_are_an_error(kit):
    buffer = TransitionReplayBuffer(*kit.parts, 4, kit.max_seq_length, preprocess=kit.preprocess)
    assert not buffer.can_sample(1)
    with pytest.raises(ValueError, match="1 transitions asked for, 0 in the buffer"):
        buffer.sample(1)


def test_a_restored_buffer_draws_the_same(buffer, kit):
    other = TransitionReplayBuffer(*kit.parts, 4, kit.max_seq_length, preprocess=kit.preprocess, seed=8)
    other.load_state_dict(buffer.state_dict())
    assert torch.equal(other.sample(5)["state"], buffer.sample(5)["state"])

"""Prioritised replay: probabilities and importance by hand, what updates and new episodes do, saving."""

import pytest
import torch

from components.episode_buffer import EpisodeBatch
from components.prioritized_replay_buffer import FLOOR, PrioritizedReplayBuffer

SCHEME = {"reward": {"vshape": (1,)}}


def make_buffer(n_episodes=4, **options):
    buffer = PrioritizedReplayBuffer(SCHEME, None, 4, 2, seed=1, **options)
    batch = EpisodeBatch(SCHEME, None, n_episodes, 2)
    batch.update({"reward": torch.arange(n_episodes).view(-1, 1, 1).repeat(1, 2, 1)}, ts=slice(0, 2))
    buffer.insert_episode_batch(batch)
    return buffer, batch


def test_episodes_are_drawn_in_proportion_to_their_surprise():
    buffer, _ = make_buffer(per_alpha=1.0)
    buffer.update_priorities(torch.arange(4), torch.tensor([0.0, 1.0, 2.0, 5.0]))
    drawn = torch.cat([buffer.sample(4)["reward"][:, 0, 0] for _ in range(2000)]).long()
    expected = (torch.tensor([0.0, 1.0, 2.0, 5.0]) + FLOOR) / (8 + 4 * FLOOR)
    torch.testing.assert_close(torch.bincount(drawn, minlength=4) / 8000, expected, atol=0.02, rtol=0)


def test_importance_takes_the_bias_back():
    buffer, _ = make_buffer(per_alpha=1.0, per_beta=1.0)
    buffer.update_priorities(torch.arange(4), torch.tensor([1.0, 1.0, 2.0, 4.0]) - FLOOR)
    batch = buffer.sample(4)
    importance = 8 / (4 * torch.tensor([1.0, 1.0, 2.0, 4.0]))[batch["buffer_index"]]
    torch.testing.assert_close(batch["importance"], importance / importance.max())


def test_beta_grows_to_one_and_new_episodes_come_first():
    buffer, batch = make_buffer(per_beta=0.4, per_beta_episodes=8)
    assert buffer.beta == pytest.approx(0.7)
    buffer.update_priorities(torch.arange(4), torch.tensor([9.0, 0.0, 0.0, 0.0]))
    buffer.insert_episode_batch(batch[:1])
    assert buffer.beta == pytest.approx(0.775)
    buffer.insert_episode_batch(batch[:1])
    assert buffer.priorities[1] == buffer.priorities[0] == pytest.approx(9 + FLOOR)


def test_alpha_zero_is_uniform():
    buffer, _ = make_buffer(per_alpha=0.0, per_beta=1.0)
    buffer.update_priorities(torch.arange(4), torch.tensor([9.0, 1.0, 2.0, 3.0]))
    assert buffer.sample(4)["importance"].flatten().tolist() == [1.0] * 4


def test_a_restored_buffer_draws_the_same():
    buffer, _ = make_buffer()
    other, _ = make_buffer()
    buffer.update_priorities(torch.arange(4), torch.tensor([9.0, 1.0, 2.0, 3.0]))
    buffer.sample(3)
    other.load_state_dict(buffer.state_dict())
    for _ in range(5):
        assert torch.equal(buffer.sample(3)["buffer_index"], other.sample(3)["buffer_index"])

"""Stacked frames: the order, the start of an episode, and one step as a whole sequence gives it."""

import pytest
import torch

from components.frames import latest_frames, stack_frames


def test_the_newest_frame_comes_first_and_zeros_stand_before_the_start():
    frames = torch.tensor([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]])
    assert stack_frames(frames, 2).tolist() == [[[1, 10, 0, 0], [2, 20, 1, 10], [3, 30, 2, 20]]]
    assert stack_frames(frames[..., :1], 5)[0].tolist() == [[1, 0, 0, 0, 0], [2, 1, 0, 0, 0], [3, 2, 1, 0, 0]]


def test_one_frame_is_itself():
    frames = torch.randn(2, 3, 4)
    assert stack_frames(frames, 1) is frames


@pytest.mark.parametrize("k", [1, 2, 4, 9])
def test_a_step_is_that_of_the_whole_sequence(k):
    frames = torch.randn(3, 6, 2, 5)
    stacked = stack_frames(frames, k)
    assert stacked.shape == (3, 6, 2, 5 * k)
    for t in range(6):
        unseen = frames.clone()
        unseen[:, t + 1 :] = torch.nan
        assert torch.equal(latest_frames(unseen, t, k), stacked[:, t])
        assert torch.equal(latest_frames(unseen, t, k, torch.tensor([2, 0])), stacked[[2, 0], t])


def test_episodes_do_not_see_each_other():
    frames = torch.randn(2, 4, 3)
    alone = stack_frames(frames[:1], 3)
    frames[1] += 1.0
    assert torch.equal(stack_frames(frames, 3)[:1], alone)

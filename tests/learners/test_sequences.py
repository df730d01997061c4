"""Packing leaves out padding and nothing else."""

import torch

from learners.sequences import Packing


def mask_of(lengths, time, width=1):
    steps = torch.arange(time).view(1, time, 1)
    return steps < torch.tensor(lengths).view(-1, 1, width)


def test_rows_are_time_major_and_longest_first():
    packing = Packing.of(mask_of([1, 3], time=4))
    assert packing.batch_sizes == [2, 1, 1]
    assert packing.sequences.tolist() == [1, 0]
    assert packing.rows.tolist() == [4, 0, 5, 6]


def test_unpack_undoes_pack():
    mask = mask_of([2, 0, 4, 1, 3, 3], time=4, width=2)
    padded = torch.randn(3, 4, 2, 5)
    packing = Packing.of(mask)
    restored = packing.unpack(packing.pack(padded), (3, 4, 2))
    torch.testing.assert_close(restored, padded * mask.unsqueeze(-1))


def test_a_gap_inside_a_sequence_is_kept():
    mask = torch.tensor([True, False, True]).view(1, 3, 1)
    assert Packing.of(mask).rows.tolist() == [0, 1, 2]


def test_chosen_episodes_only():
    packing = Packing.of(mask_of([2, 1, 2], time=2), torch.tensor([2, 1]))
    assert sorted(packing.rows.tolist()) == [2, 4, 5]
    assert packing.sequences.tolist() == [2, 1]


def test_hidden_starts_follow_their_sequences():
    hidden = torch.arange(3.0).view(3, 1, 1)
    packing = Packing.of(mask_of([1, 0, 2], time=2))
    assert packing.start(hidden).flatten().tolist() == [2.0, 0.0]
    assert packing.start(None) is None

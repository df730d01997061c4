"""Transforms, schedules and running statistics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.epsilon_schedules import DecayThenFlatSchedule
from components.standarize_stream import RunningMeanStd
from components.transforms import OneHot


def test_one_hot_encodes_and_says_what_comes_out():
    coded = OneHot(4).transform(torch.tensor([[[2], [0]]]))
    assert coded.tolist() == [[[0, 0, 1, 0], [1, 0, 0, 0]]]
    assert OneHot(4).infer_output_info((1,), torch.int64) == ((4,), torch.float32)
    with pytest.raises(RuntimeError):
        OneHot(4).transform(torch.tensor([[4]]))


def test_linear_schedule():
    schedule = DecayThenFlatSchedule(1.0, 0.2, 100, decay="linear")
    assert [schedule.eval(t) for t in (0, 50, 100, 1000)] == pytest.approx([1.0, 0.6, 0.2, 0.2])


def test_exponential_schedule_reaches_its_end_in_time():
    schedule = DecayThenFlatSchedule(1.0, 0.05, 100)
    assert schedule.eval(0) == 1.0
    assert schedule.eval(50) == pytest.approx(0.05**0.5)
    assert schedule.eval(100) == schedule.eval(10**6) == 0.05


def test_a_schedule_without_length_is_flat_and_an_unknown_decay_an_error():
    assert DecayThenFlatSchedule(1.0, 0.1, 0, "linear").eval(0) == 0.1
    with pytest.raises(ValueError, match="decay must be"):
        DecayThenFlatSchedule(1.0, 0.1, 10, "cosine")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(0, 2**16))
def test_running_statistics_equal_those_of_everything_at_once(sizes, seed):
    samples = 3 * torch.randn(sum(sizes), 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 5
    statistics = RunningMeanStd(epsilon=1e-9, shape=(2,))
    for part in samples.split(sizes):
        statistics.update(part)
    assert torch.allclose(statistics.mean, samples.mean(0).float(), atol=1e-5)
    assert torch.allclose(statistics.var, samples.var(0, unbiased=False).float(), atol=1e-4)


def test_running_statistics_leave_padding_out_and_take_numpy():
    statistics = RunningMeanStd(epsilon=1e-9)
    statistics.update(torch.tensor([[1.0, 3.0, 99.0]]), mask=torch.tensor([[1, 1, 0]]))
    statistics.update(np.array([5.0]))
    assert statistics.mean.item() == pytest.approx(3.0)
    assert statistics.var.item() == pytest.approx(8 / 3)
    statistics.update(torch.zeros(3), mask=torch.zeros(3))
    other = RunningMeanStd()
    other.load_state_dict(statistics.state_dict())
    assert (other.mean, other.var, other.count) == (statistics.mean, statistics.var, statistics.count)

"""Distributions over the change of a feature, against numbers worked out by hand."""

import math

import pytest
import torch

from modules.world_models.histogram import ChangeHistogram


@pytest.fixture
def histogram():
    histogram = ChangeHistogram(2, bins=5)
    histogram.low.copy_(torch.tensor([-1.0, 0.0]))
    histogram.high.copy_(torch.tensor([1.0, 4.0]))
    return histogram


def test_centres_are_evenly_spaced(histogram):
    assert histogram.centres.tolist() == [[-1, -0.5, 0, 0.5, 1], [0, 1, 2, 3, 4]]


def test_a_value_between_bins_is_shared_and_one_outside_goes_to_the_border(histogram):
    probs = torch.tensor([[0.1, 0.2, 0.3, 0.3, 0.1], [0.6, 0.1, 0.1, 0.1, 0.1]])
    loss = histogram.negative_log_likelihood(probs.log(), torch.tensor([0.125, -3.0]))
    assert loss[0].item() == pytest.approx(-(0.75 * math.log(0.3) + 0.25 * math.log(0.3)))
    assert loss[1].item() == pytest.approx(-math.log(0.6))
    loss = histogram.negative_log_likelihood(probs.log(), torch.tensor([-0.375, 1.0]))
    assert loss[0].item() == pytest.approx(-(0.25 * math.log(0.3) + 0.75 * math.log(0.2)), abs=0.2)


def test_draws_follow_the_probabilities(histogram):
    probs = torch.tensor([[0.1, 0.2, 0.3, 0.3, 0.1], [0.6, 0.0, 0.1, 0.2, 0.1]])
    draws = histogram.sample(probs.log().expand(20_000, 2, 5), torch.Generator().manual_seed(0))
    for feature, centres in enumerate(histogram.centres):
        for bin_, centre in enumerate(centres):
            share = (draws[:, feature] == centre).float().mean().item()
            assert share == pytest.approx(probs[feature, bin_].item(), abs=0.012)


def test_fitted_limits_hold_the_data_and_respect_a_floor():
    histogram = ChangeHistogram(2, bins=5)
    histogram.fit(torch.tensor([[0.0, 1.0], [-0.2, 3.0]]), floor=torch.tensor([-1.0, torch.inf]), margin=0.5)
    assert histogram.low.tolist() == pytest.approx([-1.0, 0.0])
    assert histogram.high.tolist() == pytest.approx([0.1, 4.0])

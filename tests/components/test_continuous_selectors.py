"""Continuous actions: where they lie, what noise does to them, which numbers an agent has."""

from types import SimpleNamespace

import pytest
import torch

from components.action_selectors import NonFiniteOutputs
from components.continuous_selectors import REGISTRY

ARGS = {"seed": 3, "noise_start": 0.5, "noise_finish": 0.1, "noise_anneal_time": 100, "test_greedy": True}


def selector(name, **changes):
    return REGISTRY[name](SimpleNamespace(**{**ARGS, **changes}))


@pytest.mark.parametrize(("name", "width"), [("gaussian", 2), ("squashed_gaussian", 4)])
def test_a_greedy_test_plays_the_tanh_of_the_mean(name, width):
    outputs = torch.tensor([0.5, -2.0, 0.3, 0.3])[:width].expand(1, 3, width)
    actions = selector(name).select_action(outputs, torch.ones(1, 3, 2), t_env=0, test_mode=True)
    torch.testing.assert_close(actions, torch.tensor([0.5, -2.0]).tanh().expand(1, 3, 2))


def test_the_noise_falls_along_its_schedule():
    outputs, avail = torch.zeros(4000, 1, 1), torch.ones(4000, 1, 1)
    at = {t: selector("gaussian").select_action(outputs, avail, t).std().item() for t in (50, 1000)}
    assert at[50] == pytest.approx(0.3, rel=0.05)
    assert at[1000] == pytest.approx(0.1, rel=0.05)


def test_the_squashed_draw_has_the_deviation_that_the_network_gives():
    outputs = torch.tensor([0.2, -1.0]).expand(4000, 1, 2)
    actions = selector("squashed_gaussian").select_action(outputs, torch.ones(4000, 1, 1), 0)
    raw = actions.atanh()
    assert raw.mean().item() == pytest.approx(0.2, abs=0.03)
    assert raw.std().item() == pytest.approx(torch.tensor(-1.0).exp().item(), rel=0.05)


@pytest.mark.parametrize(("name", "width"), [("gaussian", 2), ("squashed_gaussian", 4)])
def test_actions_stay_inside_and_missing_numbers_are_zero(name, width):
    outputs = 3 * torch.randn(50, 2, width, generator=torch.Generator().manual_seed(0))
    avail = torch.tensor([[1, 1], [1, 0]]).expand(50, 2, 2)
    actions = selector(name, noise_start=2.0).select_action(outputs, avail, 0)
    assert actions.abs().max() <= 1
    assert actions[:, 1, 1].abs().max() == 0
    assert actions[:, 0].abs().min() > 0


@pytest.mark.parametrize(("name", "width"), [("gaussian", 2), ("squashed_gaussian", 4)])
def test_a_restored_stream_draws_the_same_and_tests_draw_from_another(name, width):
    outputs, avail = torch.zeros(2, 2, width), torch.ones(2, 2, 2)
    first = selector(name, test_greedy=False)
    state = first.state_dict()
    once = first.select_action(outputs, avail, 0)
    first.select_action(outputs, avail, 0, test_mode=True)
    twice = first.select_action(outputs, avail, 0)
    second = selector(name, test_greedy=False, seed=9)
    second.load_state_dict(state)
    assert torch.equal(second.select_action(outputs, avail, 0), once)
    assert torch.equal(second.select_action(outputs, avail, 0), twice)


@pytest.mark.parametrize(("name", "width"), [("gaussian", 2), ("squashed_gaussian", 4)])
def test_a_diverged_network_is_reported(name, width):
    outputs = torch.zeros(1, 2, width)
    outputs[0, 1, 0] = torch.nan
    with pytest.raises(NonFiniteOutputs, match="agent 1"):
        selector(name).select_action(outputs, torch.ones(1, 2, 2), 7)

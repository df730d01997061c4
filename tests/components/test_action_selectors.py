"""Action selectors draw from the distribution they are given, never illegally, and name the step where all is lost."""

import math
from types import SimpleNamespace

import pytest
import torch

from components.action_selectors import (
    REGISTRY,
    NoAvailableAction,
    NonFiniteOutputs,
    categorical_entropy,
    multinomial_entropy,
)


def args(**extra):
    return SimpleNamespace(
        seed=1, test_greedy=True, epsilon_start=1.0, epsilon_finish=0.1, epsilon_anneal_time=100, **extra
    )


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_choices_are_int64_of_the_right_shape_and_always_available(name):
    generator = torch.Generator().manual_seed(0)
    selector = REGISTRY[name](args())
    avail = (torch.rand(2000, 3, 9, generator=generator) < 0.3).int()
    avail[..., 4] = 1
    for test_mode in (False, True):
        actions = selector.select_action(50 * torch.randn(2000, 3, 9, generator=generator), avail, 0, test_mode)
        assert actions.shape == (2000, 3)
        assert actions.dtype == torch.int64
        assert avail.gather(2, actions.unsqueeze(2)).all()


@pytest.mark.parametrize("as_probabilities", [False, True])
def test_multinomial_draws_have_the_softmax_frequencies_over_available_actions(as_probabilities):
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0]).expand(40_000, 1, 4)
    avail = torch.tensor([1, 1, 1, 0]).expand_as(logits)
    inputs = logits.softmax(-1) if as_probabilities else logits
    actions = REGISTRY["multinomial"](args()).select_action(inputs, avail, 0)
    frequencies = torch.bincount(actions.flatten(), minlength=4) / 40_000
    expected = torch.tensor([0.0, 1.0, 2.0]).softmax(0)
    assert torch.allclose(frequencies[:3], expected, atol=0.01)
    assert frequencies[3] == 0


def test_zero_probability_is_never_drawn_and_no_error():
    probs = torch.tensor([0.0, 1.0, 0.0]).expand(1000, 1, 3)
    actions = REGISTRY["multinomial"](args()).select_action(probs, torch.ones(1000, 1, 3), 0)
    assert actions.eq(1).all()


def test_test_mode_is_greedy_if_so_configured_and_else_sampled():
    logits = torch.tensor([0.0, 0.5]).expand(500, 1, 2)
    avail = torch.ones_like(logits)
    assert REGISTRY["multinomial"](args()).select_action(logits, avail, 0, test_mode=True).eq(1).all()
    sampling = args()
    sampling.test_greedy = False
    actions = REGISTRY["soft_policies"](sampling).select_action(logits, avail, 0, test_mode=True)
    assert 0 < actions.sum() < 500


def test_evaluation_and_the_global_generator_leave_training_draws_alone():
    logits, avail = torch.zeros(50, 2, 4), torch.ones(50, 2, 4)
    sampling = args()
    sampling.test_greedy = False
    plain, disturbed = REGISTRY["multinomial"](sampling), REGISTRY["multinomial"](sampling)
    for _ in range(3):
        disturbed.select_action(logits, avail, 0, test_mode=True)
        torch.rand(7)
        assert torch.equal(plain.select_action(logits, avail, 0), disturbed.select_action(logits, avail, 0))


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_streams_go_on_from_a_state_dict(name):
    logits, avail = torch.zeros(50, 2, 4), torch.ones(50, 2, 4)
    selector, resumed = REGISTRY[name](args()), REGISTRY[name](args())
    selector.select_action(logits, avail, 50)
    resumed.load_state_dict(selector.state_dict())
    assert torch.equal(selector.select_action(logits, avail, 50), resumed.select_action(logits, avail, 50))


@pytest.mark.parametrize("name", sorted(REGISTRY))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_non_finite_output_is_an_error_that_names_step_battle_and_agent(name, value):
    outputs, avail = torch.zeros(4, 3, 5), torch.ones(4, 3, 5)
    outputs[2, 1, 3] = value
    with pytest.raises(NonFiniteOutputs, match=r"environment step 1234 \(battle 2, agent 1, action 3"):
        REGISTRY[name](args()).select_action(outputs, avail, 1234)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_non_finite_outputs_of_unavailable_actions_do_not_matter(name):
    outputs, avail = torch.zeros(1, 2, 3), torch.ones(1, 2, 3)
    outputs[0, 1, 2], avail[0, 1, 2] = -math.inf, 0
    assert REGISTRY[name](args()).select_action(outputs, avail, 0).shape == (1, 2)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_an_agent_without_any_action_is_an_error(name):
    avail = torch.ones(2, 3, 4)
    avail[1, 2] = 0
    with pytest.raises(NoAvailableAction, match="step 7 for agent 2 of battle 1"):
        REGISTRY[name](args()).select_action(torch.zeros(2, 3, 4), avail, 7)


def test_save_probs_gives_the_masked_probabilities_too():
    selector = REGISTRY["multinomial"](args(save_probs=True))
    avail = torch.tensor([[[1, 1, 0]]])
    actions, probs = selector.select_action(torch.zeros(1, 1, 3), avail, 0)
    assert probs.tolist() == [[[0.5, 0.5, 0.0]]]
    assert actions.shape == (1, 1)


def test_epsilon_greedy_explores_uniformly_by_epsilon_and_not_in_tests():
    selector = REGISTRY["epsilon_greedy"](args())
    q_values = torch.tensor([1.0, 3.0, 2.0, 9.0]).expand(40_000, 1, 4)
    avail = torch.tensor([1, 1, 1, 0]).expand_as(q_values)
    actions = selector.select_action(q_values, avail, t_env=50)
    assert selector.epsilon == pytest.approx(0.55)
    frequencies = torch.bincount(actions.flatten(), minlength=4) / 40_000
    assert torch.allclose(frequencies, torch.tensor([0.55 / 3, 0.45 + 0.55 / 3, 0.55 / 3, 0.0]), atol=0.01)
    assert selector.select_action(q_values, avail, t_env=0, test_mode=True).eq(1).all()


def test_entropies_of_known_distributions():
    assert categorical_entropy(torch.full((2, 4), 0.25)) == pytest.approx([math.log(4)] * 2)
    assert categorical_entropy(torch.tensor([[0.5, 0.5, 0.0]])).item() == pytest.approx(math.log(2))
    logits = torch.tensor([[0.0, 0.0, -math.inf]], requires_grad=True)
    entropy = multinomial_entropy(logits)
    assert entropy.item() == pytest.approx(math.log(2))
    entropy.sum().backward()
    assert torch.isfinite(logits.grad[0, :2]).all()
    with pytest.raises(ValueError, match="says nothing"):
        multinomial_entropy(torch.zeros(3, 1))


@pytest.mark.parametrize(("share", "n", "counts"), [(0.25, 8, {2}), (0.25, 1, {0, 1}), (0.3, 5, {1, 2}), (1.0, 3, {3})])
def test_a_share_of_rows_is_spread_evenly(share, n, counts):
    selector = REGISTRY["multinomial"](args())
    draws = torch.stack([selector.evenly(share, n) for _ in range(2000)])
    assert set(draws.sum(1).tolist()) == counts
    assert torch.allclose(draws.float().mean(0), torch.full((n,), share), atol=0.04)

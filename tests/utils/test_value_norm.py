"""Value normalisation: right from the first update, inverse of itself, in the state dict."""

import copy

import pytest
import torch

from utils.value_norm import ValueNorm


def test_one_update_gives_the_batch_statistics_undamped_by_the_start_at_zero():
    norm = ValueNorm(1)
    samples = torch.tensor([[2.0], [4.0], [9.0]])
    norm.update(samples)
    mean, variance = norm.running_mean_var()
    assert mean.item() == pytest.approx(5.0)
    assert variance.item() == pytest.approx(26 / 3)
    assert norm.normalize(samples).mean().item() == pytest.approx(0.0, abs=1e-6)


def test_several_updates_weigh_batches_by_age():
    norm = ValueNorm(1, beta=0.5)
    norm.update(torch.tensor([[0.0], [2.0]]))
    norm.update(torch.tensor([[4.0], [6.0]]))
    mean, variance = norm.running_mean_var()
    expected_mean = (0.25 * 1 + 0.5 * 5) / 0.75
    assert mean.item() == pytest.approx(expected_mean)
    assert variance.item() == pytest.approx((0.25 * 2 + 0.5 * 26) / 0.75 - expected_mean**2)


def test_statistics_keep_their_digits_over_many_updates_of_large_values():
    norm = ValueNorm(1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2000):
        norm.update(1000 + torch.randn(50, 1, generator=generator))
    mean, variance = norm.running_mean_var()
    assert mean.item() == pytest.approx(1000, abs=0.05)
    assert variance.item() == pytest.approx(1.0, abs=0.05)


def test_denormalize_is_the_inverse_of_normalize():
    norm = ValueNorm(1)
    norm.update(3 * torch.randn(100, 1) + 2)
    values = torch.randn(4, 5, 3, 1)
    assert torch.allclose(norm.denormalize(norm.normalize(values)), values, atol=1e-5)
    assert norm.normalize(values).dtype == torch.float32


def test_before_the_first_update_nothing_is_changed():
    norm = ValueNorm(1)
    values = torch.tensor([[3.0]])
    assert norm.normalize(values) == norm.denormalize(values) == values


def test_variance_has_a_floor():
    norm = ValueNorm(1)
    norm.update(torch.ones(10, 1))
    assert norm.running_mean_var()[1].item() == 0.01
    assert torch.isfinite(norm.normalize(torch.ones(1, 1))).all()


@pytest.mark.parametrize("mask_shape", [(2, 3), (2, 3, 1)])
def test_masked_updates_see_real_steps_only(mask_shape):
    values = torch.tensor([[1.0, 2.0, 1e9], [3.0, 1e9, 1e9]]).unsqueeze(-1)
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]]).reshape(mask_shape)
    norm = ValueNorm(1)
    norm.update(values, mask)
    assert norm.running_mean_var()[0].item() == pytest.approx(2.0)
    before = copy.deepcopy(norm.state_dict())
    norm.update(values, torch.zeros(mask_shape))
    assert all(torch.equal(before[key], value) for key, value in norm.state_dict().items())


def test_state_dict_holds_registered_buffers_and_restores_them():
    norm = ValueNorm(2)
    norm.update(torch.randn(10, 2))
    assert set(norm.state_dict()) == {"running_mean", "running_mean_sq", "debiasing_term"}
    assert not list(norm.parameters())
    other = ValueNorm(2)
    other.load_state_dict(norm.state_dict())
    values = torch.randn(3, 2)
    assert torch.equal(other.normalize(values), norm.normalize(values))
    assert "running_mean" in ValueNorm(2, device="meta").state_dict(), "registered whatever the device"
    norm.reset_parameters()
    assert norm.normalize(values).equal(values)


def test_per_element_update_weighs_by_the_number_of_samples():
    norm = ValueNorm(1, beta=0.9, per_element_update=True)
    norm.update(torch.zeros(2, 1))
    norm.update(torch.ones(3, 1))
    old, new = (1 - 0.9**2) * 0.9**3, 1 - 0.9**3
    assert norm.running_mean_var()[0].item() == pytest.approx(new / (old + new))


def test_no_gradient_flows_into_the_statistics():
    norm = ValueNorm(1)
    values = torch.randn(5, 1, requires_grad=True)
    norm.update(values)
    assert not norm.running_mean.requires_grad
    norm.normalize(values).sum().backward()
    assert values.grad is not None

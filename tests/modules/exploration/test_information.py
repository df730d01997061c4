"""The information term on world models whose information is known in closed form."""

import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from modules.exploration.information import (
    InformationBonus,
    RunningStd,
    ensemble_information,
    estimate_information,
    gaussian_log_prob,
    mixture_information,
)

# A world of two actions and three observations: rows p(o|u).
P_O_GIVEN_U = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]], dtype=torch.float64)
POLICY = torch.tensor([0.35, 0.65], dtype=torch.float64)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mutual_information() -> float:
    """I(U; O) of the discrete world."""
    joint = POLICY[:, None] * P_O_GIVEN_U
    return float((joint * (P_O_GIVEN_U / (POLICY @ P_O_GIVEN_U)).log()).sum())


def discrete_expectation(k: int) -> float:
    """E[i_t] with k policy samples, summed over every outcome: no sampling noise."""
    count = torch.arange(k, dtype=torch.float64)  # alternatives that are action 1, out of k - 1
    log_choose = torch.lgamma(torch.tensor(float(k), dtype=torch.float64)) - torch.lgamma(count + 1)
    log_choose -= torch.lgamma(k - count)
    weight = (log_choose + count * POLICY[1].log() + (k - 1 - count) * POLICY[0].log()).exp()
    alternatives = (torch.arange(k - 1) < count[:, None]).long()  # [k, k-1]
    log_p = P_O_GIVEN_U.log()
    others = log_p[alternatives].transpose(1, 2).expand(2, k, 3, k - 1)
    information = mixture_information(log_p[:, None, :].expand(2, k, 3), others)
    return float(torch.einsum("u,uo,c,uco->", POLICY, P_O_GIVEN_U, weight, information))


def linear_gaussian(m: int, k: int, generator: torch.Generator, replicates: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """o = 2u + noise, both standard normal: o [m, replicates] and log-densities of the taken and the other actions.

    I(U; O) = log(5) / 2 = 0.805 nats.
    """
    actions = torch.randn(m, replicates, k, generator=generator)
    noise = torch.randn(m, replicates, generator=generator)
    observation = 2 * actions[..., 0] + noise
    log_probs = -0.5 * (observation[..., None] - 2 * actions).square()
    return observation, log_probs[..., 0], log_probs[..., 1:]


def slope(x: list[int], y: list[float]) -> float:
    """Slope of log y over log x."""
    log_x, log_y = torch.tensor(x).double().log(), torch.tensor(y).double().log()
    log_x = log_x - log_x.mean()
    return float((log_x * (log_y - log_y.mean())).sum() / log_x.square().sum())


def test_discrete_world_converges_to_its_mutual_information() -> None:
    assert discrete_expectation(2000) == pytest.approx(mutual_information(), abs=2e-4)


def test_discrete_bias_shrinks_as_one_over_k() -> None:
    ks = [8, 16, 32, 64, 128, 256]
    bias = [abs(discrete_expectation(k) - mutual_information()) for k in ks]
    assert slope(ks, bias) == pytest.approx(-1.0, abs=0.03)


def test_linear_gaussian_world_converges_to_its_mutual_information() -> None:
    _, taken, alternatives = linear_gaussian(40_000, 256, stream())
    assert float(estimate_information(taken, alternatives)) == pytest.approx(0.5 * math.log(5), abs=0.02)


def test_linear_gaussian_bias_shrinks_as_one_over_k() -> None:
    ks, bias = [16, 32, 64, 128, 256], []
    for k in ks:
        observation, taken, alternatives = linear_gaussian(20_000, k, stream(k))
        # Beside the exact information of the same steps, whose variance would hide the bias: o ~ N(0, 5).
        exact = taken + 0.5 * observation.square() / 5 + 0.5 * math.log(5)
        bias.append(abs(float((mixture_information(taken, alternatives) - exact).mean())))
    assert slope(ks, bias) == pytest.approx(-1.0, abs=0.2)


def test_variance_shrinks_as_one_over_m() -> None:
    ms, variance = [10, 30, 100, 300], []
    for m in ms:
        _, taken, alternatives = linear_gaussian(m, 20, stream(m), replicates=800)
        variance.append(float(estimate_information(taken, alternatives).var()))
    assert slope(ms, variance) == pytest.approx(-1.0, abs=0.1)


def test_expected_information_is_not_negative_for_observations_of_the_model() -> None:
    for k in (2, 3, 5, 20):
        assert discrete_expectation(k) > 0


finite = st.floats(-1e4, 1e4, width=32)


@settings(max_examples=60, deadline=None)
@given(st.lists(finite, min_size=2, max_size=30), st.integers(-1000, 1000))
def test_information_is_bounded_by_log_k_and_ignores_constant_shifts(log_probs: list[float], shift: int) -> None:
    values = torch.tensor(log_probs, dtype=torch.float64)
    information = mixture_information(values[0], values[1:])
    limit = math.log(len(log_probs))
    assert -limit - 1e-12 <= float(information) <= limit + 1e-12
    shifted = mixture_information(values[0] + shift, values[1:] + shift)
    torch.testing.assert_close(shifted, information, atol=1e-9, rtol=0)


def test_identical_policies_carry_no_information() -> None:
    log_probs = torch.randn(50, generator=stream()) * 100
    for k in (2, 7, 20, 100):
        assert torch.equal(mixture_information(log_probs, log_probs[:, None].expand(-1, k - 1)), torch.zeros(50))


def test_log_densities_of_minus_ten_thousand_stay_finite() -> None:
    taken = torch.tensor([-1e4, -1e4, 0.0, -1e4])
    alternatives = torch.tensor([[-1e4] * 3, [0.0] * 3, [-1e4] * 3, [-torch.inf] * 3])
    expected = torch.tensor([0.0, -math.log(4), math.log(4), math.log(4)])
    torch.testing.assert_close(mixture_information(taken, alternatives), expected)


def test_gaussian_log_prob_is_the_mean_over_unmasked_features() -> None:
    generator = stream()
    mean, log_std, target = (torch.randn(6, 5, generator=generator) for _ in range(3))
    exact = torch.distributions.Normal(mean, log_std.exp()).log_prob(target)
    torch.testing.assert_close(gaussian_log_prob(mean, log_std, target), exact.mean(-1))
    target[:, 3] = torch.nan
    mask = torch.tensor([True, False, True, False, True])
    torch.testing.assert_close(gaussian_log_prob(mean, log_std, target, mask), exact[:, mask].mean(-1))
    assert torch.equal(gaussian_log_prob(mean, log_std, target, torch.zeros(5, dtype=torch.bool)), torch.zeros(6))


def test_gaussian_log_prob_floors_the_deviation() -> None:
    one = torch.ones(1)
    floored = gaussian_log_prob(0 * one, -50 * one, one, log_std_floor=-2.0)
    torch.testing.assert_close(floored, gaussian_log_prob(0 * one, -2 * one, one, log_std_floor=-9.0))


def test_ensemble_information_has_its_closed_form() -> None:
    # Two members of deviation s at +-m: half the log of (s^2 + m^2) / s^2.
    s, m = 0.5, 1.5
    means = torch.tensor([[m, 0.0], [-m, 0.0]])[:, None].expand(2, 3, 2)
    log_stds = torch.full((2, 3, 2), math.log(s))
    expected = 0.5 * (0.5 * math.log((s**2 + m**2) / s**2))  # the second feature agrees
    torch.testing.assert_close(ensemble_information(means, log_stds), torch.full((3,), expected))
    only_first = ensemble_information(means, log_stds, torch.tensor([True, False]))
    torch.testing.assert_close(only_first, torch.full((3,), 2 * expected))


def test_ensemble_information_is_never_negative_and_0_where_members_agree() -> None:
    generator = stream()
    means, log_stds = torch.randn(5, 200, 4, generator=generator), torch.randn(5, 200, 4, generator=generator)
    assert (ensemble_information(means, log_stds) > 0).all()
    agreed = ensemble_information(means[:1].expand(5, -1, -1), log_stds[:1].expand(5, -1, -1))
    assert (agreed >= 0).all()
    assert agreed.max() < 1e-6


def test_ensemble_bounds_the_mutual_information_with_the_member() -> None:
    # The information itself is at most log E, and the moment-matched bound lies above it.
    means = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    grid = torch.linspace(-9, 10, 20_001, dtype=torch.float64)
    density = torch.distributions.Normal(means, 1.0).log_prob(grid).exp()
    mixture = density.mean(0)
    exact = float(torch.trapezoid(density * (density / mixture).log(), grid).mean())
    bound = float(ensemble_information(means, torch.zeros_like(means)))
    assert exact < bound < 1.1 * exact


def test_running_std_equals_that_of_all_data_at_once() -> None:
    data = torch.randn(1000, generator=stream()) * 3 + 50
    running = RunningStd()
    assert running.std == 1.0
    for batch in data.split(77):
        running.update(batch)
    running.update(data[:0])
    assert running.std == pytest.approx(float(data.std(unbiased=False)), rel=1e-6)


def test_running_std_with_decay_forgets() -> None:
    running = RunningStd(decay=0.5)
    generator = stream()
    for scale in [10.0] * 5 + [1.0] * 30:
        running.update(scale * torch.randn(500, generator=generator))
    assert running.std == pytest.approx(1.0, abs=0.05)


def test_bonus_is_lambda_times_information_in_running_deviations() -> None:
    information = torch.tensor([[0.1, 0.3], [0.5, 9e9]])
    mask = torch.tensor([[True, True], [True, False]])
    bonus = InformationBonus(weight=0.3, anneal_share=0.5)
    reward = bonus(information, progress=0.1, mask=mask)
    std = float(information[mask].std(unbiased=False))
    expected = torch.where(mask, 0.3 * 0.8 * information / std, torch.zeros(()))
    torch.testing.assert_close(reward, expected)
    assert bonus.stats()["information_mean"] == pytest.approx(0.3)
    assert bonus.stats()["information_lambda"] == pytest.approx(0.24)


def test_centred_bonus_says_how_much_more_than_the_average_step_of_the_batch() -> None:
    information = torch.tensor([[0.1, 0.3], [0.5, 9e9]])
    mask = torch.tensor([[True, True], [True, False]])
    plain, centred = InformationBonus(), InformationBonus(centred=True)
    expected = plain(information, 0.0, mask) - plain(torch.full_like(information, 0.3), 0.0, mask, update=False)
    torch.testing.assert_close(centred(information, 0.0, mask), expected)
    assert torch.equal(centred(torch.full((4,), 0.7), 0.0), torch.zeros(4))  # every step alike: nothing to seek
    assert torch.equal(centred(information, 0.0, torch.zeros_like(mask)), torch.zeros_like(information))


def test_lambda_falls_linearly_to_0() -> None:
    bonus = InformationBonus(weight=0.4, anneal_share=0.5)
    assert [bonus.coefficient(p) for p in (0.0, 0.25, 0.5, 0.9)] == pytest.approx([0.4, 0.2, 0.0, 0.0])
    assert InformationBonus(weight=0.4, anneal_share=math.inf).coefficient(1.0) == 0.4


def test_bonus_is_clipped_while_the_deviation_is_near_0() -> None:
    bonus = InformationBonus(weight=1.0, clip=5.0)
    assert torch.equal(bonus(torch.full((4,), 0.7), progress=0.0), torch.full((4,), 5.0))


def test_without_update_the_normaliser_stays() -> None:
    bonus = InformationBonus()
    bonus(torch.tensor([0.0, 2.0]), progress=0.0)
    before = bonus.state_dict()["normaliser"]
    bonus(torch.tensor([0.0, 200.0]), progress=0.0, update=False)
    assert bonus.state_dict()["normaliser"] == before


def test_both_estimators_answer_the_same_call() -> None:
    generator = stream()
    means, log_stds = torch.randn(20, 4, 7, 6, generator=generator), torch.zeros(20, 4, 7, 6)
    target, mask = torch.randn(4, 7, 6, generator=generator), torch.ones(6, dtype=torch.bool)
    mixture = InformationBonus("mixture").estimate(means, log_stds, target, mask)
    ensemble = InformationBonus("ensemble").estimate(means, log_stds, target, mask)
    assert mixture.shape == ensemble.shape == (4, 7)
    log_probs = gaussian_log_prob(means, log_stds, target)
    torch.testing.assert_close(mixture, log_probs[0] - torch.logsumexp(log_probs, 0) + math.log(20))
    torch.testing.assert_close(ensemble, ensemble_information(means, log_stds))


def test_no_gradient_reaches_the_predictions() -> None:
    means = torch.randn(3, 4, 2, generator=stream()).requires_grad_()
    bonus = InformationBonus()
    information = bonus.estimate(means, torch.zeros(3, 4, 2), torch.zeros(4, 2))
    assert not bonus(information, 0.0).requires_grad


def test_bonus_resumes_from_its_state() -> None:
    batches = torch.rand(6, 30, generator=stream())
    whole = InformationBonus()
    first = InformationBonus()
    for batch in batches[:3]:
        whole(batch, 0.1)
        first(batch, 0.1)
    resumed = InformationBonus()
    resumed.load_state_dict(first.state_dict())
    assert resumed.stats() == first.stats()
    for batch in batches[3:]:
        assert torch.equal(resumed(batch, 0.2), whole(batch, 0.2))


@pytest.mark.parametrize("arguments", [{"estimator": "mixtur"}, {"anneal_share": 0.0}, {"decay": 0.0}])
def test_bad_settings_are_refused(arguments: dict[str, float | str]) -> None:
    with pytest.raises(ValueError, match=r"mixture, ensemble|above 0|must lie in"):
        InformationBonus(**arguments)  # type: ignore[arg-type]

"""Alternative joint actions: legal, reproducible, near the current policy and never a stale one."""

import pytest
import torch
from torch import Tensor

from modules.exploration.alternatives import PolicyAlternatives, sample_actions

H, A, N = 16, 6, 3


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem(seed: int = 0, rows: int = 40) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features [rows, N, H], head [A, H], [A], availability [rows, N, A]."""
    generator = stream(seed)
    features = torch.randn(rows, N, H, generator=generator)
    avail = (torch.rand(rows, N, A, generator=generator) < 0.6).int()
    avail[..., 0] = 1
    return features, torch.randn(A, H, generator=generator) / 4, torch.randn(A, generator=generator), avail


def test_alternatives_are_legal_joint_actions() -> None:
    *policy, avail = problem()
    actions = PolicyAlternatives(20, generator=stream()).sample(*policy, avail)
    assert actions.shape == (19, 40, N)
    assert actions.dtype == torch.int64
    assert avail.expand(19, -1, -1, -1).gather(-1, actions[..., None]).all()


def test_sampling_follows_the_masked_softmax() -> None:
    logits = torch.tensor([0.5, -1.0, 2.0, 0.0])
    avail = torch.tensor([1, 1, 0, 1])
    drawn = sample_actions(logits.expand(200_000, 4), avail, stream())
    expected = logits.masked_fill(avail == 0, -torch.inf).softmax(-1)
    torch.testing.assert_close(torch.bincount(drawn, minlength=4) / 200_000, expected, atol=4e-3, rtol=0)


def test_rows_without_a_legal_action_yield_action_0() -> None:
    assert sample_actions(torch.randn(5, A, generator=stream()), torch.zeros(5, A), stream()).eq(0).all()


def test_noise_moves_logits_by_the_scale_asked_for() -> None:
    features, weight, bias, _ = problem()
    sampler = PolicyAlternatives(200, noise_scale=0.7, generator=stream())
    weights, biases = sampler._heads(features, weight, bias, None)
    change = torch.einsum("rnh,kah->krna", features, weights - weight)
    assert float(change.std()) == pytest.approx(0.7, rel=0.05)
    assert torch.equal(biases, bias.expand(199, -1))


def test_noise_is_kept_for_the_refresh_but_the_policy_is_not() -> None:
    features, weight, bias, avail = problem()
    sampler = PolicyAlternatives(5, noise_scale=1.0, refresh=2, generator=stream())
    sampler.sample(features, weight, bias, avail)
    noise = sampler._heads(features, weight, bias, None)[0] - weight
    sampler.update()
    moved = weight + 3.0  # a policy update; the same noise goes on top of the new head
    torch.testing.assert_close(sampler._heads(features, moved, bias, None)[0], moved + noise)
    sampler.update()
    assert (sampler._heads(features, weight, bias, None)[0] - weight - noise).abs().max() > 0.1


def test_no_noise_samples_the_current_policy() -> None:
    _, weight, bias, _ = problem()
    features = torch.randn(1, 1, H, generator=stream(3)).expand(4000, 1, H)
    sampler = PolicyAlternatives(20, noise_scale=0.0, generator=stream())
    actions = sampler.sample(features, weight, bias, torch.ones(4000, 1, A))
    frequency = torch.bincount(actions.flatten(), minlength=A) / actions.numel()
    torch.testing.assert_close(frequency, (weight @ features[0, 0] + bias).softmax(-1), atol=6e-3, rtol=0)


@pytest.mark.parametrize(("source", "n_auxiliary"), [("noise", 0), ("auxiliaries", 19), ("both", 9)])
def test_sources_share_the_alternatives(source: str, n_auxiliary: int) -> None:
    features, weight, bias, avail = problem()
    # Every auxiliary insists on action 0, which is always legal.
    push = torch.zeros(4, A)
    push[:, 0] = 1e4
    deltas = torch.zeros(4, A, H), push
    actions = PolicyAlternatives(20, source, generator=stream()).sample(features, weight, bias, avail, deltas)
    assert int((actions == 0).all(-1).all(-1).sum()) == n_auxiliary


def test_auxiliaries_are_used_evenly() -> None:
    chosen = PolicyAlternatives(20, "auxiliaries", generator=stream())._choose(16)
    counts = torch.bincount(chosen, minlength=16)
    assert counts.sum() == 19
    assert counts.min() == 1
    assert counts.max() == 2


def test_asking_for_auxiliaries_that_do_not_exist_is_an_error() -> None:
    *policy, avail = problem()
    with pytest.raises(ValueError, match="num_auxiliary_agents"):
        PolicyAlternatives(20, "both", generator=stream()).sample(*policy, avail)


def test_generator_decides_and_global_state_does_not() -> None:
    *policy, avail = problem()
    torch.manual_seed(1)
    first = PolicyAlternatives(generator=stream(7)).sample(*policy, avail)
    untouched = torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(PolicyAlternatives(generator=stream(7)).sample(*policy, avail), first)
    assert not torch.equal(PolicyAlternatives(generator=stream(8)).sample(*policy, avail), first)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), untouched)


def test_resumes_from_its_state() -> None:
    *policy, avail = problem()
    deltas = torch.randn(16, A, H, generator=stream(1)), torch.randn(16, A, generator=stream(2))
    whole = PolicyAlternatives(20, "both", refresh=3, generator=stream(4))
    whole.sample(*policy, avail, deltas)
    whole.update()
    resumed = PolicyAlternatives(20, "both", refresh=3, generator=stream(99))
    resumed.load_state_dict(whole.state_dict())
    for _ in range(4):
        assert torch.equal(resumed.sample(*policy, avail, deltas), whole.sample(*policy, avail, deltas))
        whole.update()
        resumed.update()


@pytest.mark.parametrize("arguments", [{"source": "nois"}, {"n_samples": 1}, {"refresh": 0}])
def test_bad_settings_are_refused(arguments: dict[str, int | str]) -> None:
    with pytest.raises(ValueError, match=r"noise, auxiliaries, both|at least"):
        PolicyAlternatives(generator=stream(), **arguments)  # type: ignore[arg-type]

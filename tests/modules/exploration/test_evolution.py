"""The auxiliaries: fitness in closed form, evolution against a frozen archive, exactness under masks, resume."""

import io
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.exploration.evolution import (
    POLICY_ITSELF,
    AuxiliaryEvolution,
    ProbeFitness,
    adapter_logits,
    jensen_shannon,
    kl_divergence,
    policy_distances,
)

H, A, N = 16, 7, 3


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem(seed: int = 0, probes: int = 20) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features [probes, N, H], availability [probes, N, A], head [A, H], [A]; some agents dead, some rows padding."""
    generator = stream(seed)
    features = torch.randn(probes, N, H, generator=generator).relu()
    avail = (torch.rand(probes, N, A, generator=generator) < 0.5).int()
    avail[..., 1] = 1
    avail[::4, 0] = torch.tensor([1] + [0] * (A - 1), dtype=torch.int32)
    avail[1::7, 1] = 0
    return features, avail, torch.randn(A, H, generator=generator) / 4, torch.randn(A, generator=generator)


def make(seed: int = 0, **settings: Any) -> AuxiliaryEvolution:
    return AuxiliaryEvolution(H, A, generator=stream(seed), **{"generations": 4, **settings})


def fitness_of(auxiliaries: AuxiliaryEvolution, seed: int = 0, beta: float = 0.1) -> ProbeFitness:
    """The fitness on the rows of `problem` that leave a choice, against the archive."""
    features, avail, weight, bias = problem(seed)
    choice = avail.sum(-1) > 1
    archive = auxiliaries.archive_weight, auxiliaries.archive_bias
    return ProbeFitness(features[choice], avail[choice], weight, bias, auxiliaries.projection, archive, beta)


def test_divergences_equal_their_definitions_in_double_precision() -> None:
    logits = 3 * torch.randn(2, 500, A, generator=stream())
    mask = torch.rand(500, A, generator=stream(1)) < 0.4
    mask[:, 2] = False
    log_p, log_q = logits.masked_fill(mask, -torch.inf).log_softmax(-1)
    p, q = (logits.double().masked_fill(mask, -torch.inf).softmax(-1)).unbind()
    m = (p + q) / 2
    expected = 0.5 * (torch.xlogy(p, p) + torch.xlogy(q, q) - 2 * torch.xlogy(m, m)).sum(-1)
    torch.testing.assert_close(jensen_shannon(log_p.exp(), log_q.exp()), expected, atol=1e-6, rtol=1e-4)
    expected = (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1)
    torch.testing.assert_close(kl_divergence(log_p, log_q).double(), expected, atol=2e-6, rtol=1e-5)


def test_jensen_shannon_at_its_ends() -> None:
    p = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    assert jensen_shannon(p, p).eq(0).all()
    assert float(jensen_shannon(p[0], torch.tensor([0.0, 0.0, 1.0]))) == pytest.approx(math.log(2))


def test_policy_distances_are_a_metric_over_rows_of_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    p = torch.randn(5, 33, A, generator=stream()).softmax(-1)
    whole = policy_distances(p, p)
    torch.testing.assert_close(whole.double(), jensen_shannon(p[:, None], p[None]).sqrt().mean(-1))
    monkeypatch.setattr("modules.exploration.evolution._BLOCK", 5 * 5 * A * 4)
    torch.testing.assert_close(policy_distances(p, p), whole)
    assert torch.equal(whole.diagonal(), torch.zeros(5))
    assert (whole[:, :, None] <= whole[:, None, :] + whole[None, :, :].transpose(1, 2) + 1e-6).all()


def test_psi_0_is_the_primary_policy() -> None:
    auxiliaries = make()
    features, avail, weight, bias = problem()
    auxiliaries.evolve(features, avail, weight, bias)
    fitness = fitness_of(auxiliaries)
    zero = torch.zeros(1, auxiliaries.adapters[0].numel())
    fitness(zero)
    assert float(fitness.distance) == 0.0
    logits = auxiliaries.logits(features, weight, bias, zero.view(1, -1, A))[0]
    torch.testing.assert_close(logits, features @ weight.T + bias)


def test_a_new_pool_plays_the_primary_policy() -> None:
    features, _, weight, bias = problem()
    logits = make().logits(features, weight, bias)
    assert torch.equal(logits, (features @ weight.T + bias).expand(16, -1, -1, -1))


def test_diversity_of_an_archive_member_against_itself_is_0() -> None:
    auxiliaries = make()
    features, avail, weight, bias = problem()
    auxiliaries.evolve(features, avail, weight, bias)
    fitness = fitness_of(auxiliaries)
    own = policy_distances(fitness.log_probs(auxiliaries.adapters.flatten(1)).exp(), fitness.archive)
    assert own.diagonal().max() < 1e-5
    assert (own + torch.eye(16)).min() > 1e-2  # and that of no other is
    auxiliaries.archive_weight, auxiliaries.archive_bias = auxiliaries.archive_weight[:1], auxiliaries.archive_bias[:1]
    fitness = fitness_of(auxiliaries)
    fitness(auxiliaries.adapters[:1].flatten(1))
    assert float(fitness.diversity) < 1e-5


def test_fitness_is_diversity_minus_beta_times_distance() -> None:
    auxiliaries = make()
    features, avail, weight, bias = problem()
    auxiliaries.evolve(features, avail, weight, bias)
    psi = torch.randn(3, auxiliaries.adapters[0].numel(), generator=stream(5))
    choice = avail.sum(-1) > 1
    logits = auxiliaries.logits(features, weight, bias, psi.view(3, -1, A))
    log_p = logits.masked_fill(avail == 0, -torch.inf)[:, choice].double().log_softmax(-1)
    log_pi = (features @ weight.T + bias).masked_fill(avail == 0, -torch.inf)[choice].double().log_softmax(-1)
    archive = torch.einsum("rh,sah->sra", features[choice], auxiliaries.archive_weight)
    archive += auxiliaries.archive_bias[:, None]
    q = archive.masked_fill((avail == 0)[choice], -torch.inf).double().softmax(-1)
    diversity = jensen_shannon(log_p.exp()[:, None], q[None]).sqrt().mean((1, 2))
    distance = kl_divergence(log_p, log_pi).mean(1)
    fitness = fitness_of(auxiliaries, beta=0.3)(psi).double()
    torch.testing.assert_close(fitness, diversity - 0.3 * distance, atol=1e-5, rtol=1e-5)


def test_fitness_rises_over_generations_against_a_fixed_archive() -> None:
    auxiliaries = make()
    auxiliaries.evolve(*problem(), generations=2)
    auxiliaries.evolve(*problem(), generations=15)
    rising = auxiliaries.history["fitness_elite"]
    assert len(rising) == 15
    assert rising[-1] > rising[4] > rising[0] + 0.01
    assert auxiliaries.history["fitness_best"][-1] >= rising[-1]


def test_a_high_price_keeps_auxiliaries_near_the_primary_policy() -> None:
    def distance(beta: float) -> float:
        auxiliaries = make(beta=beta)
        auxiliaries.evolve(*problem(), generations=10)
        return auxiliaries.stats()["auxiliary_distance"]

    assert distance(2.0) < 0.3 * distance(0.1)


def test_evolution_with_masked_actions_is_finite() -> None:
    auxiliaries = make()
    for seed in range(3):
        features, avail, weight, bias = problem(seed)
        features[avail.sum(-1) == 0] = torch.nan  # padding is never looked at
        auxiliaries.evolve(features, avail, 30 * weight, bias)
        assert torch.isfinite(auxiliaries.adapters).all()
        assert all(math.isfinite(value) for value in auxiliaries.stats().values())


def test_auxiliaries_differ_from_each_other_and_from_the_primary_policy() -> None:
    auxiliaries = make()
    auxiliaries.evolve(*problem())
    stats = auxiliaries.stats()
    assert stats["auxiliary_spread"] > 0.1
    assert stats["auxiliary_diversity"] > 0.1
    assert stats["auxiliary_distance"] > 0.01


def test_the_divergence_of_the_chosen_ones_is_told() -> None:
    auxiliaries = make()
    features, avail, weight, bias = problem()
    auxiliaries.evolve(features, avail, weight, bias)
    rows = avail.sum(-1) > 1
    masked = [
        logits[..., rows, :].masked_fill(avail[rows] == 0, -torch.inf).log_softmax(-1)
        for logits in (auxiliaries.logits(features, weight, bias), features @ weight.T + bias)
    ]
    ours = kl_divergence(*masked).mean(-1)
    stats = auxiliaries.stats()
    assert stats["auxiliary_kl_min"] == pytest.approx(float(ours.min()), rel=1e-4)
    assert stats["auxiliary_kl_max"] == pytest.approx(float(ours.max()), rel=1e-4)
    assert stats["auxiliary_fitness_first"] == auxiliaries.history["fitness_best"][0]


def test_many_probes_are_thinned_by_the_generator() -> None:
    features, avail, weight, bias = problem(probes=200)
    first = make(probe_rows=50).evolve(features, avail, weight, bias)
    assert torch.equal(make(probe_rows=50).evolve(features, avail, weight, bias), first)
    assert not torch.equal(make(probe_rows=1000).evolve(features, avail, weight, bias), first)


def test_archive_holds_frozen_heads_up_to_its_size() -> None:
    auxiliaries = make(archive_size=40)
    features, avail, weight, bias = problem()
    auxiliaries.evolve(features, avail, weight, bias)
    first = auxiliaries.archive_weight.clone()
    played = torch.einsum("pnh,sah->spna", features, first) + auxiliaries.archive_bias[:, None, None]
    torch.testing.assert_close(played, auxiliaries.logits(features, weight, bias), atol=1e-5, rtol=1e-5)
    auxiliaries.evolve(features, avail, 2 * weight, bias)
    assert torch.equal(auxiliaries.archive_weight[:16], first)
    auxiliaries.evolve(features, avail, weight, bias)
    assert len(auxiliaries.archive_weight) == 40
    assert torch.equal(auxiliaries.archive_weight[:8], first[8:])


def test_deltas_and_rollout_logits_agree_with_all_logits() -> None:
    auxiliaries = make()
    features, avail, weight, bias = problem()
    auxiliaries.evolve(features, avail, weight, bias)
    logits = auxiliaries.logits(features, weight, bias)
    delta_weight, delta_bias = auxiliaries.deltas()
    folded = torch.einsum("pnh,kah->kpna", features, weight + delta_weight) + (bias + delta_bias)[:, None, None]
    torch.testing.assert_close(folded, logits, atol=1e-5, rtol=1e-5)
    index = torch.arange(20) % 16
    mine = auxiliaries.rollout_logits(features, weight, bias, index)
    torch.testing.assert_close(mine, logits[index, torch.arange(20)], atol=1e-5, rtol=1e-5)
    index[::3] = POLICY_ITSELF
    mixed = auxiliaries.rollout_logits(features, weight, bias, index)
    assert torch.equal(mixed[index != POLICY_ITSELF], mine[index != POLICY_ITSELF])
    assert torch.equal(mixed[::3], (features @ weight.T + bias)[::3])


def test_adapter_logits_are_linear_in_psi() -> None:
    generator = stream()
    features, weight = torch.randn(5, N, H, generator=generator), torch.randn(A, H, generator=generator)
    bias = torch.zeros(A)
    psi, projection = torch.randn(2, 4, A, generator=generator), torch.randn(H + 1, 4, generator=generator)
    base = features @ weight.T
    one = adapter_logits(features, weight, bias, psi, projection)
    two = adapter_logits(features, weight, bias, 2 * psi, projection)
    torch.testing.assert_close(two - base, 2 * (one - base), atol=1e-4, rtol=1e-4)


def test_generator_decides_and_global_state_does_not() -> None:
    results = []
    for seed, noise in ((3, 1), (3, 2), (4, 1)):
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        results.append(make(seed).evolve(*problem()))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_resumes_from_a_checkpoint_file() -> None:
    whole = make(seed=3)
    whole.evolve(*problem(0))
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    file.seek(0)
    resumed = make(seed=99)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert resumed.stats() == whole.stats()
    assert resumed.evolutions == 1
    for seed in (1, 2):
        assert torch.equal(resumed.evolve(*problem(seed)), whole.evolve(*problem(seed)))
    assert torch.equal(resumed.archive_weight, whole.archive_weight)
    assert resumed.history == whole.history


@pytest.mark.parametrize("n_auxiliaries", [0, 30])
def test_a_number_of_auxiliaries_that_the_elite_cannot_give_is_refused(n_auxiliaries: int) -> None:
    with pytest.raises(ValueError, match=f"{n_auxiliaries} auxiliaries cannot be chosen from an elite of 20"):
        make(n_auxiliaries=n_auxiliaries)


def test_probes_without_a_choice_are_refused() -> None:
    features, avail, weight, bias = problem()
    with pytest.raises(ValueError, match="more than one legal action"):
        make().evolve(features, torch.zeros_like(avail), weight, bias)

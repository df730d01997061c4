"""The cross-entropy method on problems with a known optimum."""

import pytest
import torch
from torch import Tensor

from modules.exploration.cem import cross_entropy_method, farthest_point_first


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_cem_finds_the_optimum_of_a_convex_problem() -> None:
    optimum = torch.linspace(-3, 3, 20)
    scales = torch.logspace(-1, 1, 20)
    search = cross_entropy_method(
        lambda psi: -(scales * (psi - optimum).square()).sum(-1),
        torch.zeros(20),
        torch.full((20,), 4.0),
        generations=80,
        population=200,
        variance_floor=1e-6,
        generator=stream(),
    )
    *_, last = search
    torch.testing.assert_close(last.mean, optimum, atol=0.02, rtol=0)


def test_cem_fits_its_elite_by_maximum_likelihood_with_a_floor() -> None:
    seen: list[Tensor] = []

    def fitness(psi: Tensor) -> Tensor:
        seen.append(psi)
        return psi[:, 0]

    start = torch.zeros(3), torch.tensor([1.0, 4.0, 1e-12])
    (only,) = cross_entropy_method(fitness, *start, generations=1, variance_floor=1e-3, generator=stream())
    best = seen[0][seen[0][:, 0].argsort(descending=True)[:20]]
    assert torch.equal(only.elite, best)
    assert torch.equal(only.elite, seen[0][only.elite_index])
    torch.testing.assert_close(only.mean, best.mean(0))
    torch.testing.assert_close(only.variance[:2], best.var(0, unbiased=False)[:2])
    assert only.variance[2] == torch.tensor(1e-3)


def test_cem_refuses_a_fitness_that_is_not_finite() -> None:
    search = cross_entropy_method(
        lambda psi: psi[:, 0] / 0.0, torch.zeros(1), torch.ones(1), generations=1, generator=stream()
    )
    with pytest.raises(ValueError, match="generation 0: the fitness of 100 of 100"):
        next(search)


def test_farthest_point_first_on_a_line() -> None:
    points = torch.tensor([0.0, 0.1, 10.0, 4.0, 9.9])
    assert farthest_point_first((points[:, None] - points).abs(), 3).tolist() == [0, 2, 3]


def test_farthest_point_first_never_repeats_even_among_equals() -> None:
    assert sorted(farthest_point_first(torch.zeros(6, 6), 6).tolist()) == list(range(6))

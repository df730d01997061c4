"""The cross-entropy method (CEM) for maximising any batched fitness, and the choice of a diverse few from its elite."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Generation:
    """One generation of CEM: the search distribution after it, and its elite, best first."""

    mean: Tensor  # [D]
    variance: Tensor  # [D]
    elite: Tensor  # [E, D]
    elite_fitness: Tensor  # [E]
    elite_index: Tensor  # [E], into the population


def cross_entropy_method(
    fitness: Callable[[Tensor], Tensor],
    mean: Tensor,
    variance: Tensor,
    *,
    generations: int,
    population: int = 100,
    elite_fraction: float = 0.2,
    variance_floor: float = 1e-4,
    generator: torch.Generator,
) -> Iterator[Generation]:
    """Maximise `fitness` with a diagonal Gaussian refitted to each generation's elite by maximum likelihood.

    :param fitness: candidates [P, D] -> fitness [P].
    :param mean: where the search starts [D].
    :param variance: its initial variance [D].
    :param variance_floor: smallest variance, so that the search never freezes.
    :raises ValueError: where a fitness is not finite.
    """
    if generations < 1:
        raise ValueError(f"an evolution needs at least 1 generation, got {generations}")
    n_elite = elite_size(population, elite_fraction)
    for number in range(generations):
        draws = torch.randn((population, len(mean)), dtype=mean.dtype, device=generator.device, generator=generator)
        candidates = mean + variance.sqrt() * draws.to(mean.device)
        values = fitness(candidates)
        if not torch.isfinite(values).all():
            bad = int((~torch.isfinite(values)).sum())
            raise ValueError(f"generation {number}: the fitness of {bad} of {population} candidates is not finite")
        order = torch.argsort(values, descending=True, stable=True)[:n_elite]
        elite = candidates[order]
        mean, variance = elite.mean(dim=0), elite.var(dim=0, unbiased=False).clamp_min(variance_floor)
        yield Generation(mean, variance, elite, values[order], order)


def elite_size(population: int, elite_fraction: float) -> int:
    """Number of candidates in the elite, at least 1."""
    return max(1, round(population * elite_fraction))


def farthest_point_first(distances: Tensor, count: int) -> Tensor:
    """Indices [count] of points, the first one and then always that farthest from those chosen (Gonzalez 1985).

    :param distances: symmetric [E, E], count <= E.
    """
    chosen = [torch.zeros((), dtype=torch.long, device=distances.device)]
    nearest = distances[0].clone()
    nearest[0] = -1.0
    # Each choice depends on all before it: the only loop of the search that no batch can replace.
    for _ in range(count - 1):
        chosen.append(nearest.argmax())
        nearest = torch.minimum(nearest, distances[chosen[-1]])
        nearest[chosen[-1]] = -1.0
    return torch.stack(chosen)

"""Evolution of AMAL's auxiliary policies: the cross-entropy method (CEM) over adapters of the policy's head.

An auxiliary is the primary policy plus a low-rank change of its head, `delta logits = f(h) psi`, where f projects the
trunk's features h on fixed random directions (r numbers and a constant) and psi [r+1, A] is what evolves. Its fitness:

    F(psi) = Diversity(psi) - beta * Distance(psi, pi_phi)                                      (AMAL, section 4.4)

on probe histories: Diversity is the mean square root of the Jensen-Shannon divergence (a metric, at most sqrt(log 2))
to each policy of a frozen archive of earlier auxiliaries, Distance the mean KL(pi_psi || pi_phi). Rows [R] are pairs of
a history and an agent.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .cem import cross_entropy_method, elite_size, farthest_point_first

POLICY_ITSELF = -1
"""In place of an auxiliary's number: the policy that the auxiliaries vary."""

# Elements of the largest temporary while policies are compared; larger ones fall out of the cache and only cost time.
_BLOCK = 2**18


def adapter_logits(features: Tensor, head_weight: Tensor, head_bias: Tensor, psi: Tensor, projection: Tensor) -> Tensor:
    """Logits of P adapted policies in one pass, unmasked.

    :param features: [..., H].
    :param head_weight: [A, H].
    :param head_bias: [A].
    :param psi: [P, r+1, A].
    :param projection: affine map of features to adapter inputs [H+1, r+1]; its last row acts on a constant 1.
    :return: [P, ..., A].
    """
    base = features @ head_weight.T + head_bias
    return base + torch.einsum("...r,pra->p...a", features @ projection[:-1] + projection[-1], psi)


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon divergence of probabilities over the last axis, in nats: 0 to log 2, float64, broadcasting.

    In float32 the difference of entropies leaves 1e-7 where p = q, whose square root would pass for a distance of 3e-4.
    """
    p, q = p.double(), q.double()
    return (_entropy(0.5 * (p + q)) - 0.5 * (_entropy(p) + _entropy(q))).clamp_min(0.0)


def _entropy(p: Tensor) -> Tensor:
    return -(p.clamp_min(torch.finfo(p.dtype).tiny).log() * p).sum(dim=-1)


def kl_divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) over the last axis, in nats; actions masked to -inf in both contribute 0."""
    terms = torch.where(torch.isneginf(log_p), torch.zeros_like(log_p), log_p.exp() * (log_p - log_q))
    return terms.sum(dim=-1).clamp_min(0.0)


def policy_distances(p: Tensor, q: Tensor) -> Tensor:
    """Mean over rows of the square root of the Jensen-Shannon divergence: [P, R, A], [S, R, A] -> [P, S]."""
    n_rows = p.shape[1]
    rows = max(1, _BLOCK // (p.shape[0] * q.shape[0] * p.shape[2]))
    total = p.new_zeros(p.shape[0], q.shape[0], dtype=torch.float64)
    for start in range(0, n_rows, rows):
        block = slice(start, start + rows)
        total += jensen_shannon(p[:, None, block], q[None, :, block]).sqrt().sum(dim=-1)
    return (total / n_rows).to(p.dtype)


class ProbeFitness:
    """F of a population on fixed probes; the terms of the latest call stay in `diversity` [P] and `distance` [P].

    With an empty archive the current policy stands in for it.

    :param features: the current trunk's output on rows [R, H] that leave a choice.
    :param avail_actions: nonzero where legal [R, A], at least one a row.
    :param projection: [H+1, r+1], see `adapter_logits`.
    :param archive: whole heads, weights [S, A, H] and biases [S, A].
    """

    def __init__(
        self,
        features: Tensor,
        avail_actions: Tensor,
        head_weight: Tensor,
        head_bias: Tensor,
        projection: Tensor,
        archive: tuple[Tensor, Tensor],
        beta: float,
    ) -> None:
        self.illegal = avail_actions == 0
        self.inputs = features @ projection[:-1] + projection[-1]
        self.base = features @ head_weight.T + head_bias
        self.log_policy = self._log_softmax(self.base)
        archived = torch.einsum("rh,sah->sra", features, archive[0]) + archive[1][:, None]
        self.archive = self._log_softmax(archived).exp() if len(archived) else self.log_policy.exp()[None]
        self.beta = beta
        self.diversity = self.distance = features.new_zeros(0)

    def __call__(self, candidates: Tensor) -> Tensor:
        """Fitness [P] of candidates [P, (r+1) * A]."""
        log_probs = self.log_probs(candidates)
        self.diversity = policy_distances(log_probs.exp(), self.archive).mean(dim=1)
        self.distance = kl_divergence(log_probs, self.log_policy).mean(dim=1)
        return self.diversity - self.beta * self.distance

    def log_probs(self, candidates: Tensor) -> Tensor:
        """Log-probabilities [P, R, A] of candidates [P, (r+1) * A]."""
        psi = candidates.view(len(candidates), self.inputs.shape[-1], -1)
        return self._log_softmax(self.base + torch.einsum("nr,pra->pna", self.inputs, psi))

    def _log_softmax(self, logits: Tensor) -> Tensor:
        return logits.masked_fill(self.illegal, -torch.inf).log_softmax(dim=-1)


class AuxiliaryEvolution:
    """Keeps the auxiliary policies and their archive, and replaces them by evolution around the current policy.

    `adapters` [N, r+1, A] hold until the next evolution and are added to whatever head the policy has by then; before
    the first evolution they are 0 and every auxiliary is the primary policy. The archive keeps whole heads (base and
    adapter folded), frozen, so that an ancestor stays what it was; it is read through the current trunk's features.

    :param n_features: H, width of the policy trunk's output.
    :param n_actions: A.
    :param n_auxiliaries: N (the paper's num_auxiliary_agents, 16); at most the size of the elite.
    :param population: candidates a generation (cem_population_size, 100).
    :param elite_fraction: cem_elite_fraction, 0.2.
    :param generations: generations an evolution.
    :param beta: price of a nat of KL from the primary policy. 0.1 lets auxiliaries go several nats away.
    :param rank: r, number of feature directions an adapter can use; (r+1) * A numbers evolve.
    :param initial_std: spread of the first generation. Inputs have unit variance, so logits move by about
        initial_std * sqrt(r+1) nats.
    :param variance_floor: of the search distribution.
    :param archive_size: auxiliaries remembered, oldest forgotten first.
    :param probe_rows: most pairs of history and agent on which candidates are compared; more are thinned at random.
    :param generator: stream of projection and candidates; its state is part of `state_dict`.
    """

    def __init__(
        self,
        n_features: int,
        n_actions: int,
        *,
        n_auxiliaries: int = 16,
        population: int = 100,
        elite_fraction: float = 0.2,
        generations: int = 10,
        beta: float = 0.1,
        rank: int = 8,
        initial_std: float = 0.5,
        variance_floor: float = 1e-2,
        archive_size: int = 64,
        probe_rows: int = 256,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
    ) -> None:
        n_elite = elite_size(population, elite_fraction)
        if not 1 <= n_auxiliaries <= n_elite:
            raise ValueError(
                f"{n_auxiliaries} auxiliaries cannot be chosen from an elite of {n_elite} "
                f"({elite_fraction} of {population}); raise cem_population_size or cem_elite_fraction"
            )
        rank = min(rank, n_features)
        self.n_auxiliaries = n_auxiliaries
        self.population = population
        self.elite_fraction = elite_fraction
        self.generations = generations
        self.beta = beta
        self.initial_std = initial_std
        self.variance_floor = variance_floor
        self.archive_size = archive_size
        self.probe_rows = probe_rows
        self.generator = generator
        directions = torch.randn((n_features, rank), device=generator.device, generator=generator)
        self.directions = torch.linalg.qr(directions)[0].to(device)
        self.projection = torch.zeros(n_features + 1, rank + 1, device=device)
        self.adapters = torch.zeros(n_auxiliaries, rank + 1, n_actions, device=device)
        self.archive_weight = torch.zeros(0, n_actions, n_features, device=device)
        self.archive_bias = torch.zeros(0, n_actions, device=device)
        self.evolutions = 0
        self.history: dict[str, list[float]] = {}

    @torch.no_grad()
    def evolve(
        self,
        features: Tensor,
        avail_actions: Tensor,
        head_weight: Tensor,
        head_bias: Tensor,
        generations: int | None = None,
    ) -> Tensor:
        """Replace the auxiliaries by N diverse members of a new elite, archive them, and return their adapters.

        :param features: the current trunk's output on probe histories [P, n, H].
        :param avail_actions: nonzero where legal [P, n, A].
        :param head_weight: the current head [A, H].
        :param head_bias: [A].
        :return: `adapters` [N, r+1, A].
        :raises ValueError: where no agent has a choice in any probe, or the policy's logits are not finite.
        """
        # Where an agent has no choice all policies agree by rule; such rows would only dilute the fitness.
        choice = (avail_actions != 0).sum(dim=-1) > 1
        if not choice.any():
            raise ValueError("auxiliaries cannot evolve: in no probe history has an agent more than one legal action")
        features, avail_actions = self._thin(features[choice], avail_actions[choice])
        self.projection = standardised_projection(features, self.directions)
        archive = self.archive_weight, self.archive_bias
        fitness = ProbeFitness(features, avail_actions, head_weight, head_bias, self.projection, archive, self.beta)
        elite = self._search(fitness, self.generations if generations is None else generations)
        log_probs = fitness.log_probs(elite)
        distances = policy_distances(log_probs.exp(), log_probs.exp())
        chosen = farthest_point_first(distances, self.n_auxiliaries)
        self.adapters = elite[chosen].view_as(self.adapters)
        from_policy = kl_divergence(log_probs[chosen], fitness.log_policy).mean(dim=1)
        self.history["kl_min"], self.history["kl_max"] = [float(from_policy.min())], [float(from_policy.max())]
        self.history["spread"] = [_mean_off_diagonal(distances[chosen][:, chosen])]
        self.history["fitness_first"] = self.history["fitness_best"][:1]
        self._remember(head_weight, head_bias)
        self.evolutions += 1
        return self.adapters

    def _thin(self, features: Tensor, avail_actions: Tensor) -> tuple[Tensor, Tensor]:
        if len(features) <= self.probe_rows:
            return features, avail_actions
        order = torch.randperm(len(features), generator=self.generator, device=self.generator.device)
        kept = order[: self.probe_rows].to(features.device)
        return features[kept], avail_actions[kept]

    def _search(self, fitness: ProbeFitness, generations: int) -> Tensor:
        """Run CEM around the current policy and return the last elite [E, D], best first."""
        size = self.adapters[0].numel()
        mean = self.adapters.new_zeros(size)
        self.history = {key: [] for key in ("fitness_best", "fitness_elite", "diversity", "distance")}
        for generation in cross_entropy_method(
            fitness,
            mean,
            torch.full_like(mean, self.initial_std**2),
            generations=generations,
            population=self.population,
            elite_fraction=self.elite_fraction,
            variance_floor=self.variance_floor,
            generator=self.generator,
        ):
            self.history["fitness_best"].append(float(generation.elite_fitness[0]))
            self.history["fitness_elite"].append(float(generation.elite_fitness.mean()))
            self.history["diversity"].append(float(fitness.diversity[generation.elite_index].mean()))
            self.history["distance"].append(float(fitness.distance[generation.elite_index].mean()))
        return generation.elite

    def _remember(self, head_weight: Tensor, head_bias: Tensor) -> None:
        weight, bias = self.deltas()
        self.archive_weight = torch.cat([self.archive_weight, head_weight + weight])[-self.archive_size :]
        self.archive_bias = torch.cat([self.archive_bias, head_bias + bias])[-self.archive_size :]

    def deltas(self) -> tuple[Tensor, Tensor]:
        """The auxiliaries' changes of the head: weights [N, A, H] and biases [N, A]."""
        return (self.projection[:-1] @ self.adapters).transpose(1, 2), self.projection[-1] @ self.adapters

    def logits(self, features: Tensor, head_weight: Tensor, head_bias: Tensor, psi: Tensor | None = None) -> Tensor:
        """Logits [N, ..., A] of all auxiliaries (or of `psi` [P, r+1, A]) at features [..., H], unmasked."""
        return adapter_logits(features, head_weight, head_bias, self.adapters if psi is None else psi, self.projection)

    def rollout_logits(self, features: Tensor, head_weight: Tensor, head_bias: Tensor, index: Tensor) -> Tensor:
        """Logits [B, n, A] where row b of features [B, n, H] is played by auxiliary index[b] (int64 [B]), unmasked.

        `POLICY_ITSELF` is no auxiliary: the row has the logits of the policy's own head.
        """
        inputs = features @ self.projection[:-1] + self.projection[-1]
        adapters = F.pad(self.adapters, (0, 0, 0, 0, 0, 1))  # the last one, of index -1, changes nothing
        return features @ head_weight.T + head_bias + inputs @ adapters[index]

    def to(self, device: torch.device | str) -> None:
        """Move what evolves, and what it is compared with, to `device`; draws stay on the generator's."""
        for key in _TENSORS:
            setattr(self, key, getattr(self, key).to(device))

    def stats(self) -> dict[str, float]:
        """The latest evolution, under the names to be logged (its last generation where nothing else is said); empty
        before the first."""
        return {f"auxiliary_{key}": values[-1] for key, values in self.history.items()}

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs: tensors, numbers, and the generator's state."""
        tensors = {key: getattr(self, key) for key in _TENSORS}
        history = {key: list(values) for key, values in self.history.items()}
        return {**tensors, "evolutions": self.evolutions, "history": history, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of `state_dict`."""
        for key in _TENSORS:
            setattr(self, key, state[key].to(self.adapters.device).clone())
        self.evolutions = state["evolutions"]
        self.history = {key: list(values) for key, values in state["history"].items()}
        self.generator.set_state(state["generator"].cpu())


_TENSORS = ("directions", "projection", "adapters", "archive_weight", "archive_bias")


def standardised_projection(features: Tensor, directions: Tensor) -> Tensor:
    """Affine map [H+1, r+1] that gives the features [R, H] along `directions` [H, r] mean 0 and variance 1.

    Its last column is the constant 1, with which an adapter moves a logit in all histories alike.
    """
    along = features @ directions
    centre, spread = along.mean(dim=0), along.std(dim=0, unbiased=False)
    # A direction in which the probes hardly differ must not be blown up into noise.
    spread = torch.maximum(spread, 1e-2 * along.square().mean().sqrt()).clamp_min(1e-6)
    projection = torch.zeros(features.shape[1] + 1, directions.shape[1] + 1, dtype=along.dtype, device=along.device)
    projection[:-1, :-1] = directions / spread
    projection[-1, :-1] = -centre / spread
    projection[-1, -1] = 1.0
    return projection


def _mean_off_diagonal(distances: Tensor) -> float:
    n = len(distances)
    return float((distances.sum() - distances.diagonal().sum()) / max(1, n * (n - 1)))

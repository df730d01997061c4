"""Alternative joint actions for the information term: what other policies would have done at the same histories.

The other policies are the primary one with another head on the same features: its head plus Gaussian noise, or plus an
auxiliary's adapter. They carry no hidden state of their own, so K alternatives cost one matrix product.
"""

from typing import Any

import torch
from torch import Tensor

SOURCES = ("noise", "auxiliaries", "both")


class PolicyAlternatives:
    """Draws K - 1 alternative joint actions per history from policies near the primary one.

    What is kept for `refresh` updates is the *change* of head (the noise, and which auxiliaries are used); it is added
    to whatever head the caller passes, so the alternatives are never those of a stale policy.

    :param n_samples: K, the action taken included; at least 2.
    :param source: "noise", "auxiliaries" or "both" (half of the alternatives each; the odd one is noise).
    :param noise_scale: standard deviation of the noise's effect on a logit, in nats, over the histories at a refresh.
    :param refresh: number of `update` calls for which noise and choice of auxiliaries are kept.
    :param generator: stream of every draw; its state is part of `state_dict`.
    """

    def __init__(
        self,
        n_samples: int = 20,
        source: str = "noise",
        noise_scale: float = 1.0,
        refresh: int = 10,
        *,
        generator: torch.Generator,
    ) -> None:
        if source not in SOURCES:
            raise ValueError(f'mi_policies is "{source}"; choose one of {", ".join(SOURCES)}')
        if n_samples < 2:
            raise ValueError(f"the information term needs at least 2 policy samples, got {n_samples}")
        if refresh < 1:
            raise ValueError(f"mi_policy_refresh is {refresh}; it must be at least 1")
        n_alternatives = n_samples - 1
        self.n_auxiliary = {"noise": 0, "auxiliaries": n_alternatives, "both": n_alternatives // 2}[source]
        self.n_noise = n_alternatives - self.n_auxiliary
        self.noise_scale = noise_scale
        self.refresh = refresh
        self.generator = generator
        self.updates = 0
        self._noise: Tensor | None = None
        self._chosen: Tensor | None = None

    def update(self) -> None:
        """Count one learner update; every `refresh`-th forgets the cached noise."""
        self.updates += 1
        if self.updates % self.refresh == 0:
            self._noise = self._chosen = None

    @torch.no_grad()
    def sample(
        self,
        features: Tensor,
        head_weight: Tensor,
        head_bias: Tensor,
        avail_actions: Tensor,
        auxiliary_deltas: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Joint actions of the K - 1 alternatives.

        :param features: output of the policy's trunk [..., n, H].
        :param head_weight: the current head [A, H].
        :param head_bias: [A].
        :param avail_actions: nonzero where legal [..., n, A]; a row with no legal action (padding) yields action 0.
        :param auxiliary_deltas: the auxiliaries' changes of the head ([N, A, H], [N, A]): `AuxiliaryEvolution.deltas`.
        :return: int64 [K-1, ..., n].
        """
        weights, biases = self._heads(features, head_weight, head_bias, auxiliary_deltas)
        logits = torch.einsum("...h,kah->k...a", features, weights)
        logits += biases.view(-1, *[1] * (features.dim() - 1), biases.shape[-1])
        return sample_actions(logits, avail_actions, self.generator)

    def _heads(
        self, features: Tensor, head_weight: Tensor, head_bias: Tensor, deltas: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """Heads of the alternatives: weights [K-1, A, H] and biases [K-1, A]."""
        if self._noise is None:
            # Dividing by the features' typical length makes the scale mean the same for every network and layer norm.
            length = features.square().sum(dim=-1).mean().sqrt().clamp_min(1e-6)
            draw = _normal((self.n_noise, *head_weight.shape), head_weight, self.generator)
            self._noise = draw * (self.noise_scale / length)
        weights = [head_weight + self._noise.to(head_weight.device)]
        biases = [head_bias.expand(self.n_noise, -1)]
        if self.n_auxiliary:
            if deltas is None or not len(deltas[0]):
                raise ValueError("mi_policies asks for auxiliaries, but there are none (num_auxiliary_agents is 0)")
            if self._chosen is None:
                self._chosen = self._choose(len(deltas[0]))
            chosen = self._chosen.to(head_weight.device)
            weights.append(head_weight + deltas[0][chosen])
            biases.append(head_bias + deltas[1][chosen])
        return torch.cat(weights), torch.cat(biases)

    def _choose(self, n: int) -> Tensor:
        """Auxiliaries of this refresh: a random order of all n, repeated as often as needed."""
        order = torch.randperm(n, generator=self.generator, device=self.generator.device)
        return order.repeat(-(-self.n_auxiliary // n))[: self.n_auxiliary]

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs, the generator included."""
        return {
            "updates": self.updates,
            "noise": self._noise,
            "chosen": self._chosen,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of `state_dict`."""
        self.updates = state["updates"]
        self._noise, self._chosen = state["noise"], state["chosen"]
        self.generator.set_state(state["generator"].cpu())


def sample_actions(logits: Tensor, avail_actions: Tensor, generator: torch.Generator) -> Tensor:
    """Draw from the softmax of the legal logits: [..., A] -> int64 [...]; action 0 where nothing is legal.

    `avail_actions` broadcasts against `logits`.
    """
    # Gumbel's trick: logits minus the log of exponential draws; the floor because such a draw may be 0 in float32.
    draws = torch.empty(logits.shape, dtype=logits.dtype, device=generator.device).exponential_(generator=generator)
    perturbed = logits - draws.clamp_min_(torch.finfo(logits.dtype).tiny).log_().to(logits.device)
    return perturbed.masked_fill(avail_actions == 0, -torch.inf).argmax(dim=-1)


def _normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, dtype=like.dtype, device=generator.device, generator=generator).to(like.device)

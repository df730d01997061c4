"""MASAC: soft actor-critic for teams, with twin central critics and a temperature that keeps the policies' entropy up.

Haarnoja et al. 2018 (arXiv 1812.05905) for every agent, with the critic of all agents' actions of MADDPG. The team's
entropy is the sum of the agents': exact for discrete actions, by the drawn action's density for continuous ones.
"""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from components.action_selectors import multinomial_entropy
from learners.central_critic import AHEAD, NOW, CentralCriticLearner, Steps, choosing
from learners.replay_learner import means
from utils.policies import squashed_gaussian


class Temperature(nn.Module):
    """The price of a nat of entropy, kept positive by its logarithm."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.tensor(start).log())

    def forward(self) -> Tensor:
        """The temperature, without gradient."""
        return self.log.detach().exp()


class MASACLearner(CentralCriticLearner):
    """Reads the keys of config/algs/masac.yaml, and those of maddpg.yaml beneath it."""

    def _make_networks(self, args: SimpleNamespace) -> dict[str, nn.Module]:
        return {**super()._make_networks(args), "temperature": Temperature(args.temperature_start)}

    def _parameter_groups(self) -> list[dict[str, Any]]:
        temperature = list(self.networks["temperature"].parameters())
        return [*super()._parameter_groups(), {"params": temperature, "lr": self.args.temperature_lr}]

    def _pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """The critics alone have slow copies: targets are made of what the present policies do."""
        return [(self.networks["critic"], self.targets["critic"])]

    def _act(self, outputs: Tensor, avail: Tensor) -> tuple[Tensor, Tensor]:
        """Drawn action vectors [..., n, A] and the entropies [..., n] of what they were drawn from."""
        if self.mac.continuous:
            actions, log_probs = squashed_gaussian(outputs, self._normal(avail), avail)
            return actions, -log_probs
        actions, logits = self._draw(outputs, avail)
        return actions, multinomial_entropy(logits)

    def _next_values(self, data: Steps) -> Tensor:
        """Soft values: the target critics' lesser one of what the policies do, and what the team's entropy is worth."""
        actions, entropies = self._act(self._outputs(self.mac, data, AHEAD), data.avail[:, AHEAD])
        values = self.targets["critic"](data.state[:, AHEAD], actions).amin(-1, keepdim=True)
        soft: Tensor = values + self.networks["temperature"]() * entropies.sum(-1, keepdim=True)
        return soft

    def _actor_loss(self, data: Steps) -> tuple[Tensor, dict[str, Tensor]]:
        avail = data.avail[:, NOW]
        actions, entropies = self._act(self._outputs(self.mac, data, NOW), avail)
        counts = data.mask * choosing(avail, self.mac.continuous)
        total = counts.sum().clamp(min=1.0)
        values = self._values_of(data, actions)
        temperature: Any = self.networks["temperature"]
        of_values = (values * (counts if values.shape[-1] > 1 else data.mask)).sum()
        loss = -(of_values + (temperature() * entropies * counts).sum()) / total
        excess = (entropies - self.target_entropy(avail)).detach() * counts
        temperature_loss = temperature.log * excess.sum() / total
        return loss + temperature_loss, {"temperature": temperature(), **means(counts, entropy=entropies)}

    def target_entropy(self, avail: Tensor) -> Tensor:
        """What entropies [..., n] should be: `target_entropy` nats for each number, or that share of the greatest."""
        n_choices = (avail != 0).sum(-1)
        if self.mac.continuous:
            return self.args.target_entropy * n_choices
        return self.args.target_entropy_share * n_choices.clamp(min=1).log()

"""HAPPO: agents that learn one after another, each on what the others became (Kuba et al. 2022, arXiv 2109.11251).

In each update the agents take turns in a random order. The advantage that an agent's clipped update sees is the team's,
times the ratio by which the agents before it have made the joint action likelier: then each step improves the team.
"""

from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from learners.ppo_data import PPOData
from learners.ppo_learner import PPOLearner
from utils.errors import UserError


class HAPPOLearner(PPOLearner):
    """Trains one policy per agent, in turns, and a critic.

    Reads the keys of config/algs/happo.yaml, each explained there or in mappo.yaml. A subclass may move an agent's
    policy in another way: `_improve`.
    """

    def __init__(self, mac: Any, scheme: dict[str, Any], logger: Any, args: SimpleNamespace) -> None:
        if not hasattr(mac.agent, "agents"):
            raise UserError(f'{args.learner} needs a network for every agent: mac="non_shared_mac", not "{args.mac}".')
        super().__init__(mac, scheme, logger, args)

    def update(self, data: PPOData) -> dict[str, float]:
        """Every agent's policy in turn, then the critic; returns what there is to log, as means over the agents."""
        totals: dict[str, float] = defaultdict(float)
        factor = torch.ones_like(data.advantages[..., :1])
        for agent in self._order():
            own = replace(data, policy_mask=only(data.policy_mask, agent), advantages=data.advantages * factor)
            for name, value in self._improve(own).items():
                totals[name] += value / self.n_agents
            factor = factor * self._ratio(own, agent)
        totals["sequential_factor"] = float(factor[data.policy_mask.any(-1, keepdim=True)].mean())
        value_epochs = self.settings.value_epochs or self.settings.epochs
        return totals | self.trainer.update(data, replace(self.settings, epochs=0, value_epochs=value_epochs))

    def _improve(self, data: PPOData) -> dict[str, float]:
        """Move the policy of one agent, whose steps are all that `data.policy_mask` has.

        The other agents' networks get no gradient, and Adam leaves parameters without one as they are.
        """
        return self.trainer.update(data, replace(self.settings, value_epochs=0))

    def _order(self) -> list[int]:
        if self.args.fixed_order:
            return list(range(self.n_agents))
        return torch.randperm(self.n_agents, generator=self.trainer.generator).tolist()

    def _ratio(self, data: PPOData, agent: int) -> Tensor:
        """By how much the agent's actions are likelier now, [B, T, 1]; 1 where it has no step."""
        mask = data.policy_mask
        now = self.trainer.log_probs(data.actor_inputs, data.avail_actions, data.actions, mask)
        ratio = torch.where(mask, now - data.old_log_probs, 0.0).exp()
        return ratio[..., agent : agent + 1]


def only(mask: Tensor, agent: int) -> Tensor:
    """The mask [..., n] with the column of one agent alone."""
    kept = torch.zeros_like(mask)
    kept[..., agent] = mask[..., agent]
    return kept

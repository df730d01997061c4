"""COMA: counterfactual multi-agent policy gradients (Foerster et al. 2018, arXiv 1705.08926).

A central critic values each agent's actions while the others' stay as they were. An agent's advantage is the value of
what it did less the mean over what its policy might have done: what the others contribute cancels.
"""

from dataclasses import replace

import torch
from torch import Tensor

from components.episode_buffer import EpisodeBatch
from learners.ppo_data import PPOData
from learners.ppo_learner import PPOLearner
from modules.critics.ppo_critic import alive_from_avail
from utils.rl_utils import build_nstep_returns, build_td_lambda_targets


class COMALearner(PPOLearner):
    """Trains a policy by counterfactual advantages, and Q-values by TD(lambda) or n-step returns.

    Reads the keys of config/algs/coma.yaml, each explained there or in mappo.yaml.
    """

    values_actions = True

    def data_of(self, batch: EpisodeBatch) -> PPOData:
        """What the update needs of real episodes; only the value of the action taken is regressed on the returns."""
        data = super().data_of(batch)
        old_values = data.old_values.gather(3, data.actions.unsqueeze(3))
        return replace(data, old_values=old_values, value_actions=data.actions)

    def _estimate(self, batch: EpisodeBatch, values: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """Counterfactual advantages and returns [B, T, n, 1], from Q-values [B, T + 1, n, A] of critic and target.

        The frame after the last step has no actions, and so no value: a time-out counts as an end.
        """
        steps = self._tensor(batch["filled"])[:, 1:] != 0
        last = steps & ~torch.cat([steps[:, 1:], torch.zeros_like(steps[:, :1])], dim=1)
        ends = ((self._tensor(batch["terminated"])[:, :-1] != 0) | last).unsqueeze(-1)
        rewards = self.rewards_of(batch).unsqueeze(-1)
        chosen = self._tensor(batch["actions"])
        taken, args, mask = ahead.gather(3, chosen), self.args, steps.unsqueeze(-1)
        if args.n_step:
            returns = build_nstep_returns(rewards, ends, mask, taken, args.gamma, args.n_step)
        else:
            returns = build_td_lambda_targets(rewards, ends, mask, taken, self.n_agents, args.gamma, args.td_lambda)
        advantages = counterfactual_advantages(values[:, :-1], self._probabilities(batch, steps), chosen[:, :-1])
        return torch.where(mask, advantages, 0.0), returns

    def _probabilities(self, batch: EpisodeBatch, steps: Tensor) -> Tensor:
        """What the policy does in each step, [B, T, n, A]."""
        avail = self._tensor(batch["avail_actions"])[:, :-1]
        inputs = self._tensor(self.mac.sequence_inputs(batch))[:, :-1]
        return self.trainer.probabilities(inputs, avail, steps & alive_from_avail(avail))


def counterfactual_advantages(q_values: Tensor, probabilities: Tensor, actions: Tensor) -> Tensor:
    """Q of the action taken less the policy's expectation of Q, [..., 1] (Foerster et al. 2018, eq. 4).

    q_values, probabilities [..., A]; actions [..., 1] int64.
    """
    return q_values.gather(-1, actions) - (probabilities * q_values).sum(-1, keepdim=True)

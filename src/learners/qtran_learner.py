"""QTRAN-base: a free joint value, and agents whose summed values are fitted to it at the greedy joint action.

Son et al. 2019 (arXiv 1905.05408), with PyMARL's weights of the three losses.
"""

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from learners.q_learner import QLearner, Replay, means
from modules.mixers.qtran import QTranBase
from utils.errors import UserError


class QTRANLearner(QLearner):
    """Learns Q(s, u) by temporal differences and the agents' values by QTRAN's two conditions.

    Reads the keys of config/algs/qtran.yaml.
    """

    def _make_networks(self, args: SimpleNamespace) -> dict[str, nn.Module]:
        if args.qtran_arch == "qtran_paper" and not hasattr(self.mac.agent, "features_sequence"):
            raise UserError(
                f'qtran_arch="qtran_paper" reads the agents\' hidden states, which agent="{args.agent}" does not give. '
                "Use agent=rnn, or qtran_arch=coma_critic."
            )
        return {"mixer": QTranBase(args)}

    def _loss(self, data: Replay) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        q_values, hidden = self._values_and_features(self.mac, data)
        mixer, now = self.networks["mixer"], data.batch[:, :-1]
        best = q_values.detach().masked_fill(data.avail == 0, -torch.inf).argmax(dim=3, keepdim=True)
        hidden_now = None if hidden is None else hidden[:, :-1]
        shape = data.rewards.shape
        joint, state_value = (value.view(shape) for value in mixer(now, hidden_now))
        with torch.no_grad():
            targets = self._joint_targets(data, best)
            joint_of_best = mixer(now, hidden_now, actions=self._onehot(best[:, :-1]))[0].view(shape)
        errors = (joint - targets) * data.mask
        sum_of_best = q_values[:, :-1].gather(3, best[:, :-1]).squeeze(3).sum(2, keepdim=True)
        sum_of_taken = q_values[:, :-1].gather(3, data.actions[:, :-1]).squeeze(3).sum(2, keepdim=True)
        opt = (sum_of_best - joint_of_best + state_value) * data.mask
        nopt = (sum_of_taken - joint.detach() + state_value).clamp(max=0.0) * data.mask
        count = data.mask.sum()
        losses = [(data.weight * error.square()).sum() / count for error in (errors, opt, nopt)]
        loss = losses[0] + self.args.opt_loss * losses[1] + self.args.nopt_min_loss * losses[2]
        names = dict(zip(("loss_td", "opt_loss", "nopt_loss"), losses))
        return loss, errors, {**names, **means(data.mask, q_taken_mean=joint, target_mean=targets)}

    def _joint_targets(self, data: Replay, best: Tensor) -> Tensor:
        """Targets [B, T-1, 1] from the slow joint value of the greedy joint action in every frame."""
        q_values, hidden = self._values_and_features(self.target_mac, data)
        if not self.args.double_q:
            best = q_values.masked_fill(data.avail == 0, -torch.inf).argmax(dim=3, keepdim=True)
        value = self.targets["mixer"](data.batch, hidden, actions=self._onehot(best))[0]
        return self._returns(data, value.view(data.filled.shape), None)

    def _values_and_features(self, mac: Any, data: Replay) -> tuple[Tensor, Tensor | None]:
        """The agents' values [B, T, n, A] and, where QTRAN's network reads them, hidden states [B, T, n, H]."""
        if self.args.qtran_arch != "qtran_paper":
            return self._values(mac, data), None
        agent = mac.agent
        hidden, _ = agent.features_sequence(self.mac.sequence_inputs(data.batch).to(self.mac.device))
        return agent.readout(hidden), hidden

    def _onehot(self, actions: Tensor) -> Tensor:
        return F.one_hot(actions.squeeze(3), self.args.n_actions).float()

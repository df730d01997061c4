"""Weighted QMIX: a free joint value teaches the monotonic one, which counts the joint actions that matter more.

Rashid et al. 2020 (arXiv 2006.10800): `weighting: optimistic` (OW-QMIX) or `central` (CW-QMIX).
"""

from copy import deepcopy
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from learners.q_learner import QLearner, Replay
from learners.replay_learner import means
from modules.mixers.central import CentralMixer
from utils.errors import UserError, nearest

WEIGHTINGS = ("optimistic", "central")


class WQMIXLearner(QLearner):
    """Q-learning towards the targets of an unrestricted central value with agent networks of its own.

    Reads the keys of config/algs/ow_qmix.yaml.
    """

    def _make_networks(self, args: SimpleNamespace) -> dict[str, nn.Module]:
        if args.weighting not in WEIGHTINGS:
            hint = nearest(args.weighting, WEIGHTINGS)
            raise UserError(f'weighting="{args.weighting}" does not exist.{hint} There are: {", ".join(WEIGHTINGS)}')
        if args.mixer is None:
            raise UserError("WQMIX teaches a mixer, and mixer=null is none. Use mixer=nmix, or --config=iql.")
        self.central_mac = deepcopy(self.mac)
        self.target_central_mac = deepcopy(self.mac)
        central = {"central_agent": self.central_mac.agent, "central_mixer": CentralMixer(args)}
        return {**super()._make_networks(args), **central}

    def _loss(self, data: Replay) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        q_values = self._values(self.mac, data)
        team = self._team_value(self.networks["mixer"], q_values, data, data.actions)[:, :-1]
        central_q = self._values(self.central_mac, data).gather(3, data.actions).squeeze(3)
        central = self._mix(self.networks["central_mixer"], data, central_q)[:, :-1]
        with torch.no_grad():
            best = q_values.masked_fill(data.avail == 0, -torch.inf).argmax(dim=3, keepdim=True)
            best_value = self._target_central_value(data, best)
            taken = self._target_central_value(data, data.actions) if self._q_lambda else None
            targets = self._returns(data, best_value, taken)
            weights = self._weights(data, team - targets, targets, best_value[:, :-1], best[:, :-1])
        errors, central_errors = (team - targets) * data.mask, (central - targets) * data.mask
        count = data.mask.sum()
        loss_td = (data.weight * weights * errors.square()).sum() / count
        central_loss = (data.weight * central_errors.square()).sum() / count
        loss = self.args.qmix_loss * loss_td + self.args.central_loss * central_loss
        statistics = {"loss_td": loss_td, "central_loss": central_loss}
        return loss, errors, {**statistics, **means(data.mask, q_taken_mean=team, target_mean=targets, w_mean=weights)}

    def _target_central_value(self, data: Replay, actions: Tensor) -> Tensor:
        """The slow central value [B, T, 1] of `actions` [B, T, n, 1]."""
        self.target_central_mac.agent = self.targets["central_agent"]
        chosen = self._values(self.target_central_mac, data).gather(3, actions).squeeze(3)
        return self._mix(self.targets["central_mixer"], data, chosen)

    def _weights(self, data: Replay, errors: Tensor, targets: Tensor, best_value: Tensor, best: Tensor) -> Tensor:
        """1 for joint actions that count in full, else `w`; [B, T-1, 1].

        Optimistic: those that the mixer undervalues. Central: those whose target beats the central value of the
        greedy joint action, and that action itself.
        """
        if self.args.weighting == "optimistic":
            counts = errors < 0
        else:
            greedy = (data.actions[:, :-1] == best).all(dim=2)
            counts = greedy | (targets > best_value)
        return torch.where(counts, 1.0, self.args.w)

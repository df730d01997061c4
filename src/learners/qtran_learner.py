"""QTRAN: a free joint value, and agents whose summed values are fitted to it at the greedy joint action.

Son et al. 2019 (arXiv 1905.05408), QTRAN-base and QTRAN-alt.
"""

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from learners.q_learner import QLearner, Replay
from learners.replay_learner import means
from modules.mixers.qtran import QTranAlt, QTranBase
from utils.errors import UserError, nearest

MIXERS = {"qtran_alt": QTranAlt, "qtran_base": QTranBase}


class QTRANLearner(QLearner):
    """Learns Q(s, u) by temporal differences and the agents' values by QTRAN's two conditions.

    The sum of the agents' values and V(s) is to equal Q(s, u) at the greedy joint action and not to lie below it
    elsewhere. For the latter QTRAN-base looks at the joint actions taken. QTRAN-alt looks at all actions of one agent
    beside those that the others took, and wants equality where the sum is lowest against Q(s, u).
    Reads the keys of config/algs/qtran.yaml.
    """

    def _make_networks(self, args: SimpleNamespace) -> dict[str, nn.Module]:
        if args.mixer not in MIXERS:
            hint = nearest(str(args.mixer), MIXERS)
            raise UserError(f'QTRAN has no mixer "{args.mixer}".{hint} There are: {", ".join(MIXERS)}')
        self.counterfactual = args.mixer == "qtran_alt"
        self.reads_hidden = not self.counterfactual and args.qtran_arch == "qtran_paper"
        if self.reads_hidden and not hasattr(self.mac.agent, "features_sequence"):
            raise UserError(
                f'qtran_arch="qtran_paper" reads the agents\' hidden states, which agent="{args.agent}" does not give. '
                "Use agent=rnn, or qtran_arch=coma_critic."
            )
        return {"mixer": MIXERS[args.mixer](args)}

    def _loss(self, data: Replay) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        q_values, hidden = self._values_and_features(self.mac, data)
        legal = data.avail > 0
        legal = legal | ~legal.any(3, keepdim=True)  # padding offers nothing
        best = q_values.detach().masked_fill(~legal, -torch.inf).argmax(dim=3, keepdim=True)
        mixer = self.networks["mixer"]
        values, state_value = self._joint(mixer, data, hidden, data.actions)
        joint = self._of(values, data.actions)[:, :-1]
        with torch.no_grad():
            targets = self._joint_targets(data, best)
            joint_of_best = self._of(self._joint(mixer, data, hidden, best)[0], best)
        sum_of_best = q_values.gather(3, best).squeeze(3).sum(2, keepdim=True)
        opt = (sum_of_best - joint_of_best + state_value)[:, :-1]
        nopt = self._gap(data, q_values, legal, values.detach(), state_value)[:, :-1]
        mask = data.mask.expand_as(joint)
        errors = (joint - targets) * mask
        losses = [(data.weight * (error * mask).square()).sum() / mask.sum() for error in (errors, opt, nopt)]
        loss = losses[0] + self.args.opt_loss * losses[1] + self.args.nopt_min_loss * losses[2]
        names = dict(zip(("loss_td", "opt_loss", "nopt_loss"), losses))
        return loss, errors, {**names, **means(mask, q_taken_mean=joint, target_mean=targets)}

    def _joint(self, mixer: nn.Module, data: Replay, hidden: Tensor | None, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Joint values and V [B, T, 1] in the real frames, 0 in the others, for `actions` [B, T, n, 1].

        The joint values are those of the joint action [B, T, 1] or, of QTRAN-alt, of each agent's actions beside the
        others' [B, T, n, A].
        """

        def real(value: Tensor) -> Tensor:
            return data.frames.pack(value.unsqueeze(2)).unsqueeze(0)

        onehot = F.one_hot(actions.squeeze(3), self.args.n_actions).float()
        outputs = mixer({"state": data.state}, None if hidden is None else real(hidden), real(onehot))
        n_rows, shape = data.state.shape[1], data.filled.shape
        values, state_value = (data.frames.unpack(output.view(n_rows, -1), shape).squeeze(2) for output in outputs)
        return values.unflatten(2, (self.args.n_agents, -1)) if self.counterfactual else values, state_value

    def _of(self, values: Tensor, actions: Tensor) -> Tensor:
        """The joint values [B, T, 1 or n] of `actions` [B, T, n, 1] among those that `_joint` gave for them."""
        return values.gather(3, actions).squeeze(3) if self.counterfactual else values

    def _gap(self, data: Replay, q_values: Tensor, legal: Tensor, values: Tensor, state_value: Tensor) -> Tensor:
        """What the second condition wants to be 0, [B, T, 1 or n], for `values` of the actions taken."""
        chosen = q_values.gather(3, data.actions).squeeze(3)
        total = chosen.sum(2, keepdim=True)
        if not self.counterfactual:
            return (total - values + state_value).clamp(max=0.0)
        exchanged = (total - chosen).unsqueeze(3) + q_values
        lowest = (exchanged - values + state_value.unsqueeze(3)).masked_fill(~legal, torch.inf).amin(3)
        # who has no choice, like the dead, has no lowest action to tie: there only the inequality is left
        return torch.where(legal.sum(3) == 1, lowest.clamp(max=0.0), lowest)

    def _joint_targets(self, data: Replay, best: Tensor) -> Tensor:
        """Targets [B, T-1, 1 or n] from the slow joint value of the greedy joint action in every frame."""
        hidden = None
        if self.reads_hidden or not self.args.double_q:
            q_values, hidden = self._values_and_features(self.target_mac, data)
            if not self.args.double_q:
                best = q_values.masked_fill(data.avail == 0, -torch.inf).argmax(dim=3, keepdim=True)

        def value_of(actions: Tensor) -> Tensor:
            return self._of(self._joint(self.targets["mixer"], data, hidden, actions)[0], actions)

        return self._returns(data, value_of(best), value_of(data.actions) if self._q_lambda else None)

    def _values_and_features(self, mac: Any, data: Replay) -> tuple[Tensor, Tensor | None]:
        """The agents' values [B, T, n, A] and, where QTRAN's network reads them, hidden states [B, T, n, H]."""
        if not self.reads_hidden:
            return self._values(mac, data), None
        agent = mac.agent
        hidden, _ = agent.features_sequence(self.mac.sequence_inputs(data.batch).to(self.mac.device))
        return agent.readout(hidden), hidden

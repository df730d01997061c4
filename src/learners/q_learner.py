"""Q-learning for teams: IQL, VDN, QMIX, Qatten and QPLEX by the choice of `mixer`; double Q, TD(lambda), Q(lambda) or
n-step targets, uniform or prioritised replay.

Rashid et al. 2018 (arXiv 1803.11485) and Sunehag et al. 2018 (arXiv 1706.05296) on PyMARL's replay of whole episodes;
TD(lambda) and Adam as Hu et al. 2021 (arXiv 2102.03479) tune them. WQMIX and QTRAN build on this file.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.episode_buffer import EpisodeBatch
from controllers.basic_controller import BasicMAC
from learners.replay_learner import ReplayLearner, means
from learners.sequences import Packing, packs, run_packed
from modules.mixers.team_value import REGISTRY as MIXERS
from modules.mixers.team_value import TeamValue
from utils.errors import UserError, nearest
from utils.rl_utils import build_nstep_returns, build_q_lambda_targets, build_td_lambda_targets


@dataclass(frozen=True)
class Replay:
    """A batch of episodes as the update reads it: B episodes, T frames and so T - 1 steps, n agents, A actions.

    rewards, terminated, mask [B, T-1, 1]: mask is 1 for steps that have a frame after them; actions [B, T, n, 1];
    avail [B, T, n, A]; weight [B, 1, 1]: the episodes' importance (1 without priorities).
    filled [B, T, 1]: which frames are real, and not padding; frames: their place in [B, T, 1], and state [1, R, d]
    theirs; agents: the place in [B, T, n] of the agents' rows in real frames, and inputs [R n, d] what they see there.
    """

    batch: EpisodeBatch
    rewards: Tensor
    actions: Tensor
    terminated: Tensor
    mask: Tensor
    avail: Tensor
    state: Tensor
    weight: Tensor | float
    filled: Tensor
    frames: Packing
    agents: Packing
    inputs: Tensor


class QLearner(ReplayLearner):
    """Trains a controller's Q-values. Reads the keys of config/algs/qmix.yaml, each explained there."""

    def _make_networks(self, args: SimpleNamespace) -> dict[str, nn.Module]:
        """The networks beside the controller's, by name."""
        if args.mixer is not None and args.mixer not in MIXERS:
            known = f"{', '.join(MIXERS)}; --config=iql has none"
            raise UserError(f'no mixer is called "{args.mixer}".{nearest(args.mixer, MIXERS)} There are: {known}')
        return {"mixer": TeamValue(args)}

    def _read(self, batch: EpisodeBatch) -> Replay:
        device = self.mac.device
        filled = batch["filled"].to(device) != 0
        frames, agents = Packing.of(filled), Packing.of(filled.expand(-1, -1, self.args.n_agents))
        return Replay(
            batch=batch,
            rewards=batch["reward"][:, :-1].to(device),
            actions=batch["actions"].to(device),
            terminated=batch["terminated"][:, :-1].float().to(device),
            mask=filled[:, 1:].float(),
            avail=batch["avail_actions"].to(device),
            state=frames.pack(batch["state"].to(device).unsqueeze(2)).unsqueeze(0),
            weight=batch["importance"].unsqueeze(-1).to(device) if "importance" in batch.scheme else 1.0,
            filled=filled,
            frames=frames,
            agents=agents,
            inputs=agents.pack(self.mac.sequence_inputs(batch).to(device)),
        )

    def _values(self, mac: Any, data: Replay) -> Tensor:
        """Values [B, T, n, A] of all actions in all frames by a controller's network.

        Padding is left out where the network takes ragged sequences and the controller has no way of its own to run it.
        """
        if not (packs(mac.agent) and _runs_plainly(mac)):
            values: Tensor = mac.forward_sequence(data.batch)
            return values
        return data.agents.unpack(run_packed(mac.agent, data.inputs, data.agents), data.avail.shape[:3])

    def _loss(self, data: Replay) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The loss, the masked TD errors [B, T-1, 1 or n] and what to log."""
        q_values = self._values(self.mac, data)
        team = self._team_value(self.networks["mixer"], q_values, data, data.actions)[:, :-1]
        with torch.no_grad():
            targets = self._targets(data, q_values)
        mask = data.mask.expand_as(team)
        errors = (team - targets) * mask
        loss = (data.weight * errors.square()).sum() / mask.sum()
        return loss, errors, {"loss_td": loss, **means(mask, q_taken_mean=team, target_mean=targets)}

    def _team_value(self, mixer: nn.Module, q_values: Tensor, data: Replay, actions: Tensor) -> Tensor:
        """The team's value [B, T, 1 or n] of `actions` [B, T, n, 1], for the agents' values [B, T, n, A]."""
        chosen = q_values.gather(3, actions).squeeze(3)
        if not mixer.reads_actions:
            return self._mix(mixer, data, chosen)
        legal = data.avail > 0
        legal = legal | ~legal.any(3, keepdim=True)  # padding offers nothing
        best = q_values.detach().masked_fill(~legal, -torch.inf).amax(3)
        onehot = F.one_hot(actions.squeeze(3), q_values.shape[3]).to(q_values.dtype)
        return self._mix(mixer, data, chosen, onehot, best)

    def _mix(self, mixer: nn.Module, data: Replay, chosen: Tensor, *others: Tensor) -> Tensor:
        """What a mixer makes of the agents' values [B, T, n] in the real frames, [B, T, 1 or n]; 0 in the others.

        others [B, T, ...]: what the mixer reads behind the state.
        """
        first, *rest = (data.frames.pack(value.unsqueeze(2)).unsqueeze(0) for value in (chosen, *others))
        value: Tensor = mixer(first, data.state, *rest)
        return data.frames.unpack(value.squeeze(0), data.filled.shape).squeeze(2)

    def _targets(self, data: Replay, q_values: Tensor) -> Tensor:
        """Targets [B, T-1, 1], or [B, T-1, n] without a mixer."""
        target_q = self._values(self.target_mac, data)
        chooser = q_values if self.args.double_q else target_q
        best = chooser.masked_fill(data.avail == 0, -torch.inf).argmax(dim=3, keepdim=True)
        mixer = self.targets["mixer"]
        next_values = self._team_value(mixer, target_q, data, best)
        taken = self._team_value(mixer, target_q, data, data.actions) if self._q_lambda else None
        return self._returns(data, next_values, taken)

    @property
    def _q_lambda(self) -> bool:
        return bool(getattr(self.args, "q_lambda", False))

    def _returns(self, data: Replay, next_values: Tensor, taken: Tensor | None) -> Tensor:
        """Targets from the values of all frames [B, T, .] and, for Q(lambda), of the actions taken [B, T, .]."""
        args, step = self.args, (data.rewards, data.terminated, data.mask)
        n_step = getattr(args, "n_step", 0)
        if n_step:
            return build_nstep_returns(*step, next_values, args.gamma, n_step)
        td_lambda = getattr(args, "td_lambda", 0.0)
        if taken is not None:
            return build_q_lambda_targets(*step, next_values, taken, args.gamma, td_lambda)
        return build_td_lambda_targets(*step, next_values, args.n_agents, args.gamma, td_lambda)


def _runs_plainly(mac: Any) -> bool:
    """Whether a controller runs its network over sequences as `BasicMAC` does."""
    return all(getattr(type(mac), name, None) is getattr(BasicMAC, name) for name in ("forward_sequence", "unroll"))

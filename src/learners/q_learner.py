"""Q-learning for teams: IQL, VDN, QMIX, Qatten and QPLEX by the choice of `mixer`; double Q, TD(lambda), Q(lambda) or
n-step targets, uniform or prioritised replay.

Rashid et al. 2018 (arXiv 1803.11485) and Sunehag et al. 2018 (arXiv 1706.05296) on PyMARL's replay of whole episodes;
TD(lambda) and Adam as Hu et al. 2021 (arXiv 2102.03479) tune them. WQMIX and QTRAN build on this file.
"""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.episode_buffer import EpisodeBatch
from controllers.basic_controller import BasicMAC
from learners.sequences import Packing, packs, run_packed
from modules.mixers.team_value import REGISTRY as MIXERS
from modules.mixers.team_value import TeamValue
from utils.errors import UserError, nearest
from utils.optimizers import Adam, RMSprop
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


class QLearner:
    """Trains a controller's Q-values on batches of replayed episodes.

    Reads the keys of config/algs/qmix.yaml, each explained there. A subclass overrides `_loss`, and puts the networks
    it adds into `networks` (saved as <name>.th) and their slowly following copies into `targets` under the same names.
    """

    def __init__(self, mac: Any, scheme: dict[str, Any], logger: Any, args: SimpleNamespace) -> None:
        self.mac = mac
        self.args = args
        self.logger = logger
        self.buffer: Any = None
        self.target_mac = deepcopy(mac)
        self.networks = self._make_networks(args)
        self.targets = {name: deepcopy(network) for name, network in self.networks.items()}
        self.parameters = [*mac.parameters(), *(p for network in self.networks.values() for p in network.parameters())]
        self.optimiser = _optimiser(self._parameter_groups(), args)
        self.last_target_update = 0
        self.last_logged = -1_000_000

    def _make_networks(self, args: SimpleNamespace) -> dict[str, nn.Module]:
        """The networks beside the controller's, by name."""
        if args.mixer is not None and args.mixer not in MIXERS:
            known = f"{', '.join(MIXERS)}; --config=iql has none"
            raise UserError(f'no mixer is called "{args.mixer}".{nearest(args.mixer, MIXERS)} There are: {known}')
        return {"mixer": TeamValue(args)}

    def attach_buffer(self, buffer: Any) -> None:
        """Remember the buffer: a prioritised one is told how surprising its episodes were."""
        self.buffer = buffer

    # --- the update ---------------------------------------------------------------------------------------------------

    def train(self, batch: EpisodeBatch, t_env: int, episode_num: int) -> None:
        """One gradient step on a batch of episodes, and the target networks when they are due."""
        data = self._read(batch)
        loss, errors, statistics = self._loss(data)
        self.optimiser.zero_grad()
        loss.backward()
        grad_norm = self._clip()
        self.optimiser.step()
        self._follow(episode_num)
        if hasattr(self.buffer, "update_priorities"):
            surprise = errors.detach().abs().mean(2, keepdim=True)
            per_episode = (surprise * data.mask).sum((1, 2)) / data.mask.sum((1, 2)).clamp(min=1.0)
            self.buffer.update_priorities(batch["buffer_index"].flatten(), per_episode.cpu())
        if t_env - self.last_logged >= self.args.learner_log_interval:
            count = data.mask.expand_as(errors).sum()
            self.logger.log_stat("grad_norm", grad_norm.item(), t_env)
            self.logger.log_stat("td_error_abs", (errors.abs().sum() / count).item(), t_env)
            for name, value in statistics.items():
                self.logger.log_stat(name, value.item(), t_env)
            self.last_logged = t_env

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """What the optimiser moves, and how far where that is not `lr`."""
        return [{"params": self.parameters}]

    def _clip(self) -> Tensor:
        """Hold the gradients' norm below `grad_norm_clip`; returns what it was."""
        return nn.utils.clip_grad_norm_(self.parameters, self.args.grad_norm_clip)

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

    # --- target networks ----------------------------------------------------------------------------------------------

    def _follow(self, episode_num: int) -> None:
        """Move the targets: a little at each step with `target_update_tau`, else a copy every so many episodes."""
        tau = getattr(self.args, "target_update_tau", 0.0)
        if tau:
            with torch.no_grad():
                for source, copy in self._pairs():
                    for p, q in zip(source.parameters(), copy.parameters()):
                        q.lerp_(p, tau)
        elif (episode_num - self.last_target_update) / self.args.target_update_interval >= 1.0:
            self._copy_targets()
            self.last_target_update = episode_num

    def _copy_targets(self) -> None:
        for source, copy in self._pairs():
            copy.load_state_dict(source.state_dict())

    def _pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        return [(self.mac.agent, self.target_mac.agent), *((self.networks[k], self.targets[k]) for k in self.targets)]

    # --- device and storage -------------------------------------------------------------------------------------------

    def cuda(self) -> None:
        """Move everything to the GPU."""
        for part in (self.mac, self.target_mac, *self.networks.values(), *self.targets.values()):
            part.cuda()

    def save_models(self, path: str | Path) -> None:
        """Write agent.th, opt.th and a file for each further network (mixer.th) into the folder `path`."""
        self.mac.save_models(path)
        for name, network in self._saved():
            torch.save(network.state_dict(), Path(path) / f"{name}.th")
        torch.save(self.optimiser.state_dict(), Path(path) / "opt.th")

    def load_models(self, path: str | Path) -> None:
        """Read what `save_models` wrote; the target networks become copies."""
        self.mac.load_models(path)
        for name, network in self._saved():
            network.load_state_dict(_load(path, f"{name}.th"))
        self.optimiser.load_state_dict(_load(path, "opt.th"))
        self._copy_targets()

    def _saved(self) -> list[tuple[str, nn.Module]]:
        """Networks with parameters by file name; the mixer alone, as PyMARL names its tensors."""
        inner = ((name, getattr(network, "mixer", network)) for name, network in self.networks.items())
        return [(name, network) for name, network in inner if network is not None]

    def state_dict(self) -> dict[str, Any]:
        """All that the next update depends on, but the controller."""
        return {
            "networks": {name: network.state_dict() for name, network in self.networks.items()},
            "targets": {name: network.state_dict() for name, network in self.targets.items()},
            "target_agent": self.target_mac.agent.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "last_target_update": self.last_target_update,
            "last_logged": self.last_logged,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.target_mac.agent.load_state_dict(state["target_agent"])
        for mine, theirs in ((self.networks, state["networks"]), (self.targets, state["targets"])):
            for name, network in mine.items():
                network.load_state_dict(theirs[name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.last_target_update = int(state["last_target_update"])
        self.last_logged = int(state["last_logged"])


def _runs_plainly(mac: Any) -> bool:
    """Whether a controller runs its network over sequences as `BasicMAC` does."""
    return all(getattr(type(mac), name, None) is getattr(BasicMAC, name) for name in ("forward_sequence", "unroll"))


def means(mask: Tensor, **values: Tensor) -> dict[str, Tensor]:
    """Means over the steps that `mask` [B, T, .] counts, by name."""
    count = mask.sum()
    return {name: (value.detach() * mask).sum() / count for name, value in values.items()}


def _optimiser(parameters: list[dict[str, Any]], args: SimpleNamespace) -> torch.optim.Optimizer:
    name = getattr(args, "optimizer", "rmsprop")
    if name == "adam":
        return Adam(parameters, lr=args.lr, eps=args.optim_eps, fused=True)
    if name == "rmsprop":
        return RMSprop(parameters, lr=args.lr, alpha=args.optim_alpha, eps=args.optim_eps, foreach=True)
    raise UserError(f'no optimizer is called "{name}".{nearest(name, ("adam", "rmsprop"))} There are: adam, rmsprop')


def _load(path: str | Path, name: str) -> Any:
    return torch.load(Path(path) / name, map_location="cpu", weights_only=True)

"""What all learners that replay share: an update by one optimiser, slowly following target networks, storage."""

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from components.episode_buffer import EpisodeBatch
from utils.errors import UserError, nearest
from utils.optimizers import Adam, RMSprop


class ReplayLearner:
    """Trains a controller on batches of replayed episodes, or transitions.

    A subclass says which networks it has beside the controller's, and what the loss on a batch is. `networks` are saved
    as <name>.th; `targets` are slowly following copies of them, `target_mac` one of the controller.
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
        raise NotImplementedError

    def _read(self, batch: EpisodeBatch) -> Any:
        """A batch as `_loss` reads it; its `mask` [B, T-1, 1] is 1 for steps that have a frame after them."""
        raise NotImplementedError

    def _loss(self, data: Any) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The loss, the masked TD errors [B, T-1, .] and what to log."""
        raise NotImplementedError

    def attach_buffer(self, buffer: Any) -> None:
        """Remember the buffer: a prioritised one is told how surprising its episodes were."""
        self.buffer = buffer

    # --- the update ---------------------------------------------------------------------------------------------------

    def train(self, batch: EpisodeBatch, t_env: int, episode_num: int) -> None:
        """One gradient step on a batch, and the target networks when they are due."""
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

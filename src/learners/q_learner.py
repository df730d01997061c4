"""Q-learning for teams: IQL, VDN and QMIX by the choice of `mixer`; double Q-learning, TD or TD(lambda) targets.

Rashid et al. 2018 (arXiv 1803.11485) and Sunehag et al. 2018 (arXiv 1706.05296) on PyMARL's replay of whole episodes.
"""

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from components.episode_buffer import EpisodeBatch
from modules.mixers.qmix import QMixer
from modules.mixers.vdn import VDNMixer
from utils.errors import UserError, nearest
from utils.rl_utils import build_td_lambda_targets

MIXERS: dict[str, Any] = {"vdn": VDNMixer, "qmix": QMixer}


class QLearner:
    """Trains a controller's Q-values on batches of replayed episodes.

    Reads the keys of config/algs/qmix.yaml, each explained there.
    """

    def __init__(self, mac: Any, scheme: dict[str, Any], logger: Any, args: SimpleNamespace) -> None:
        self.mac = mac
        self.args = args
        self.logger = logger
        self.mixer: nn.Module | None = None
        if args.mixer is not None:
            if args.mixer not in MIXERS:
                known = ", ".join(MIXERS)
                raise UserError(f'no mixer is called "{args.mixer}".{nearest(args.mixer, MIXERS)} There are: {known}')
            self.mixer = MIXERS[args.mixer](args)
        self.target_mac = deepcopy(mac)
        self.target_mixer = deepcopy(self.mixer)
        self.parameters = list(mac.parameters()) + ([] if self.mixer is None else list(self.mixer.parameters()))
        self.optimiser = _optimiser(self.parameters, args)
        self.last_target_update = 0
        self.last_logged = -1_000_000

    def train(self, batch: EpisodeBatch, t_env: int, episode_num: int) -> None:
        """One gradient step on a batch of episodes, and the target networks when they are due."""
        device = self.mac.device
        rewards = batch["reward"][:, :-1].to(device)
        actions = batch["actions"][:, :-1].to(device)
        terminated = batch["terminated"][:, :-1].float().to(device)
        steps = batch["filled"][:, 1:].float().to(device)  # a step is real if there is a frame after it
        avail, state = batch["avail_actions"].to(device), batch["state"].to(device)

        q_values = self.mac.forward_sequence(batch)
        taken = q_values[:, :-1].gather(3, actions).squeeze(3)
        with torch.no_grad():
            targets = self._targets(batch, q_values, avail, state, rewards, terminated, steps)
        if self.mixer is not None:
            taken = self.mixer(taken, state[:, :-1])
        mask = steps.expand_as(taken)
        errors = (taken - targets) * mask
        loss = errors.square().sum() / mask.sum()

        self.optimiser.zero_grad()
        loss.backward()
        grad_norm = nn.utils.clip_grad_norm_(self.parameters, self.args.grad_norm_clip)
        self.optimiser.step()

        if (episode_num - self.last_target_update) / self.args.target_update_interval >= 1.0:
            self._update_targets()
            self.last_target_update = episode_num
        if t_env - self.last_logged >= self.args.learner_log_interval:
            count = mask.sum()
            self.logger.log_stat("loss_td", loss.item(), t_env)
            self.logger.log_stat("grad_norm", grad_norm.item(), t_env)
            self.logger.log_stat("td_error_abs", (errors.abs().sum() / count).item(), t_env)
            self.logger.log_stat("q_taken_mean", ((taken * mask).sum() / count).item(), t_env)
            self.logger.log_stat("target_mean", ((targets * mask).sum() / count).item(), t_env)
            self.last_logged = t_env

    def _targets(
        self,
        batch: EpisodeBatch,
        q_values: Tensor,
        avail: Tensor,
        state: Tensor,
        rewards: Tensor,
        terminated: Tensor,
        steps: Tensor,
    ) -> Tensor:
        """Targets [B, T-1, 1], or [B, T-1, n] without a mixer."""
        target_q = self.target_mac.forward_sequence(batch)
        chooser = q_values if self.args.double_q else target_q
        best = chooser.masked_fill(avail == 0, -torch.inf).argmax(dim=3, keepdim=True)
        next_values = target_q.gather(3, best).squeeze(3)
        if self.target_mixer is not None:
            next_values = self.target_mixer(next_values, state)
        td_lambda = getattr(self.args, "td_lambda", 0.0)
        return build_td_lambda_targets(
            rewards, terminated, steps, next_values, self.args.n_agents, self.args.gamma, td_lambda
        )

    def _update_targets(self) -> None:
        self.target_mac.load_state(self.mac)
        if self.mixer is not None and self.target_mixer is not None:
            self.target_mixer.load_state_dict(self.mixer.state_dict())

    # --- device and storage -------------------------------------------------------------------------------------------

    def cuda(self) -> None:
        """Move everything to the GPU."""
        for part in (self.mac, self.target_mac, self.mixer, self.target_mixer):
            if part is not None:
                part.cuda()

    def save_models(self, path: str | Path) -> None:
        """Write agent.th, mixer.th and opt.th into the folder `path`."""
        self.mac.save_models(path)
        if self.mixer is not None:
            torch.save(self.mixer.state_dict(), Path(path) / "mixer.th")
        torch.save(self.optimiser.state_dict(), Path(path) / "opt.th")

    def load_models(self, path: str | Path) -> None:
        """Read what `save_models` wrote; the target networks become copies."""
        self.mac.load_models(path)
        if self.mixer is not None:
            self.mixer.load_state_dict(_load(path, "mixer.th"))
        self.optimiser.load_state_dict(_load(path, "opt.th"))
        self._update_targets()

    def state_dict(self) -> dict[str, Any]:
        """All that the next update depends on, but the controller."""
        return {
            "mixer": None if self.mixer is None else self.mixer.state_dict(),
            "target_agent": self.target_mac.agent.state_dict(),
            "target_mixer": None if self.target_mixer is None else self.target_mixer.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "last_target_update": self.last_target_update,
            "last_logged": self.last_logged,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.target_mac.agent.load_state_dict(state["target_agent"])
        if self.mixer is not None and self.target_mixer is not None:
            self.mixer.load_state_dict(state["mixer"])
            self.target_mixer.load_state_dict(state["target_mixer"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.last_target_update = int(state["last_target_update"])
        self.last_logged = int(state["last_logged"])


def _optimiser(parameters: list[nn.Parameter], args: SimpleNamespace) -> torch.optim.Optimizer:
    name = getattr(args, "optimizer", "rmsprop")
    if name == "adam":
        return torch.optim.Adam(parameters, lr=args.lr, eps=args.optim_eps)
    if name == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=args.lr, alpha=args.optim_alpha, eps=args.optim_eps)
    raise UserError(f'no optimizer is called "{name}".{nearest(name, ("adam", "rmsprop"))} There are: adam, rmsprop')


def _load(path: str | Path, name: str) -> Any:
    return torch.load(Path(path) / name, map_location="cpu", weights_only=True)

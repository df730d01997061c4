"""MAPPO: PPO for cooperating agents with a central recurrent critic (Yu et al. 2022, arXiv 2103.01955).

One update per batch of fresh episodes: values and advantages by GAE, value targets normalised by running statistics,
then epochs of clipped updates (learners.ppo_update). docs/algorithms/mappo.md says where this differs from the paper.
IPPO, IA2C and MAA2C are this learner with other values of its keys, HAPPO, HATRPO and COMA build on it:
docs/algorithms/policy-gradient.md.
"""

from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from components.episode_buffer import EpisodeBatch
from components.reward_scale import RewardScale
from learners.policy_average import PolicyAverage
from learners.ppo_data import PPOData, counted_steps
from learners.ppo_losses import normalise_advantages
from learners.ppo_update import PPOSettings, PPOTrainer
from modules.critics import REGISTRY as critic_REGISTRY
from modules.critics.ppo_critic import alive_from_avail
from utils.errors import UserError
from utils.optimizers import Adam
from utils.rl_utils import build_gae_targets, build_nstep_returns
from utils.seeding import torch_stream
from utils.value_norm import ValueNorm


class PPOLearner:
    """Trains a controller's policy and a critic of its own on the episodes just collected.

    Reads the keys of config/algs/mappo.yaml, each explained there.
    values_actions: whether its critic values every action, as COMA's does, and not states.
    """

    on_policy = True
    values_actions = False

    def __init__(self, mac: Any, scheme: dict[str, Any], logger: Any, args: SimpleNamespace) -> None:
        self.mac = mac
        self.args = args
        self.logger = logger
        self.n_agents: int = args.n_agents
        self.critic = self._make_critic(scheme, args)
        self.target_follows: float = getattr(args, "target_update_interval_or_tau", 0.0)
        self.target_critic: Any = deepcopy(self.critic).requires_grad_(False) if self.target_follows else None
        self.n_updates = 0
        self.reward_scale = RewardScale(args.gamma) if getattr(args, "reward_norm", False) else None
        self.value_norm = ValueNorm(getattr(args, "critic_heads", 1), beta=args.value_norm_beta)
        self.settings = PPOSettings.from_args(args)
        self.agent_optimiser = adam(mac.parameters(), args.lr, args)
        self.critic_optimiser = adam(self.critic.parameters(), args.critic_lr, args)
        self.trainer = PPOTrainer(
            mac.agent,
            self.critic,
            self.agent_optimiser,
            self.critic_optimiser,
            self.value_norm if args.use_value_norm else None,
            torch_stream(args.seed or 0, "learner"),
            mac.unroll,
        )
        decay = getattr(args, "policy_average", 0.0)
        self.average = PolicyAverage(mac, decay) if decay else None
        self.last_logged = -1_000_000

    def _make_critic(self, scheme: dict[str, Any], args: SimpleNamespace) -> Any:
        name = getattr(args, "critic_type", "ppo_critic")
        critic: Any = critic_REGISTRY[name](scheme, args)
        if not hasattr(critic, "n_rows") or hasattr(critic, "n_actions") != self.values_actions:
            fitting = "coma_critic" if self.values_actions else "ppo_critic or critic_type=ppo_critic_ns"
            raise UserError(f"{args.learner} cannot learn with critic_type={name}; use critic_type={fitting}.")
        return critic

    # --- training -----------------------------------------------------------------------------------------------------

    def train(self, batch: EpisodeBatch, t_env: int, episode_num: int) -> None:
        """One MAPPO update on a batch of fresh episodes."""
        self._schedule_lr(t_env)
        data = self.data_of(batch)
        logged = self.update(data)
        self._follow()
        if t_env - self.last_logged >= self.args.learner_log_interval:
            self._log(data, logged, t_env)
            self.last_logged = t_env

    def update(self, data: PPOData) -> dict[str, float]:
        """Train policy and critic on what `data_of` made of a batch; returns what there is to log."""
        return self.trainer.update(data, self.settings)

    def data_of(self, batch: EpisodeBatch) -> PPOData:
        """What the update needs of real episodes; takes them into the statistics of rewards and returns.

        Time-outs end an episode like any end does, unless the environment stores them as truncations: then the value of
        the closing frame stands for what would have followed.
        """
        batch = batch[:, : batch.max_t_filled()]
        avail = self._tensor(batch["avail_actions"])
        alive = alive_from_avail(avail)
        filled = self._tensor(batch["filled"]) != 0
        steps = filled[:, 1:]  # a step is real if there is a frame after it
        rows = self.critic.n_rows
        policy_mask, value_mask = counted_steps(steps[..., 0], alive[:, :-1], rows, self.args)
        if self.reward_scale is not None:
            self.reward_scale.update(self._tensor(batch["reward"])[:, :-1], steps)
        critic_inputs = self.critic.batch_inputs(batch)
        frames = filled.expand(-1, -1, rows)
        values = self.trainer.values(critic_inputs, frames)
        ahead = values if self.target_critic is None else self._target_values(critic_inputs, frames)
        advantages, returns = self._estimate(batch, self.denormalise(values), self.denormalise(ahead))
        self.value_norm.update(returns, value_mask)
        inputs = self._tensor(self.mac.sequence_inputs(batch))[:, :-1]
        actions = self._tensor(batch["actions"])[:, :-1, :, 0]
        advantages = advantages[..., 0].expand(-1, -1, self.n_agents)
        if self.args.normalise_advantages:
            advantages = normalise_advantages(advantages, policy_mask)
        return PPOData(
            actor_inputs=inputs,
            avail_actions=avail[:, :-1],
            actions=actions,
            old_log_probs=self.trainer.log_probs(inputs, avail[:, :-1], actions, policy_mask),
            advantages=advantages,
            policy_mask=policy_mask,
            critic_inputs=critic_inputs[:, :-1],
            returns=returns,
            old_values=values[:, :-1],
            value_mask=value_mask,
        )

    def _estimate(self, batch: EpisodeBatch, values: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """Advantages and returns [B, T, k, v] of the T steps: n-step returns with `n_step`, else GAE.

        values [B, T + 1, k, v]: the critic's, in units of reward; ahead: the target critic's, which n-step returns
        bootstrap from (the same where there is none). With a `value_lambda` the returns are GAE's with that lambda.
        """
        rewards = self.rewards_of(batch).unsqueeze(-1)
        ends = self._tensor(batch["terminated"])[:, :-1].unsqueeze(-1)
        steps = (self._tensor(batch["filled"])[:, 1:] != 0).unsqueeze(-1)
        n_step = getattr(self.args, "n_step", 0)
        if not n_step:
            return self._gae(rewards, steps, ahead, ends)
        returns = build_nstep_returns(rewards, ends, steps, ahead, self.args.gamma, n_step)
        return torch.where(steps, returns - values[:, :-1], 0.0), returns

    def _gae(self, rewards: Tensor, steps: Tensor, values: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        args = self.args
        advantages, returns = build_gae_targets(rewards, steps, values, args.gamma, args.gae_lambda, ends)
        value_lambda = getattr(args, "value_lambda", None)
        if value_lambda is not None:
            returns = build_gae_targets(rewards, steps, values, args.gamma, value_lambda, ends)[1]
        return advantages, returns

    def rewards_of(self, batch: EpisodeBatch) -> Tensor:
        """Rewards [B, T, 1] of the T steps, in the units that values have: scaled where `reward_norm` asks for it."""
        rewards = self._tensor(batch["reward"])[:, :-1]
        return rewards if self.reward_scale is None else self.reward_scale.scale(rewards)

    def _target_values(self, critic_inputs: Tensor, mask: Tensor) -> Tensor:
        return self.trainer.values(critic_inputs, mask, critic=self.target_critic)

    def _follow(self) -> None:
        """Move what follows the networks after an update: the policy's average, and the target critic, by a share of
        the way below 1, all the way every so many else."""
        self.n_updates += 1
        if self.average is not None:
            self.average.update()
        if self.target_critic is None:
            return
        share = self.target_follows if self.target_follows < 1 else float(self.n_updates % self.target_follows == 0)
        with torch.no_grad():
            for target, present in zip(self.target_critic.parameters(), self.critic.parameters(), strict=True):
                target.lerp_(present, share)

    def testing(self) -> AbstractContextManager[None]:
        """A context in which the controller acts as it is to be judged: with averaged weights, if there are any."""
        return nullcontext() if self.average is None else self.average.acting()

    def denormalise(self, values: Tensor) -> Tensor:
        """Values in units of reward from what the critic puts out."""
        return self.value_norm.denormalize(values) if self.args.use_value_norm else values

    def _tensor(self, value: Tensor) -> Tensor:
        return value.to(self.device)

    def _schedule_lr(self, t_env: int) -> None:
        if not self.args.lr_linear_decay:
            return
        left = max(1.0 - t_env / self.args.t_max, 0.0)
        for optimiser, lr in self._rates():
            for group in optimiser.param_groups:
                group["lr"] = lr * left

    def _rates(self) -> list[tuple[torch.optim.Optimizer, float]]:
        """Every optimizer with its step size at the start."""
        return [(self.agent_optimiser, self.args.lr), (self.critic_optimiser, self.args.critic_lr)]

    def _log(self, data: PPOData, logged: dict[str, float], t_env: int) -> None:
        for name, value in logged.items():
            self.logger.log_stat(name, value, t_env)
        old_values = self.denormalise(data.old_values)[data.value_mask]
        returns = data.returns[data.value_mask]
        self.logger.log_stat("q_taken_mean", old_values.mean().item(), t_env)
        self.logger.log_stat("target_mean", returns.mean().item(), t_env)
        self.logger.log_stat("td_error_abs", (returns - old_values).abs().mean().item(), t_env)
        self.logger.log_stat("advantage_mean", data.advantages[data.policy_mask].mean().item(), t_env)
        self.logger.log_stat("lr", self.agent_optimiser.param_groups[0]["lr"], t_env)

    # --- device and storage -------------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where training happens."""
        return next(self.critic.parameters()).device

    def cuda(self) -> None:
        """Move everything to the GPU."""
        self.to("cuda")

    def to(self, device: torch.device | str) -> None:
        """Move everything to `device`."""
        self.mac.to(device)
        self.critic.to(device)
        if self.target_critic is not None:
            self.target_critic.to(device)
        self.value_norm.to(device)
        if self.average is not None:
            self.average.to(device)

    def save_models(self, path: str | Path) -> None:
        """Write agent.th (the averaged policy where there is one), critic.th, value_norm.th, agent_opt.th and
        critic_opt.th into the folder `path`."""
        with self.testing():
            self.mac.save_models(path)
        for name, part in self._stored().items():
            torch.save(part.state_dict(), Path(path) / f"{name}.th")

    def load_models(self, path: str | Path) -> None:
        """Read what `save_models` wrote."""
        self.mac.load_models(path)
        for name, part in self._stored().items():
            part.load_state_dict(torch.load(Path(path) / f"{name}.th", map_location="cpu", weights_only=True))

    def _stored(self) -> dict[str, Any]:
        parts = {
            "critic": self.critic,
            "value_norm": self.value_norm,
            "agent_opt": self.agent_optimiser,
            "critic_opt": self.critic_optimiser,
        }
        optional = {
            "target_critic": self.target_critic,
            "reward_scale": self.reward_scale,
            "policy_average": self.average,
        }
        return parts | {name: part for name, part in optional.items() if part is not None}

    def state_dict(self) -> dict[str, Any]:
        """All that the next update depends on, but the controller."""
        state: dict[str, Any] = {name: part.state_dict() for name, part in self._stored().items()}
        counters = {"last_logged": self.last_logged, "n_updates": self.n_updates}
        return {**state, "generator": self.trainer.generator.get_state(), **counters}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        for name, part in self._stored().items():
            part.load_state_dict(state[name])
        self.trainer.generator.set_state(state["generator"].cpu())
        self.last_logged = int(state["last_logged"])
        self.n_updates = int(state["n_updates"])


def adam(parameters: Any, lr: float, args: SimpleNamespace) -> Adam:
    """Adam with the epsilon and weight decay of `args`."""
    return Adam(
        list(parameters), lr=lr, eps=args.optim_eps, weight_decay=getattr(args, "weight_decay", 0.0), fused=True
    )

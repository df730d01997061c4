"""AMAL: a policy that learns from real episodes and inside a world model, with auxiliary teams that live only there.

One call of `train` per batch of fresh real episodes (the asymmetric update rule, section 4.1 of the paper):

    theta <- the world model learns from the primary buffer D_P, which holds real episodes and nothing else;
    phi   <- PPO on the fresh episodes and on those of the last few calls; then PPO on imagined rollouts of the policy
             itself and on rollouts of the auxiliaries kept in their buffers D_A, all with the information bonus;
    psi_i <- every `evolution_frequency` calls the auxiliaries are replaced by evolution.

Nothing flows back: the world model is trained by an object that sees D_P alone (`world_model_learner`), and everything
here reads it without gradient. docs/algorithms/amal.md describes every part and every key.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from components.asymmetric_buffer import AsymmetricBuffer, AuxiliaryData, PrimaryData
from components.episode_buffer import EpisodeBatch
from learners.imagination import Imagination, Starts
from learners.information import InformationTerm
from learners.mixed_world_model import MixedWorldModelLearner
from learners.ppo_data import PPOData
from learners.ppo_learner import PPOLearner
from learners.ppo_losses import normalise_advantages
from learners.ppo_update import PPOSettings
from learners.segments import SegmentPreparer, Segments, segments_of
from learners.world_model_learner import WorldModelLearner
from learners.world_model_metrics import OPEN_LOOP_STEPS
from modules.exploration import POLICY_ITSELF, AuxiliaryEvolution
from utils.errors import UserError, nearest
from utils.seeding import torch_stream


class AMALLearner(PPOLearner):
    """MAPPO's networks and update on three kinds of data. Reads the keys of config/algs/amal.yaml, explained there."""

    on_policy = True

    def __init__(self, mac: Any, scheme: dict[str, Any], logger: Any, args: SimpleNamespace) -> None:
        super().__init__(mac, scheme, logger, args)
        seed = args.seed or 0
        obs_dim = int(scheme["obs"]["vshape"])
        self.world_model = _world_model_learner(args.world_model_data)(args, obs_dim)
        self.shadow = WorldModelLearner(args, obs_dim) if args.isolation_shadow else None
        self.prepare = SegmentPreparer(mac, self.critic, self.trainer, args)
        self.imagination = Imagination(self.world_model.model, mac, self.critic, torch_stream(seed, "auxiliaries", 1))
        self.evolution = self._make_evolution(seed) if args.num_auxiliary_agents > 0 else None
        self.information = InformationTerm(args, self.world_model.model, mac, torch_stream(seed, "information"))
        imagined = {
            "epochs": args.imagined_epochs,
            "mini_batches": args.imagined_mini_batches,
            "entropy_coef": args.imagined_entropy_coef,
        }
        self.imagined_settings = PPOSettings.from_args(SimpleNamespace(**(vars(args) | imagined)))
        self.past: deque[Segments] = deque(maxlen=args.reuse_batches)
        self.metrics_generator = torch_stream(seed, "evaluation", 1)
        self.buffer: AsymmetricBuffer | None = None
        self.real_gradient: Tensor | None = None
        self.rounds = 0
        self.horizon: int = args.imagination_horizon

    def _make_evolution(self, seed: int) -> AuxiliaryEvolution:
        args = self.args
        return AuxiliaryEvolution(
            self.mac.agent.head.in_features,
            args.n_actions,
            n_auxiliaries=args.num_auxiliary_agents,
            population=args.cem_population_size,
            elite_fraction=args.cem_elite_fraction,
            generations=args.cem_generations,
            beta=args.cem_beta,
            archive_size=args.cem_archive_size,
            generator=torch_stream(seed, "auxiliaries"),
        )

    def attach_buffer(self, buffer: AsymmetricBuffer) -> None:
        """Receive the buffer into which the training loop puts every real episode."""
        self.buffer = buffer

    # --- training -----------------------------------------------------------------------------------------------------

    def train(self, batch: EpisodeBatch, t_env: int, episode_num: int) -> None:
        """Learn from the fresh episodes `batch`, which the buffer holds already."""
        assert self.buffer is not None, "attach_buffer comes first"
        self._schedule_lr(t_env)
        logged = self.world_model.train(self.buffer)
        if self.shadow is not None:
            self.shadow.train(self.buffer)
        real = segments_of(batch, self.device, self.mac.agent.trunk.rnn_size, self.critic)
        logged |= self._learn_from_real(self._informed(real, t_env))
        if self.world_model.ready and t_env >= self.args.imagination_start_steps:
            logged |= self._imagine(t_env)
        self._follow()
        self.information.count_update()
        self.rounds += 1
        if self._log_is_due(t_env):
            self._log_round(logged, t_env)
            self.last_logged = t_env

    def _log_is_due(self, t_env: int) -> bool:
        return t_env - self.last_logged >= self.args.learner_log_interval

    def _learn_from_real(self, fresh: Segments) -> dict[str, float]:
        """PPO on the fresh episodes and, weighted for what has changed since, on those of `reuse_batches` calls.

        Keeps the fresh ones' gradient, a running average over the rounds, for what imagination may not go against.
        """
        data = self._ppo_data(fresh, on_policy=True)
        memory = self.args.gradient_surgery
        if memory:
            gradient = self.trainer.policy_gradient(data, self.settings)
            old = gradient if self.real_gradient is None else self.real_gradient
            self.real_gradient = torch.lerp(gradient, old, memory)
        parts = [data, *(self._ppo_data(segments, on_policy=False) for segments in self.past)]
        if self.past.maxlen:
            self.past.append(replace(fresh, behaviour_log_probs=data.old_log_probs))
        return self.trainer.update(PPOData.cat(parts), self.settings)

    def _ppo_data(self, segments: Segments, on_policy: bool) -> PPOData:
        data = self.prepare(segments, on_policy)
        self.value_norm.update(data.returns, data.value_mask)
        if not self.args.normalise_advantages:
            return data
        return replace(data, advantages=normalise_advantages(data.advantages, data.policy_mask))

    def _informed(self, segments: Segments, t_env: int) -> Segments:
        """The segments with their information bonus, once there is a world model to ask."""
        if not self.world_model.ready:
            return segments
        return self.information(segments, t_env / self.args.t_max, self.evolution)

    def _imagine(self, t_env: int) -> dict[str, float]:
        """PPO inside the world model, `imagination_updates` times, each on fresh rollouts from real states."""
        args, buffer = self.args, self.buffer
        assert buffer is not None
        if self.evolution is not None and self.rounds % args.evolution_frequency == 0:
            self._evolve(self.evolution, buffer)
        limits = real_limits(buffer.sample_primary(512, 1, self.imagination.generator).to(self.device))
        logged: dict[str, float] = {}
        parts: list[PPOData] = []
        for _ in range(args.imagination_updates):
            own, theirs = self._rollouts(buffer)
            own = own.clamped_to(limits)
            parts = [self._ppo_data(self._informed(own, t_env), on_policy=True)]
            if theirs is not None:
                parts.append(self._ppo_data(self._informed(theirs.clamped_to(limits), t_env), on_policy=False))
            stats = self.trainer.update(PPOData.cat(parts), self.imagined_settings, self.real_gradient)
            logged = {f"imagined_{name}": value for name, value in stats.items()}
            logged["imagined_return_mean"] = float((own.reward * own.mask).sum() / own.n_segments)
        if len(parts) == 2 and self._log_is_due(t_env):
            logged |= self._auxiliary_share(parts)
        return logged

    @property
    def n_auxiliary_rollouts(self) -> int:
        """How many of the rollouts of an imagined update come from the auxiliaries' buffers."""
        return round(self.args.aux_ratio * self.args.imagination_rollouts) if self.evolution is not None else 0

    def _rollouts(self, buffer: AsymmetricBuffer) -> tuple[Segments, Segments | None]:
        """Fresh rollouts of the policy, and draws from the auxiliaries' buffers D_A, where their fresh ones go first.

        Both are imagined in one pass: small batches cost almost as much as large ones.
        """
        n_theirs = self.n_auxiliary_rollouts
        n_own = self.args.imagination_rollouts - n_theirs
        starts = self._starts(buffer, n_own)
        if self.evolution is None or not n_theirs:
            return self.imagination.rollout(starts, self.horizon), None
        starts = Starts.cat([starts, self._starts(buffer, n_theirs)])
        who = (torch.arange(n_theirs, device=self.device) + self.rounds) % self.evolution.n_auxiliaries
        index = torch.cat([who.new_full((n_own,), POLICY_ITSELF), who])
        segments = self.imagination.rollout(starts, self.horizon, self.evolution, index)
        self._store_auxiliary(buffer, segments.rows(index != POLICY_ITSELF), who)
        drawn = buffer.sample_auxiliary(n_theirs, self.imagination.generator)
        return segments.rows(index == POLICY_ITSELF), Segments.from_auxiliary(drawn).to(self.device)

    def _store_auxiliary(self, buffer: AsymmetricBuffer, segments: Segments, who: Tensor) -> None:
        """Put row b of the segments into the buffer of auxiliary who[b]."""
        segments = segments.padded_to(self.args.imagination_horizon)
        for i in who.unique().tolist():
            buffer.add_auxiliary(i, AuxiliaryData(segments.rows(who == i).as_dict()))

    def _starts(self, buffer: AsymmetricBuffer, n: int) -> Starts:
        args = self.args
        return self.imagination.starts(buffer, n, args.imagination_initial_share, args.imagination_latest_steps or None)

    def _evolve(self, evolution: AuxiliaryEvolution, buffer: AsymmetricBuffer) -> None:
        starts = self.imagination.starts(buffer, self.args.cem_probes)
        agent = self.mac.agent
        features = self.imagination.features(starts)
        evolution.evolve(features, starts.avail_actions, agent.head.weight.detach(), agent.head.bias.detach())

    # --- logging ------------------------------------------------------------------------------------------------------

    def _auxiliary_share(self, parts: list[PPOData]) -> dict[str, float]:
        """The auxiliaries' share of effective samples and of the policy gradient's norm, PPO's clipping included."""
        own, theirs = parts
        assert theirs.weights is not None
        effective = float((theirs.weights * theirs.policy_mask).sum())
        total = effective + float(own.policy_mask.sum())
        norms = [float(self.trainer.policy_gradient(part, self.imagined_settings).norm()) for part in parts]
        counts = [float(part.policy_mask.sum()) for part in parts]
        gradients = [norm * count for norm, count in zip(norms, counts, strict=True)]
        return {
            "auxiliary_share": effective / max(total, 1.0),
            "auxiliary_gradient_share": gradients[1] / max(sum(gradients), 1e-12),
        }

    def _log_round(self, logged: dict[str, float], t_env: int) -> None:
        assert self.buffer is not None
        stats = dict(logged) | self.information.stats()
        if self.evolution is not None:
            stats |= self.evolution.stats()
        if self.world_model.ready:
            stats |= self._model_measures()
            stats["model_updates"] = float(self.world_model.updates)
            self.horizon = trusted_horizon(stats, self.args.imagination_max_error, self.args.imagination_horizon)
            stats["imagination_horizon"] = float(self.horizon)
        for name, value in stats.items():
            self.logger.log_stat(name, value, t_env)
        self.logger.log_stat("lr", self.agent_optimiser.param_groups[0]["lr"], t_env)

    def _model_measures(self) -> dict[str, float]:
        """The world model's errors on held-out episodes; the shadow's on the same draws, and the KL between the two."""
        assert self.buffer is not None
        draws = self.metrics_generator.get_state()
        stats = self.world_model.evaluate(self.buffer, self.metrics_generator)
        if self.shadow is None:
            return stats
        same_draws = torch.Generator()
        same_draws.set_state(draws)
        theirs = self.shadow.evaluate(self.buffer, same_draws)
        stats |= {name.replace("model_", "shadow_", 1): value for name, value in theirs.items()}
        return stats | {"isolation_kl": self._isolation_kl()}

    @torch.no_grad()
    def _isolation_kl(self) -> float:
        """KL between the predictions of the world model and of its shadow, which never heard of auxiliaries."""
        assert self.buffer is not None and self.shadow is not None
        data = self.buffer.sample_primary(64, 1, self.metrics_generator)
        states, actions = data["state"][:, :1].to(self.device), data["actions"][:, 0].to(self.device)
        predictions = []
        for learner in (self.world_model, self.shadow):
            context = learner.model.contexts(states)
            predictions.append(learner.model.predict(context, actions).double())
        ours, theirs = predictions
        return float((ours.exp() * (ours - theirs)).sum(-1).mean())

    # --- device and storage -------------------------------------------------------------------------------------------

    def to(self, device: torch.device | str) -> None:
        """Move everything to `device`."""
        super().to(device)
        self.world_model.to(device)
        if self.shadow is not None:
            self.shadow.to(device)
        if self.evolution is not None:
            self.evolution.to(device)

    def save_models(self, path: str | Path) -> None:
        """Write what PPOLearner writes, and world_model.th."""
        super().save_models(path)
        torch.save(self.world_model.model.state_dict(), Path(path) / "world_model.th")

    def load_models(self, path: str | Path) -> None:
        """Read what `save_models` wrote."""
        super().load_models(path)
        state = torch.load(Path(path) / "world_model.th", map_location="cpu", weights_only=True)
        self.world_model.model.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        """All that the next update depends on, but the controller and the buffer."""
        return super().state_dict() | {
            "world_model": self.world_model.state_dict(),
            "shadow": None if self.shadow is None else self.shadow.state_dict(),
            "evolution": None if self.evolution is None else self.evolution.state_dict(),
            "information": self.information.state_dict(),
            "imagination": self.imagination.generator.get_state(),
            "metrics": self.metrics_generator.get_state(),
            "real_gradient": self.real_gradient,
            "rounds": self.rounds,
            "horizon": self.horizon,
            "past": [segments.as_dict() for segments in self.past],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict(state)
        self.world_model.load_state_dict(state["world_model"])
        if self.shadow is not None:
            self.shadow.load_state_dict(state["shadow"])
        if self.evolution is not None:
            self.evolution.load_state_dict(state["evolution"])
        self.information.load_state_dict(state["information"])
        self.imagination.generator.set_state(state["imagination"].cpu())
        self.metrics_generator.set_state(state["metrics"].cpu())
        gradient = state["real_gradient"]
        self.real_gradient = None if gradient is None else gradient.to(self.device)
        self.rounds, self.horizon = state["rounds"], state["horizon"]
        self.past.clear()
        self.past.extend(Segments(**tensors).to(self.device) for tensors in state["past"])


def trusted_horizon(measures: dict[str, float], max_error: float, longest: int) -> int:
    """Length of rollouts: as long as the world model's measured open-loop error stays within `max_error`.

    measures: `model_open_loop_<steps>` on held-out real episodes, as the world model's `evaluate` gives them; what was
    not measured is no reason to stop. At least the shortest length measured, at most `longest`. `max_error` 0: longest.
    """
    if not max_error:
        return longest
    trusted = 0
    for steps in OPEN_LOOP_STEPS:
        if measures.get(f"model_open_loop_{steps}", 0.0) > max_error:
            return min(max(trusted, OPEN_LOOP_STEPS[0]), longest)
        trusted = steps
    return longest


def _world_model_learner(data: str) -> type[WorldModelLearner]:
    kinds = {"primary": WorldModelLearner, "mixed": MixedWorldModelLearner}
    if data not in kinds:
        raise UserError(f'world_model_data is "{data}". Known: primary, mixed.{nearest(data, kinds)}')
    return kinds[data]


def real_limits(data: PrimaryData) -> dict[str, tuple[Tensor, Tensor]]:
    """Lowest and highest value of states and observations per feature, and of rewards, in real data [S, ...].

    Imagined experience is held within them, widened by half their range, so that no fault of the model and no poisoned
    buffer reaches the policy with values that the game cannot produce.
    """
    limits = {}
    for name in ("state", "obs", "reward"):
        flat = data[name].reshape(-1, data[name].shape[-1]) if name != "reward" else data[name].reshape(-1, 1)
        low, high = flat.amin(0), flat.amax(0)
        margin = 0.5 * (high - low)
        low, high = low - margin, high + margin
        limits[name] = (low, high) if name != "reward" else (low[0], high[0])
    return limits

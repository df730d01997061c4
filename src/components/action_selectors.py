"""Choice of actions from policy outputs or Q-values, with draws from streams of their own.

Unavailable actions get a score of minus infinity, so that no draw can pick them. Two guards run with every choice:
outputs that are not finite raise `NonFiniteOutputs`, and an agent without any available action raises
`NoAvailableAction`; both name the environment step, the battle and the agent.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from torch.distributions import Categorical

from components.epsilon_schedules import DecayThenFlatSchedule
from utils.seeding import torch_stream


class NonFiniteOutputs(FloatingPointError):
    """The network's outputs for an available action are NaN or infinite."""


class NoAvailableAction(ValueError):
    """An agent has no available action at all."""


class ActionSelector:
    """What all selectors share: a stream for training ("policy") and one for test episodes ("evaluation")."""

    def __init__(self, args: SimpleNamespace) -> None:
        self.args = args
        self.test_greedy: bool = getattr(args, "test_greedy", True)
        seed = getattr(args, "seed", None) or 0
        self._generators = {name: torch_stream(seed, name) for name in ("policy", "evaluation")}

    def select_action(
        self, agent_inputs: torch.Tensor, avail_actions: torch.Tensor, t_env: int, test_mode: bool = False
    ) -> Any:
        """Actions [B, n] (int64) from outputs [B, n, A] and availability [B, n, A] (non-zero: available)."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, torch.Tensor]:
        """States of the streams."""
        return {name: generator.get_state() for name, generator in self._generators.items()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Take over the streams' states."""
        for name, generator in self._generators.items():
            generator.set_state(state[name].cpu())

    def _uniform(self, shape: tuple[int, ...], test_mode: bool, device: torch.device) -> torch.Tensor:
        return torch.rand(shape, generator=self._generators["evaluation" if test_mode else "policy"]).to(device)

    def _gumbel(self, like: torch.Tensor, test_mode: bool) -> torch.Tensor:
        generator = self._generators["evaluation" if test_mode else "policy"]
        return torch.empty(like.shape).exponential_(generator=generator).log_().neg_().to(like.device)


class MultinomialActionSelector(ActionSelector):
    """Samples from the softmax over available actions; the most likely one in test mode when `args.test_greedy`.

    With `args.save_probs` (PyMARL2) the masked probabilities come too: `(actions [B, n], probs [B, n, A])`.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__(args)
        self.save_probs: bool = getattr(args, "save_probs", False)

    def select_action(
        self, agent_inputs: torch.Tensor, avail_actions: torch.Tensor, t_env: int, test_mode: bool = False
    ) -> Any:
        """Actions [B, n] from logits [B, n, A], or from the probabilities that PyMARL's controllers hand over.

        Probabilities are recognised by all rows being non-negative and summing to one.
        """
        if _are_probabilities(agent_inputs):
            agent_inputs = agent_inputs.log()
            # log 0 is a legitimate "never": a floor keeps it apart from the infinities that the guard looks for.
            agent_inputs = agent_inputs.clamp_min(-1e30)
        actions = self.select_from_logits(agent_inputs, avail_actions, t_env, test_mode)
        if self.save_probs:
            return actions, masked_logits(agent_inputs, avail_actions).softmax(-1)
        return actions

    def select_from_logits(
        self,
        logits: torch.Tensor,
        avail_actions: torch.Tensor,
        t_env: int,
        test_mode: bool = False,
        greedy: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Actions [B, n] from logits [B, n, A]: the Gumbel-max draw, which is a draw from the masked softmax.

        greedy: bool [B], the rows that take the most likely action instead; None: none.
        """
        check_finite(logits, avail_actions, t_env)
        scores = logits.detach()
        if not (test_mode and self.test_greedy):
            noise = self._gumbel(scores, test_mode)
            scores = scores + (noise if greedy is None else noise.masked_fill(greedy.view(-1, 1, 1), 0.0))
        return _legal_argmax(scores, avail_actions, t_env)

    def evenly(self, share: float, n: int) -> torch.Tensor:
        """A share of n rows, spread evenly from a place that is drawn: bool [n]."""
        return (torch.arange(n + 1) * share + self._uniform((1,), False, torch.device("cpu"))).floor().diff() > 0


class SoftPoliciesSelector(MultinomialActionSelector):
    """EPyMARL's name for the same draw; unlike there, masks and `test_greedy` are obeyed."""


class EpsilonGreedyActionSelector(ActionSelector):
    """The action of the highest Q-value, or with probability epsilon any available one, uniformly.

    Epsilon falls linearly from `epsilon_start` to `epsilon_finish` in `epsilon_anneal_time` steps; tests play with 0.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__(args)
        self.schedule = DecayThenFlatSchedule(
            args.epsilon_start, args.epsilon_finish, args.epsilon_anneal_time, decay="linear"
        )
        self.epsilon = self.schedule.eval(0)

    def select_action(
        self, agent_inputs: torch.Tensor, avail_actions: torch.Tensor, t_env: int, test_mode: bool = False
    ) -> torch.Tensor:
        """Actions [B, n] from Q-values [B, n, A]."""
        check_finite(agent_inputs, avail_actions, t_env)
        self.epsilon = self.schedule.eval(t_env)
        greedy = _legal_argmax(agent_inputs.detach(), avail_actions, t_env)
        if test_mode or self.epsilon <= 0.0:
            return greedy
        explores = self._uniform(tuple(greedy.shape), test_mode, greedy.device) < self.epsilon
        any_legal = _legal_argmax(self._gumbel(agent_inputs, test_mode), avail_actions, t_env)
        return torch.where(explores, any_legal, greedy)


REGISTRY: dict[str, type[ActionSelector]] = {
    "multinomial": MultinomialActionSelector,
    "soft_policies": SoftPoliciesSelector,
    "gumbel": MultinomialActionSelector,
    "epsilon_greedy": EpsilonGreedyActionSelector,
}


def masked_logits(logits: torch.Tensor, avail_actions: torch.Tensor) -> torch.Tensor:
    """`logits` [..., A] with minus infinity where `avail_actions` [..., A] is zero."""
    return logits.masked_fill(avail_actions == 0, -torch.inf)


def categorical_entropy(probs: torch.Tensor) -> torch.Tensor:
    """Entropy in nats [...] of probabilities [..., A]; zeros are allowed."""
    if probs.size(-1) < 2:
        raise ValueError(f"the entropy of {probs.size(-1)} action(s) says nothing; expected at least 2")
    return Categorical(probs=probs, validate_args=False).entropy()


def multinomial_entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy in nats [...] of the softmax of logits [..., A]; minus infinity (masked) is allowed."""
    if logits.size(-1) < 2:
        raise ValueError(f"the entropy of {logits.size(-1)} action(s) says nothing; expected at least 2")
    log_probs = logits.log_softmax(-1)
    # 0 * log 0 = 0: the masked entries must neither give NaN nor send a gradient.
    return -(log_probs.exp() * log_probs.masked_fill(log_probs == -torch.inf, 0.0)).sum(-1)


def check_finite(outputs: torch.Tensor, avail_actions: torch.Tensor, t_env: int) -> None:
    """Raise `NonFiniteOutputs` if an available action's output [B, n, A] is NaN or infinite."""
    if math.isfinite(outputs.sum().item()):  # as it is not where any of them is not
        return
    bad = ~torch.isfinite(outputs) & (avail_actions != 0)
    if bool(bad.any()):
        battle, agent, action = bad.nonzero()[0].tolist()
        raise NonFiniteOutputs(
            f"the policy's output is {outputs[battle, agent, action].item()} at environment step {t_env} "
            f"(battle {battle}, agent {agent}, action {action}; {int(bad.sum())} such values): training has diverged. "
            "A lower lr or grad_norm_clip, or an earlier checkpoint, is the way back."
        )


def _are_probabilities(outputs: torch.Tensor) -> bool:
    if bool((outputs < 0).any()):
        return False
    return bool(((outputs.sum(-1) - 1.0).abs() < 1e-3).all())


def _legal_argmax(scores: torch.Tensor, avail_actions: torch.Tensor, t_env: int) -> torch.Tensor:
    """Index [B, n] of the highest score among the available actions."""
    best, actions = masked_logits(scores, avail_actions).max(dim=-1)
    if best.min().item() == -torch.inf:
        battle, agent = (best == -torch.inf).nonzero()[0].tolist()
        raise NoAvailableAction(
            f"no action is available at environment step {t_env} for agent {agent} of battle {battle}; "
            "an environment must always offer at least one (for a dead agent: no-op)"
        )
    return actions

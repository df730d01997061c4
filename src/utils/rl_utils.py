"""Returns and advantages over batches of padded episodes, under PyMARL2's names.

Conventions of every function here. Time is axis 1. A step t has a reward, a flag `terminated` and a `mask` that is 1
for real steps and 0 for padding; values are given for one frame more, because the last step leads somewhere. Nothing
is bootstrapped from behind a termination. An episode that ends without one (truncated, or cut off by the end of the
batch) bootstraps from the value of its closing frame. Results are 0 on padding, whatever the padding holds. Rewards,
flags and masks may have length-1 axes where the values have agents.
"""

from __future__ import annotations

import torch
from torch import Tensor

from components.standarize_stream import RunningMeanStd

__all__ = [
    "RunningMeanStd",
    "build_gae_targets",
    "build_nstep_returns",
    "build_q_lambda_targets",
    "build_returns_so_far",
    "build_target_q",
    "build_td_lambda_targets",
    "build_vtrace_targets",
]


def build_gae_targets(
    rewards: Tensor, masks: Tensor, values: Tensor, gamma: float, lambd: float, terminated: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimates and the returns `advantages + values` (Schulman et al., 2016, eq. 16).

    `rewards`, `masks`, `terminated` [B, T, ...], `values` [B, T+1, ...] in the rewards' unit; both results are [B, T,
    ...]. Without `terminated` (PyMARL2's call) the last real step of each episode counts as a termination.
    """
    n_steps = values.shape[1] - 1
    now = values[:, :-1]
    valid = masks[:, :n_steps].expand_as(now) > 0
    if terminated is None:
        goes_on = torch.cat((valid[:, 1:], torch.zeros_like(valid[:, :1])), dim=1)
    else:
        goes_on = (terminated[:, :n_steps] == 0).expand_as(now)
    bootstrap = torch.where(goes_on, values[:, 1:], 0.0)
    deltas = torch.where(valid, rewards[:, :n_steps] + gamma * bootstrap - now, 0.0)
    advantages = _backward_sum(deltas, gamma * lambd * (goes_on & valid).to(values.dtype))
    return advantages, torch.where(valid, advantages + now, 0.0)


def build_td_lambda_targets(
    rewards: Tensor, terminated: Tensor, mask: Tensor, target_qs: Tensor, n_agents: int, gamma: float, td_lambda: float
) -> Tensor:
    """TD(lambda) targets [B, T-1, A] from target values `target_qs` [B, T, A].

    `rewards`, `terminated`, `mask`: [B, T-1, 1 or A]. `n_agents` is part of PyMARL's signature; the shapes tell it
    already.
    """
    return build_gae_targets(rewards, mask, target_qs, gamma, td_lambda, terminated)[1]


def build_q_lambda_targets(
    rewards: Tensor,
    terminated: Tensor,
    mask: Tensor,
    exp_qvals: Tensor,
    qvals: Tensor,
    gamma: float,
    td_lambda: float,
) -> Tensor:
    """Q(lambda) targets with off-policy corrections [B, T-1, A] (Harutyunyan et al., 2016).

    `exp_qvals` [B, T, A]: expectation (or maximum) of Q under the target policy; `qvals` [B, T or T-1, A]: Q of the
    action taken. target_t = q_t + sum_k (gamma lambda)^k delta_(t+k), with delta_t = r_t + gamma exp_q_(t+1) - q_t.
    """
    n_steps = exp_qvals.shape[1] - 1
    taken = qvals[:, :n_steps]
    valid = mask[:, :n_steps].expand_as(taken) > 0
    goes_on = (terminated[:, :n_steps] == 0).expand_as(taken)
    bootstrap = torch.where(goes_on, exp_qvals[:, 1:], 0.0)
    deltas = torch.where(valid, rewards[:, :n_steps] + gamma * bootstrap - taken, 0.0)
    corrections = _backward_sum(deltas, gamma * td_lambda * (goes_on & valid).to(taken.dtype))
    return torch.where(valid, taken + corrections, 0.0)


def build_target_q(
    td_q: Tensor, target_q: Tensor, mac: Tensor, mask: Tensor, gamma: float, td_lambda: float, n: int
) -> Tensor:
    """Tree-backup targets over n steps [B, T-1, ...] (Precup, Sutton and Singh, 2000).

    `td_q` [B, T-1, ...]: one-step errors r + gamma E[Q'] - Q of the action taken; `target_q` [B, T-1, ...]: that Q;
    `mac` [B, T, ...]: probability of the (joint) action taken under the target policy; `mask` [B, T-1, ...].
    """
    valid = mask[:, : td_q.shape[1]].expand_as(td_q) > 0
    errors = torch.where(valid, td_q, 0.0)
    probs = torch.where(valid, mac[:, : td_q.shape[1]].expand_as(td_q), 0.0)
    backed_up = errors
    for _ in range(n - 1):
        ahead = torch.cat(((probs * backed_up)[:, 1:], torch.zeros_like(errors[:, :1])), dim=1)
        backed_up = errors + gamma * td_lambda * ahead
    return torch.where(valid, target_q + backed_up, 0.0) if n > 0 else torch.where(valid, target_q, 0.0)


def build_nstep_returns(
    rewards: Tensor, terminated: Tensor, mask: Tensor, values: Tensor, gamma: float, n: int
) -> Tensor:
    """n-step returns [B, T, ...]: n discounted rewards and the discounted value of the frame reached.

    `rewards`, `terminated`, `mask` [B, T, ...], `values` [B, T+1, ...]. Fewer steps where the episode ends sooner.
    """
    now = values[:, :-1]
    valid = mask[:, : now.shape[1]].expand_as(now) > 0
    goes_on = (terminated[:, : now.shape[1]] == 0).expand_as(now)
    returns = values
    for _ in range(n):
        step = rewards[:, : now.shape[1]] + gamma * torch.where(goes_on, returns[:, 1:], 0.0)
        # A frame behind the last real step keeps its value: it is what a truncated episode bootstraps from.
        returns = torch.cat((torch.where(valid, step, now), values[:, -1:]), dim=1)
    return torch.where(valid, returns[:, :-1], 0.0)


def build_returns_so_far(rewards: Tensor, gamma: float) -> Tensor:
    """Discounted sums of the rewards up to each step, y_t = r_t + gamma y_(t-1); `rewards` and result [B, T, ...]."""
    return _backward_sum(rewards.flip(1), torch.full_like(rewards, gamma)).flip(1)


def build_vtrace_targets(
    rewards: Tensor,
    terminated: Tensor,
    mask: Tensor,
    values: Tensor,
    ratios: Tensor,
    gamma: float,
    lambd: float,
) -> tuple[Tensor, Tensor]:
    """V-trace advantages and value targets (Espeholt et al., 2018, eq. 1, with lambda as in their remark 2).

    `rewards`, `terminated`, `mask` [B, T, ...], `values` [B, T+1, ...]; `ratios` [B, T, ...] is pi / mu of the (joint)
    action taken, truncated at 1 here for both of V-trace's weights. The advantage of a step leaves the step's own ratio
    out: whoever uses it weights its sample. With ratios of 1 the results are those of `build_gae_targets`.
    """
    now = values[:, :-1]
    n_steps = now.shape[1]
    valid = mask[:, :n_steps].expand_as(now) > 0
    goes_on = (terminated[:, :n_steps] == 0).expand_as(now)
    weights = ratios.clamp(max=1.0).expand_as(now)
    bootstrap = torch.where(goes_on, values[:, 1:], 0.0)
    deltas = torch.where(valid, rewards[:, :n_steps] + gamma * bootstrap - now, 0.0)
    carry = gamma * lambd * (goes_on & valid).to(values.dtype)
    corrections = _backward_sum(weights * deltas, carry * weights)
    ahead = torch.cat((corrections[:, 1:], torch.zeros_like(corrections[:, :1])), dim=1)
    return torch.where(valid, deltas + carry * ahead, 0.0), torch.where(valid, now + corrections, 0.0)


def _backward_sum(terms: Tensor, decay: Tensor) -> Tensor:
    """y_t = terms_t + decay_t * y_(t+1) along axis 1, with y = 0 after the end."""
    sums = []
    total = torch.zeros_like(terms[:, 0]) if terms.shape[1] else terms
    for term, factor in zip(reversed(terms.unbind(1)), reversed(decay.unbind(1))):
        total = torch.addcmul(term, factor, total)
        sums.append(total)
    return torch.stack(sums[::-1], dim=1) if sums else terms

"""The information-seeking term of AMAL: two estimators behind one signature, and the bonus made of them.

Both read Gaussian predictions of the next observation, members first: `means` and `log_stds` are [K, ..., d].

* `mixture` (Proposition 1): the members are K joint actions, the taken one first. A transition is worth as much as the
  action taken explains it better than the actions other policies would have taken.
* `ensemble` (BALD, Plan2Explore): the members are K world models trained on different bootstraps of the same data. A
  transition is worth as much as they disagree; the value fades as the models learn.

Gradients are the caller's concern: pass detached predictions where the world model must stay untouched.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

LOG_STD_FLOOR = -3.0
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def mixture_information(log_prob_taken: Tensor, log_prob_alternatives: Tensor) -> Tensor:
    """Information of each step, log p(o|u) - log((1/K) sum_k p(o|u^k)), the action taken being one of the K.

    Only differences of log-densities enter, so a shift common to all members changes nothing and densities of any
    magnitude are safe. Never above log K; values below -log K, which a real observation may give, are clipped.

    :param log_prob_taken: log p(o|u) of the action taken [...], finite.
    :param log_prob_alternatives: the same observation under the K - 1 alternatives [..., K-1]; -inf is allowed.
    :return: information in nats [...].
    """
    limit = math.log(log_prob_alternatives.shape[-1] + 1)
    relative = log_prob_alternatives - log_prob_taken.unsqueeze(-1)
    relative = torch.cat([torch.zeros_like(relative[..., :1]), relative], dim=-1)
    # Minus the logsumexp of K zeros rather than log K: K identical members then give 0 exactly, not one rounding more.
    of_equals = torch.logsumexp(torch.zeros_like(relative), dim=-1)
    return (of_equals - torch.logsumexp(relative, dim=-1)).clamp(-limit, limit)


def estimate_information(log_prob_taken: Tensor, log_prob_alternatives: Tensor) -> Tensor:
    """Proposition 1: `mixture_information` averaged over M observations, [M, ...] and [M, ..., K-1] -> [...].

    Biased by O(1/K), with a variance of O(1/M).
    """
    return mixture_information(log_prob_taken, log_prob_alternatives).mean(dim=0)


def gaussian_log_prob(
    mean: Tensor,
    log_std: Tensor,
    target: Tensor,
    feature_mask: Tensor | None = None,
    log_std_floor: float = LOG_STD_FLOOR,
) -> Tensor:
    """Log-density of a diagonal Gaussian averaged, not summed, over features.

    The average keeps the information on one scale from 3m's 30 features to 27m_vs_30m's hundreds.

    :param mean: [..., d] in normalised units, as are the others.
    :param log_std: broadcastable to `mean`; raised to `log_std_floor`, without which a feature the model has almost
        memorised would decide alone.
    :param target: broadcastable to `mean`.
    :param feature_mask: bool, broadcastable to [..., d]; False leaves out a feature (constant in the data).
    :return: nats per feature [...]; 0 where no feature is left.
    """
    log_std = log_std.clamp_min(log_std_floor)
    log_prob = -0.5 * ((target - mean) * torch.exp(-log_std)).square() - log_std - _HALF_LOG_TWO_PI
    return _feature_mean(log_prob, feature_mask)


def ensemble_information(
    means: Tensor, log_stds: Tensor, feature_mask: Tensor | None = None, log_std_floor: float = LOG_STD_FLOOR
) -> Tensor:
    """Disagreement of E world models: entropy of their mixture minus their mean entropy, per feature.

    The mixture's entropy has no closed form; that of the Gaussian with the mixture's mean and variance bounds it from
    above (Sekar et al. 2020 use the same moments).

    :param means: [E, ..., d] in normalised units.
    :param log_stds: [E, ..., d].
    :param feature_mask: bool, broadcastable to [..., d]; False leaves a feature out.
    :return: nats per feature [...], at least 0, and 0 where all members agree.
    """
    log_stds = log_stds.clamp_min(log_std_floor)
    mixture_variance = torch.exp(2 * log_stds).mean(dim=0) + means.var(dim=0, unbiased=False)
    gap = 0.5 * torch.log(mixture_variance) - log_stds.mean(dim=0)
    return _feature_mean(gap.clamp_min(0.0), feature_mask)


def _feature_mean(values: Tensor, feature_mask: Tensor | None) -> Tensor:
    if feature_mask is None:
        return values.mean(dim=-1)
    feature_mask = feature_mask.expand_as(values)
    # where, not a product: a masked feature may hold inf or NaN.
    kept = torch.where(feature_mask, values, torch.zeros_like(values))
    return kept.sum(dim=-1) / feature_mask.sum(dim=-1).clamp_min(1)


def _mixture_estimator(means: Tensor, log_stds: Tensor, target: Tensor, feature_mask: Tensor | None) -> Tensor:
    log_probs = gaussian_log_prob(means, log_stds, target, feature_mask)
    return mixture_information(log_probs[0], log_probs[1:].movedim(0, -1))


def _ensemble_estimator(means: Tensor, log_stds: Tensor, target: Tensor, feature_mask: Tensor | None) -> Tensor:
    return ensemble_information(means, log_stds, feature_mask)


ESTIMATORS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]] = {
    "mixture": _mixture_estimator,
    "ensemble": _ensemble_estimator,
}


class RunningStd:
    """Standard deviation of everything seen, merged batch by batch (Chan et al. 1979).

    :param decay: weight that older batches keep at every new one, in (0, 1]; 1 remembers all alike.
    """

    def __init__(self, decay: float = 1.0) -> None:
        if not 0 < decay <= 1:
            raise ValueError(f"the information normaliser's decay is {decay}; it must lie in (0, 1]")
        self.decay = decay
        self.count = self.mean = self.squares = 0.0

    def update(self, values: Tensor) -> None:
        """Take in a batch of any shape; an empty one changes nothing."""
        if values.numel() == 0:
            return
        values = values.detach().double()
        n, mean = float(values.numel()), float(values.mean())
        squares = float((values - mean).square().sum())
        old = self.count * self.decay
        shift = mean - self.mean
        self.count = old + n
        self.mean += shift * n / self.count
        self.squares = self.squares * self.decay + squares + shift**2 * old * n / self.count

    @property
    def std(self) -> float:
        """The standard deviation; 1 before any data, so that dividing by it is harmless."""
        return math.sqrt(self.squares / self.count) if self.count else 1.0

    def state_dict(self) -> dict[str, float]:
        """The moments, as numbers."""
        return {"count": self.count, "mean": self.mean, "squares": self.squares}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take the moments over from `state_dict`."""
        self.count, self.mean, self.squares = state["count"], state["mean"], state["squares"]


class InformationBonus:
    """The intrinsic reward: lambda * information / its running standard deviation, with or without its mean.

    :param estimator: "mixture" or "ensemble".
    :param weight: lambda at the start of training (the paper's lambda_info, 0.3).
    :param anneal_share: share of training over which lambda falls linearly to 0, in (0, 1]; math.inf holds it constant.
    :param decay: memory of the normaliser, see `RunningStd`. With 1, an ensemble's bonus fades with its disagreement.
    :param clip: largest magnitude of the normalised information. It matters while the deviation is still near 0.
    :param std_floor: smallest divisor.
    :param centred: whether the mean over the batch is taken off. Information is positive on average: as it is, it pays
        for every step that an episode lasts, and which of the steps were given a bonus is noise.
    """

    def __init__(
        self,
        estimator: str = "mixture",
        weight: float = 0.3,
        anneal_share: float = 1.0,
        decay: float = 1.0,
        clip: float = 5.0,
        std_floor: float = 1e-4,
        centred: bool = False,
    ) -> None:
        if estimator not in ESTIMATORS:
            raise ValueError(f'there is no information estimator "{estimator}"; choose one of {", ".join(ESTIMATORS)}')
        if not anneal_share > 0:
            raise ValueError(f"lambda cannot be annealed over {anneal_share} of training; the share must be above 0")
        self.estimator = estimator
        self.weight = weight
        self.anneal_share = anneal_share
        self.clip = clip
        self.std_floor = std_floor
        self.centred = centred
        self.normaliser = RunningStd(decay)
        self._stats: dict[str, float] = {}

    def coefficient(self, progress: float) -> float:
        """Lambda when `progress` (0 to 1) of training is over."""
        return self.weight * max(0.0, 1.0 - progress / self.anneal_share)

    @torch.no_grad()
    def estimate(self, means: Tensor, log_stds: Tensor, target: Tensor, feature_mask: Tensor | None = None) -> Tensor:
        """Information of each step in nats [...], from predictions [K, ..., d] of the target [..., d]."""
        return ESTIMATORS[self.estimator](means, log_stds, target, feature_mask)

    @torch.no_grad()
    def __call__(self, information: Tensor, progress: float, mask: Tensor | None = None, update: bool = True) -> Tensor:
        """Turn information into a reward of the same shape.

        :param information: nats [...].
        :param progress: share of training that is over, 0 to 1.
        :param mask: True where the step exists, [...]; elsewhere the bonus is 0 and the statistics see nothing.
        :param update: whether the normaliser learns from this batch.
        """
        mask = torch.ones_like(information, dtype=torch.bool) if mask is None else mask.bool()
        seen = information[mask]
        if update:
            self.normaliser.update(seen)
        zero = seen.mean() if self.centred and seen.numel() else 0.0
        normalised = ((information - zero) / max(self.normaliser.std, self.std_floor)).clamp(-self.clip, self.clip)
        bonus = torch.where(mask, self.coefficient(progress) * normalised, torch.zeros_like(information))
        if seen.numel():
            self._stats = {
                "information_mean": float(seen.mean()),
                "information_max": float(seen.max()),
                "information_std": self.normaliser.std,
                "information_bonus_mean": float(bonus[mask].mean()),
                "information_lambda": self.coefficient(progress),
            }
        return bonus

    def stats(self) -> dict[str, float]:
        """What the latest call saw, under the names to be logged."""
        return dict(self._stats)

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs."""
        return {"normaliser": self.normaliser.state_dict(), "stats": dict(self._stats)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of `state_dict`."""
        self.normaliser.load_state_dict(state["normaliser"])
        self._stats = dict(state["stats"])

"""How good a world model is, on real episodes that it never trained on, beside references that cost nothing.

A model that does not beat "nothing changes", the mean reward and a coin is broken, and no result built on it counts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from components.asymmetric_buffer import AsymmetricBuffer
from modules.world_models import Context, WorldModel

OPEN_LOOP_STEPS = (1, 5, 10, 15)
OPEN_LOOP_DRAWS = 8


def held_out_metrics(
    model: WorldModel, buffer: AsymmetricBuffer, generator: torch.Generator, held_out_every: int, n_sequences: int = 32
) -> dict[str, float]:
    """One-step and open-loop measures (names: docs/algorithms/amal.md, "World model"); {} without held-out episodes."""
    if not buffer.has_held_out(held_out_every):
        return {}
    length = OPEN_LOOP_STEPS[-1]
    data = buffer.sample_primary(n_sequences, length, generator, split="held_out", held_out_every=held_out_every)
    device = model.scale.device
    fields = ("state", "obs", "avail_actions", "actions", "reward", "terminated", "mask")
    state, obs, avail, actions, reward, terminated, mask = (data[name].to(device) for name in fields)
    context = model.contexts(state[:, :length])
    real = mask.flatten()
    one = context.rows(real)
    next_tokens = model.layout.tokens(state[:, 1:]).flatten(0, 1)[real]
    log_probs = model.predict(one, actions.flatten(0, 1)[real])
    expected = model.expected(one, log_probs)
    predicted_reward, logit = model.outcome_of(one.tokens, next_tokens)
    obs_hat, obs_avail = model.view(one.tokens)
    true_reward = reward.flatten()[real]
    return {
        "model_nll": float(model.change_loss(log_probs, one.tokens, next_tokens).mean()),
        "model_state_r2": r_squared(expected, next_tokens),
        "model_change_r2": 1 - _ratio(expected - next_tokens, one.tokens - next_tokens),
        "model_obs_r2": r_squared(obs_hat, obs[:, :length].flatten(0, 1)[real]),
        "model_reward_mse": float((predicted_reward - true_reward).square().mean()),
        "model_reward_mse_of_mean": float((true_reward - true_reward.mean()).square().mean()),
        "model_avail_accuracy": float((obs_avail == avail[:, :length].flatten(0, 1)[real].bool()).float().mean()),
        "model_avail_auc": _avail_auc(model, one.tokens, avail[:, :length].flatten(0, 1)[real]),
        "model_termination_auc": area_under_roc(logit, terminated.flatten()[real].bool()),
        **_open_loop(model, state, actions, mask, generator),
    }


def r_squared(predicted: Tensor, target: Tensor) -> float:
    """1 - error / variance, pooled over the features [N, ...] that vary in the targets; NaN if none does."""
    predicted, target = predicted.flatten(1), target.flatten(1)
    centred = target - target.mean(0)
    varying = centred.square().sum(0) > 1e-8
    return 1 - _ratio((predicted - target)[:, varying], centred[:, varying])


def _ratio(error: Tensor, reference: Tensor) -> float:
    total = float(reference.square().sum())
    return float(error.square().sum()) / total if total > 0 else float("nan")


def area_under_roc(scores: Tensor, labels: Tensor) -> float:
    """Chance that a positive scores above a negative (ties count half); NaN unless both kinds are present."""
    n_positive, n_negative = int(labels.sum()), int((~labels).sum())
    if not n_positive or not n_negative:
        return float("nan")
    _, inverse, counts = scores.unique(return_inverse=True, return_counts=True)
    last_rank = counts.cumsum(0).double()
    ranks = (last_rank - (counts.double() - 1) / 2)[inverse]
    return float((ranks[labels].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def _avail_auc(model: WorldModel, tokens: Tensor, avail_actions: Tensor) -> float:
    alive = model.layout.alive(tokens)
    logits = model.decoder(tokens / model.scale, alive)[1]
    living = alive[:, : model.layout.n_agents] if model.layout.has_units else avail_actions.any(-1)
    return area_under_roc(logits[living].flatten(), avail_actions[living].bool().flatten())


def _open_loop(
    model: WorldModel, state: Tensor, actions: Tensor, mask: Tensor, generator: torch.Generator
) -> dict[str, float]:
    """Squared error of states imagined under the real actions, divided by that of "nothing changes", some steps on.

    The prediction is the mean of several draws: a single one would be charged for chance twice, its own and the game's.
    """
    context = model.contexts(state[:, :1])
    first, result = context.tokens, {}
    context = Context(*(part.repeat(OPEN_LOOP_DRAWS, *[1] * (part.dim() - 1)) for part in context))
    for step in range(mask.shape[1]):
        taken = actions[:, step].repeat(OPEN_LOOP_DRAWS, 1)
        context = model.advance(context, model.sample(context, model.predict(context, taken), generator))
        here = mask[:, step]
        if step + 1 in OPEN_LOOP_STEPS and bool(here.any()):
            target = model.layout.tokens(state[:, step + 1])
            mean = context.tokens.unflatten(0, (OPEN_LOOP_DRAWS, -1)).mean(0)
            result[f"model_open_loop_{step + 1}"] = _ratio((mean - target)[here], (first - target)[here])
    return result

"""The world model: what the primary team's real data say about how battles go on.

`predict` gives the distribution of every unit's change; `imagine_step` draws the next state from it and reads reward,
termination, observations and available actions off that same state. Sources: AMAL, section 5.4 (parts and sizes);
the histogram heads and the tie of death to health are ours (docs/algorithms/amal.md).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modules.world_models.decoders import make_decoder
from modules.world_models.histogram import ChangeHistogram
from modules.world_models.layout import HEALTH, StateLayout
from modules.world_models.trunks import EntityTrunk, RecurrentTrunk, mlp
from utils.errors import UserError

_HEALTH_LIKE = (HEALTH, "shield")


class Context(NamedTuple):
    """What is known at a step, a row a battle: the history h_t in the form the trunk wants."""

    tokens: Tensor  # [N, U, F]
    previous: Tensor  # [N, U, F], tokens one step earlier
    known: Tensor  # bool [N], whether `previous` was seen
    memory: Tensor  # [N, M], the trunk's memory after `tokens` (M = 0 for a trunk without)

    def rows(self, index: Tensor) -> Context:
        """The chosen rows."""
        return Context(*(part[index] for part in self))


class Imagined(NamedTuple):
    """One imagined step."""

    tokens: Tensor  # [N, U, F]
    state: Tensor  # [N, d_s]
    obs: Tensor  # [N, n, d_o]
    avail_actions: Tensor  # bool [N, n, A]
    reward: Tensor  # [N]
    termination_prob: Tensor  # [N]


class WorldModel(nn.Module):
    """Predicts next state, observations, available actions, team reward and termination.

    `trunk` names its structure (`entity` or `recurrent`); `ensemble` > 1 gives that many heads of the change, each
    trained on its own bootstrap of the episodes.
    """

    scale: Tensor
    varies: Tensor
    reward_scale: Tensor
    vital: Tensor

    def __init__(
        self,
        layout: StateLayout,
        obs_dim: int,
        trunk: str = "entity",
        hidden: list[int] | None = None,
        memory: int = 256,
        bins: int = 61,
        ensemble: int = 1,
    ) -> None:
        super().__init__()
        if trunk == "entity" and not layout.has_units:
            raise UserError(
                'world_model="entity" needs a state made of units (env_info with agent_features), which this '
                "environment does not describe. Use world_model=recurrent."
            )
        self.layout, self.bins, self.ensemble = layout, bins, ensemble
        hidden = hidden or [80]
        self.trunk: EntityTrunk | RecurrentTrunk
        self.trunk = EntityTrunk(layout, hidden) if trunk == "entity" else RecurrentTrunk(layout, hidden, memory)
        n_features = layout.n_features
        self.histogram = ChangeHistogram(n_features, bins)
        self.change = nn.Linear(self.trunk.out_size, ensemble * n_features * bins)
        self.decoder = make_decoder(layout, obs_dim, hidden=64)
        # Reward and termination see what is drawn, feature by feature; they are read off vital signs alone, because a
        # network that may look at more learns coincidences (a cooldown restarts when a shot lands) that draws break.
        vital = [i for i, name in enumerate(layout.features) if name in _HEALTH_LIKE] if layout.has_units else None
        self.register_buffer("vital", torch.tensor(vital or list(range(n_features))), persistent=False)
        self.outcome_units = mlp([2 * len(self.vital) + 3, 64, 64])
        self.outcome_local = nn.Linear(64, 1)
        self.outcome = mlp([64, 64, 2], final_activation=False)
        self.register_buffer("scale", torch.ones(n_features))
        self.register_buffer("varies", torch.ones(n_features, dtype=torch.bool))
        self.register_buffer("reward_scale", torch.ones(()))

    @property
    def predicted(self) -> Tensor:
        """Which features of which units are predicted, bool [U, F]: those that the unit has and that ever change."""
        return self.varies & self.layout.present

    def fit_scales(self, tokens: Tensor, next_tokens: Tensor, reward: Tensor) -> None:
        """Set input scales, histogram limits and the reward's scale from real transitions [N, U, F], reward [N]."""
        both = self.layout.alive(tokens) & self.layout.alive(next_tokens)
        seen = tokens[self.layout.alive(tokens)]
        change = (next_tokens - tokens)[both]
        scale = seen.std(0).clamp_min(1e-3)
        columns = self.layout.position_columns
        if columns:
            scale[columns] = scale[columns].mean()
        self.scale.copy_(scale)
        self.varies.copy_(change.abs().amax(0) > 0)
        floor = torch.tensor([-1.0 if name in _HEALTH_LIKE else torch.inf for name in self.layout.features])
        self.histogram.fit(change, floor.to(change.device))
        self.reward_scale.copy_(reward.std().clamp_min(1e-3))

    def contexts(self, states: Tensor) -> Context:
        """Contexts along real sequences of states [B, T, d_s]; every part comes back as [B * T, ...]."""
        n_rows, n_steps = states.shape[:2]
        tokens = self.layout.tokens(states)
        previous = torch.cat([tokens[:, :1], tokens[:, :-1]], dim=1)
        known = torch.ones(n_rows, n_steps, dtype=torch.bool, device=states.device)
        known[:, 0] = False
        size = self.trunk.memory_size
        memory = tokens.new_zeros(n_rows, n_steps, size)
        if size and isinstance(self.trunk, RecurrentTrunk):
            steps, last = [], tokens.new_zeros(n_rows, size)
            for t in range(n_steps):
                last = self.trunk.remember(tokens[:, t] / self.scale, last)
                steps.append(last)
            memory = torch.stack(steps, dim=1)
        return Context(*(part.flatten(0, 1) for part in (tokens, previous, known, memory)))

    def advance(self, context: Context, tokens: Tensor) -> Context:
        """The context after one more step that led to `tokens` [N, U, F]."""
        memory = context.memory
        if self.trunk.memory_size and isinstance(self.trunk, RecurrentTrunk):
            memory = self.trunk.remember(tokens / self.scale, memory)
        return Context(tokens, context.tokens, torch.ones_like(context.known), memory)

    def predict(self, context: Context, actions: Tensor) -> Tensor:
        """Log-probabilities of each feature's change [E, N, U, F, bins] under joint actions [N, n]."""
        embedding = self.trunk(
            context.tokens / self.scale, context.previous / self.scale, context.known, context.memory, actions
        )
        logits = self.change(embedding).unflatten(-1, (self.ensemble, self.layout.n_features, self.bins))
        return logits.movedim(-3, 0).log_softmax(-1)

    def change_loss(self, log_probs: Tensor, tokens: Tensor, next_tokens: Tensor) -> Tensor:
        """Negative log-likelihood per row [..., N] of next tokens under log_probs [..., N, U, F, bins].

        A living unit counts with all its varying features; one that dies with the probability of dying alone, since
        what its other features would have been is not seen. Averaged over what counts in the row.
        """
        alive, alive_next = self.layout.alive(tokens), self.layout.alive(next_tokens)
        counted = self.comparable(tokens, next_tokens)
        loss = self.histogram.negative_log_likelihood(log_probs, next_tokens - tokens)
        column = self.layout.health_column
        if column >= 0:
            died = alive & ~alive_next
            fatal = self._fatal(tokens[..., column])
            death = -log_probs[..., column, :].masked_fill(~fatal, -1e4).logsumexp(-1)
            loss = torch.cat(
                [
                    loss[..., :column],
                    torch.where(died, death, loss[..., column]).unsqueeze(-1),
                    loss[..., column + 1 :],
                ],
                dim=-1,
            )
        weight = counted.to(loss.dtype)
        return (loss * weight).sum((-1, -2)) / weight.sum((-1, -2)).clamp_min(1.0)

    def comparable(self, tokens: Tensor, next_tokens: Tensor) -> Tensor:
        """Which features of the next step are predicted and seen, bool [N, U, F]: all predicted ones of units that
        live on, the health alone of those that die."""
        alive, alive_next = self.layout.alive(tokens), self.layout.alive(next_tokens)
        seen = (alive & alive_next).unsqueeze(-1) & self.predicted
        column = self.layout.health_column
        if column >= 0:
            seen[..., column] |= alive & ~alive_next
        return seen

    def _fatal(self, health: Tensor) -> Tensor:
        """Which bins of the health change kill a unit of this health: [...] -> bool [..., bins]."""
        column = self.layout.health_column
        margin = 0.5 * self.histogram.width[column]
        return health.unsqueeze(-1) + self.histogram.centres[column] <= margin

    def sample(self, context: Context, log_probs: Tensor, generator: torch.Generator) -> Tensor:
        """Draw next tokens [N, U, F] from the equal mixture of the ensemble's log_probs [E, N, U, F, bins]."""
        mixture = log_probs[0] if self.ensemble == 1 else log_probs.logsumexp(0) - torch.tensor(self.ensemble).log()
        change = self.histogram.sample(mixture, generator) * self.predicted
        return self._settle(context.tokens, context.tokens + change)

    def _settle(self, tokens: Tensor, next_tokens: Tensor) -> Tensor:
        """Clear the dead: those dead already and those whose health has run out."""
        column = self.layout.health_column
        if column < 0:
            return next_tokens
        margin = 0.5 * self.histogram.width[column]
        lives = self.layout.alive(tokens) & (next_tokens[..., column] > margin)
        capped = next_tokens.clone()
        capped[..., column].clamp_(max=1.0)
        return torch.where(lives.unsqueeze(-1), capped, torch.zeros_like(capped))

    def moments(self, context: Context, log_probs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [E, N, U, F] of the next tokens' features, each as if its unit lived on; health
        that runs out counts as 0."""
        changes = self.histogram.centres * self.predicted.unsqueeze(-1)
        probs = log_probs.exp()
        powers = torch.stack([changes, changes.square()], dim=-1)
        first, second = torch.einsum("...ufb,ufbk->...ufk", probs, powers).unbind(-1)
        mean, variance = context.tokens + first, second - first.square()
        column = self.layout.health_column
        if column >= 0:
            health = (context.tokens[..., column, None] + changes[:, column]).clamp(0.0, 1.0)
            chances = probs[..., column, :]
            mean[..., column] = (chances * health).sum(-1)
            variance[..., column] = (chances * health.square()).sum(-1) - mean[..., column].square()
        alive = self.layout.alive(context.tokens).unsqueeze(-1)
        return mean * alive, variance.clamp_min(0.0).sqrt() * alive

    def expected(self, context: Context, log_probs: Tensor) -> Tensor:
        """Expectation of the next tokens [N, U, F], in which the dead are zero, over the ensemble's mixture."""
        mean = self.moments(context, log_probs)[0]
        column = self.layout.health_column
        if column >= 0:
            fatal = self._fatal(context.tokens[..., column])
            survival = 1 - (log_probs[..., column, :].exp() * fatal).sum(-1, keepdim=True)
            health = torch.arange(mean.shape[-1], device=mean.device) == column
            mean = torch.where(health, mean, mean * survival)
        return mean.mean(0)

    def outcome_of(self, tokens: Tensor, next_tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Reward [N] and termination logit [N] of a step between two states' tokens [N, U, F]."""
        alive, alive_next = self.layout.alive(tokens), self.layout.alive(next_tokens)
        team = torch.zeros_like(alive)
        team[:, : self.layout.n_agents] = True
        flags = torch.stack([alive, alive_next, team], dim=-1).to(tokens.dtype)
        now, change = ((part / self.scale)[..., self.vital] for part in (tokens, next_tokens - tokens))
        units = self.outcome_units(torch.cat([now, change, flags], dim=-1))
        local = self.outcome_local(units).sum((1, 2))
        pooled = self.outcome(units.sum(1))
        return (local + pooled[:, 0]) * self.reward_scale, pooled[:, 1]

    def outcome_loss(self, tokens: Tensor, next_tokens: Tensor, reward: Tensor, terminated: Tensor) -> Tensor:
        """Squared error of the scaled reward plus cross-entropy of termination, per row [N]."""
        predicted, logit = self.outcome_of(tokens, next_tokens)
        error = ((predicted - reward) / self.reward_scale).square()
        return error + F.binary_cross_entropy_with_logits(logit, terminated.to(logit.dtype), reduction="none")

    def view(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Observations [N, n, d_o] and legal availability (bool [N, n, A]) in the states of tokens [N, U, F]."""
        alive = self.layout.alive(tokens)
        obs, logits = self.decoder(tokens / self.scale, alive)
        agents = alive[:, : self.layout.n_agents]
        return obs, self.decoder.legal(logits, agents if self.layout.has_units else agents.expand(-1, obs.shape[1]))

    def view_loss(self, tokens: Tensor, obs: Tensor, avail_actions: Tensor) -> Tensor:
        """Loss of the observation and availability decoder on real views."""
        return self.decoder.loss(tokens / self.scale, self.layout.alive(tokens), obs, avail_actions)

    def imagine_step(self, context: Context, actions: Tensor, generator: torch.Generator) -> Imagined:
        """Draw one step from the model, everything in it decoded from the same sampled state. Carries no gradient."""
        with torch.no_grad():
            tokens = self.sample(context, self.predict(context, actions), generator)
            reward, logit = self.outcome_of(context.tokens, tokens)
            obs, avail_actions = self.view(tokens)
            return Imagined(tokens, self.layout.state(tokens, actions), obs, avail_actions, reward, logit.sigmoid())

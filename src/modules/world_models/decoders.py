"""What the team sees in a state: observations and available actions, learned from real (state, observation) pairs.

Observation and mask of an imagined step are read off the same sampled state, so that they never contradict each other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modules.world_models.layout import ObsBlocks, StateLayout
from modules.world_models.trunks import mlp


class ViewDecoder(nn.Module):
    """Common part of the decoders: losses and the legality of decoded masks. Subclasses give `forward`."""

    def __init__(self, layout: StateLayout, obs_dim: int) -> None:
        super().__init__()
        self.layout, self.obs_dim = layout, obs_dim

    def legal(self, avail_logits: Tensor, alive: Tensor) -> Tensor:
        """Most likely legal mask: logits [N, n, A], alive [N, n] -> bool [N, n, A]; never a row without an action.

        Where the state has units, the first action is the no-op: available if and only if the agent is dead.
        """
        first = 1 if self.layout.has_units else 0
        best = avail_logits[..., first:].argmax(-1, keepdim=True) + first
        avail = (avail_logits > 0).scatter(-1, best, True)
        if self.layout.has_units:
            no_op = F.one_hot(torch.zeros_like(alive, dtype=torch.long), avail.shape[-1]).bool()
            avail = torch.where(alive.unsqueeze(-1), avail & ~no_op, no_op)
        return avail


class FlatDecoder(ViewDecoder):
    """One MLP from the whole state and the agent's id; for states without units."""

    def __init__(self, layout: StateLayout, obs_dim: int, hidden: int) -> None:
        super().__init__(layout, obs_dim)
        state_size = layout.n_tokens * layout.n_features
        self.net = mlp(
            [state_size + layout.n_agents, hidden, hidden, obs_dim + layout.n_actions], final_activation=False
        )

    def forward(self, tokens: Tensor, alive: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised tokens [N, U, F], alive [N, U] -> obs [N, n, d_o], availability logits [N, n, A]."""
        n_rows, n_agents = tokens.shape[0], self.layout.n_agents
        state = tokens.flatten(1).unsqueeze(1).expand(-1, n_agents, -1)
        ids = torch.eye(n_agents, device=tokens.device).expand(n_rows, -1, -1)
        out = self.net(torch.cat([state, ids], dim=-1))
        agent_alive = alive[:, :n_agents] if self.layout.has_units else alive.new_ones(n_rows, n_agents)
        return out[..., : self.obs_dim] * agent_alive.unsqueeze(-1), out[..., self.obs_dim :]

    def loss(self, tokens: Tensor, alive: Tensor, obs: Tensor, avail: Tensor) -> Tensor:
        """Mean squared error of observations plus cross-entropy of availability, over all agents."""
        obs_hat, logits = self(tokens, alive)
        return F.mse_loss(obs_hat, obs) + F.binary_cross_entropy_with_logits(logits, avail.float())


class PairDecoder(ViewDecoder):
    """Rows about other units from the pair (agent, unit), the rest from the agent's own token.

    A row is zero where the unit is not seen; whether it is, is a decision of its own, so that decoded rows are either
    complete or absent, as in the game.
    """

    others: Tensor

    def __init__(self, layout: StateLayout, blocks: ObsBlocks, hidden: int) -> None:
        super().__init__(layout, blocks.size)
        n_agents, n_features = layout.n_agents, layout.n_features
        self.blocks = blocks
        self.n_own_actions = layout.n_actions - layout.n_target_actions
        pair_size = 2 * n_features + 1
        # row values, is it seen, can it be targeted
        self.enemy = mlp([pair_size, hidden, hidden, blocks.enemy_rows[1] + 2], final_activation=False)
        self.ally = mlp([pair_size, hidden, hidden, blocks.ally_rows[1] + 1], final_activation=False)
        own_size = blocks.before + blocks.after + self.n_own_actions
        self.own = mlp([n_features, hidden, hidden, own_size], final_activation=False)
        # can it be healed; of agents by healers, whose target actions name agents
        self.heal = mlp([pair_size, hidden, hidden, 1], final_activation=False) if layout.healers else None
        others = [[j for j in range(n_agents) if j != i] for i in range(n_agents)]
        self.register_buffer("others", torch.tensor(others, dtype=torch.long).reshape(n_agents, -1), persistent=False)

    def forward(self, tokens: Tensor, alive: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised tokens [N, U, F], alive [N, U] -> obs [N, n, d_o], availability logits [N, n, A]."""
        own, enemy, ally = self._parts(tokens, alive)
        before, after, own_logits = self._split_own(own)
        enemy_seen, ally_seen = self._possible(alive)
        enemy_rows = enemy[..., :-2] * ((enemy[..., -2:-1] > 0) & enemy_seen.unsqueeze(-1))
        ally_rows = ally[..., :-1] * ((ally[..., -1:] > 0) & ally_seen.unsqueeze(-1))
        obs = torch.cat([before, enemy_rows.flatten(2), ally_rows.flatten(2), after], dim=-1)
        agent_alive = alive[:, : self.layout.n_agents].unsqueeze(-1)
        target_logits, possible = self._target_logits(tokens, enemy[..., -1], alive)
        target_logits = target_logits.masked_fill(~possible, -20.0)
        return obs * agent_alive, torch.cat([own_logits, target_logits], dim=-1)

    def loss(self, tokens: Tensor, alive: Tensor, obs: Tensor, avail: Tensor) -> Tensor:
        """Squared error of what is seen plus cross-entropies of seeing and availability, over the living."""
        own, enemy, ally = self._parts(tokens, alive)
        before, after, own_logits = self._split_own(own)
        n_rows, n_agents = obs.shape[:2]
        agent_alive = alive[:, : self.layout.n_agents].float()
        enemy_possible, ally_possible = (possible.float() for possible in self._possible(alive))
        first, last = self.blocks.before, obs.shape[-1] - self.blocks.after
        middle = first + self.blocks.enemy_rows[0] * self.blocks.enemy_rows[1]
        enemy_rows = obs[..., first:middle].reshape(n_rows, n_agents, *self.blocks.enemy_rows)
        ally_rows = obs[..., middle:last].reshape(n_rows, n_agents, *self.blocks.ally_rows)
        own_target = torch.cat([obs[..., :first], obs[..., last:]], dim=-1)
        own_error = (torch.cat([before, after], dim=-1) - own_target).square().mean(-1)
        avail = avail.float()
        own_entropy = F.binary_cross_entropy_with_logits(own_logits, avail[..., : self.n_own_actions], reduction="none")
        target_logits, target_possible = self._target_logits(tokens, enemy[..., -1], alive)
        target_entropy = F.binary_cross_entropy_with_logits(
            target_logits, avail[..., self.n_own_actions :], reduction="none"
        )
        return (
            _mean(own_error + own_entropy.mean(-1), agent_alive)
            + _row_loss(enemy[..., :-2], enemy[..., -2], enemy_rows, enemy_possible)
            + _row_loss(ally[..., :-1], ally[..., -1], ally_rows, ally_possible)
            + _mean(target_entropy, target_possible.float())
        )

    def _parts(self, tokens: Tensor, alive: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of each agent [N, n, .], of its pairs with enemies [N, n, m, .] and with others [N, n, n-1, .].

        Pairs with a dead unit are zeros and cost nothing.
        """
        n_agents = self.layout.n_agents
        agents, enemies = tokens[:, :n_agents], tokens[:, n_agents:]
        with_enemies = self._pairs(agents, enemies.unsqueeze(1).expand(-1, n_agents, -1, -1))
        with_others = self._pairs(agents, agents[:, self.others])
        enemy_possible, ally_possible = self._possible(alive)
        return (
            self.own(agents),
            _of_possible(enemy_possible, with_enemies, self.enemy),
            _of_possible(ally_possible, with_others, self.ally),
        )

    def _target_logits(self, tokens: Tensor, attack: Tensor, alive: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [N, n, m] of the target actions and where agent and target both live; attack [N, n, m]: of attacks."""
        possible = self._possible(alive)[0]
        if self.heal is None:
            return attack, possible
        healers = list(self.layout.healers)
        n_agents, n_targets = self.layout.n_agents, attack.shape[-1]
        agents, named = tokens[:, :n_agents], min(n_agents, n_targets)
        healed = agents[:, :named].unsqueeze(1).expand(-1, len(healers), -1, -1)
        logits, possible = attack.clone(), possible.clone()
        logits[:, healers, :named] = self.heal(self._pairs(agents[:, healers], healed)).squeeze(-1)
        living = alive[:, healers].unsqueeze(2) & alive[:, :named].unsqueeze(1)
        possible[:, healers] = F.pad(living, (0, n_targets - named))
        return logits, possible

    def _pairs(self, agents: Tensor, units: Tensor) -> Tensor:
        difference = units - agents.unsqueeze(2)
        distance = difference[..., self.layout.position_columns].square().sum(-1, keepdim=True).sqrt()
        return torch.cat([units, difference, distance], dim=-1)

    def _split_own(self, own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        before, after = self.blocks.before, self.blocks.after
        return own[..., :before], own[..., before : before + after], own[..., before + after :]

    def _possible(self, alive: Tensor) -> tuple[Tensor, Tensor]:
        """Where both agent and unit live: enemies [N, n, m], other agents [N, n, n-1]."""
        agents, enemies = alive[:, : self.layout.n_agents], alive[:, self.layout.n_agents :]
        return agents.unsqueeze(2) & enemies.unsqueeze(1), agents.unsqueeze(2) & agents[:, self.others]


def make_decoder(layout: StateLayout, obs_dim: int, hidden: int) -> FlatDecoder | PairDecoder:
    """The pairwise decoder where the environment names its observation blocks, else the flat one."""
    if layout.obs_blocks is not None and layout.obs_blocks.size == obs_dim:
        return PairDecoder(layout, layout.obs_blocks, hidden)
    return FlatDecoder(layout, obs_dim, hidden)


def _of_possible(possible: Tensor, inputs: Tensor, network: nn.Module) -> Tensor:
    """The network's outputs [..., out] for the possible (bool [...]) of the inputs [..., in], zeros elsewhere."""
    outputs = network(inputs[possible])
    return outputs.new_zeros(*possible.shape, outputs.shape[-1]).masked_scatter(possible.unsqueeze(-1), outputs)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum().clamp_min(1.0)


def _row_loss(values: Tensor, seen_logit: Tensor, rows: Tensor, possible: Tensor) -> Tensor:
    seen = (rows != 0).any(-1).float()
    error = (values - rows).square().mean(-1)
    entropy = F.binary_cross_entropy_with_logits(seen_logit, seen, reduction="none")
    return _mean(error, seen * possible) + _mean(entropy, possible)

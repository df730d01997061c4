"""Networks between what is known at a step and the features of what comes next.

A trunk turns (tokens, previous tokens, joint action) into one embedding per token. `EntityTrunk` passes messages
between units; `RecurrentTrunk` reads the state as one vector through an MLP and a GRU, as AMAL's paper describes it.
Actions enter after the memory, so that alternatives to the joint action cost the decoder alone.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modules.world_models.layout import StateLayout


def mlp(sizes: list[int], final_activation: bool = True) -> nn.Sequential:
    """Linear layers of the given sizes with SiLU between them (and after the last one)."""
    layers: list[nn.Module] = []
    for index, (n_in, n_out) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(n_in, n_out))
        if final_activation or index < len(sizes) - 2:
            layers.append(nn.SiLU())
    return nn.Sequential(*layers)


class UnitActions(nn.Module):
    """Splits SMAC's joint action into what a unit does by itself and which unit it does it to."""

    def __init__(self, layout: StateLayout) -> None:
        super().__init__()
        self.layout = layout
        self.n_own = layout.n_actions - layout.n_target_actions

    def forward(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Actions [N, n] -> own part one-hot [N, n, n_own + 1] (last column: has a target), target [N, n, m]."""
        one_hot = F.one_hot(actions, self.layout.n_actions).float()
        own, target = one_hot[..., : self.n_own], one_hot[..., self.n_own :]
        return torch.cat([own, target.sum(-1, keepdim=True)], dim=-1), target


class EntityTrunk(nn.Module):
    """Message passing over units: gates decide, pair by pair, how much each unit hears of each other one.

    A gate is a sigmoid of a query-key product and of what relates the two: their differences, their distance, who
    targets whom. Heard values are summed, not averaged, because how many attack a unit matters.
    """

    memory_size = 0

    def __init__(self, layout: StateLayout, hidden: list[int], rounds: int = 2, heads: int = 8) -> None:
        super().__init__()
        width = hidden[-1]
        self.layout, self.rounds, self.heads, self.out_size = layout, rounds, heads, width
        self.split = UnitActions(layout)
        # own features, their last change, alive, team, whether the last change is known, own part of the action
        node_size = 2 * layout.n_features + 3 + self.split.n_own + 1
        # difference of features, distance, i targets j, j targets i
        edge_size = layout.n_features + 3
        self.embed = nn.Linear(node_size, width)
        self.relate = mlp([edge_size, 2 * heads, rounds * heads], final_activation=False)
        self.query_key_value = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(rounds))
        self.update = nn.ModuleList(mlp([2 * width, width, width], final_activation=False) for _ in range(rounds))
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(rounds + 1))

    def forward(self, tokens: Tensor, previous: Tensor, known: Tensor, memory: Tensor, actions: Tensor) -> Tensor:
        """Normalised tokens and previous tokens [N, U, F], known [N], actions [N, n] -> embeddings [N, U, W]."""
        own, target = self.split(actions)
        alive = self.layout.alive(tokens)
        hidden = self.embed(self._nodes(tokens, previous, known, own, alive))
        relations = self._relations(tokens, target)
        for step, relation in enumerate(relations):
            normed = self.norm[step](hidden)
            heard = self._listen(self.query_key_value[step](normed), relation, alive)
            hidden = hidden + self.update[step](torch.cat([normed, heard], dim=-1))
        return self.norm[self.rounds](hidden)

    def _relations(self, tokens: Tensor, target: Tensor) -> list[Tensor]:
        """What relates listener and speaker, for each round [heads N, U, U]: the MLP `relate` of every pair.

        Pairs are columns throughout: turned around only at the end, they would cost more to turn than to compute.
        """
        first, second = (layer for layer in self.relate if isinstance(layer, nn.Linear))
        edges = self._edges(tokens, target)
        hidden = F.silu(torch.addmm(first.bias.unsqueeze(1), first.weight, edges.flatten(1)))
        parts = zip(second.weight.chunk(self.rounds), second.bias.chunk(self.rounds), strict=True)
        return [torch.addmm(bias.unsqueeze(1), weight, hidden).view(-1, *edges.shape[2:]) for weight, bias in parts]

    def _listen(self, query_key_value: Tensor, relation: Tensor, alive: Tensor) -> Tensor:
        """Sum of gated values [N, U, W] from queries, keys, values [N, U, 3 W] and relations [heads N, U, U].

        The dead (alive [N, U]) are not heard.
        """
        n_rows, n_units = alive.shape
        query, key, value = query_key_value.view(n_rows, n_units, 3, self.heads, -1).permute(2, 3, 0, 1, 4)
        value = value * alive.to(value.dtype).unsqueeze(-1)
        query, key, value = (part.flatten(0, 1) for part in (query, key, value))
        if n_units in (6, 7):  # below eight, torch multiplies matrices of this size one number at a time
            absent = 8 - n_units
            query, key, value = (F.pad(part, (0, 0, 0, absent)) for part in (query, key, value))
            relation = F.pad(relation, (0, absent, 0, absent))
        gate = torch.baddbmm(relation, query, key.transpose(1, 2), alpha=key.shape[-1] ** -0.5).sigmoid()
        heard = (gate @ value)[:, :n_units].view(self.heads, n_rows, n_units, -1).permute(1, 2, 0, 3)
        return heard.flatten(2) * n_units**-0.5

    def _nodes(self, tokens: Tensor, previous: Tensor, known: Tensor, own: Tensor, alive: Tensor) -> Tensor:
        n_rows, n_units = alive.shape
        flags = tokens.new_zeros(n_rows, n_units, 3)
        flags[..., 0] = alive
        flags[:, : self.layout.n_agents, 1] = 1
        flags[..., 2] = known.to(tokens.dtype).unsqueeze(-1)
        change = (tokens - previous) * flags[..., 2:]
        padded = tokens.new_zeros(n_rows, n_units, own.shape[-1])
        padded[:, : own.shape[1]] = own
        return torch.cat([tokens, change, flags, padded], dim=-1)

    def _edges(self, tokens: Tensor, target: Tensor) -> Tensor:
        """What relates unit i to unit j [E, N, U, U]."""
        features = tokens.permute(2, 0, 1)
        difference = features.unsqueeze(2) - features.unsqueeze(3)
        targets = self.layout.targets(target).unsqueeze(0)
        distance = difference[self.layout.position_columns].square().sum(0, keepdim=True).sqrt()
        return torch.cat([difference, distance, targets, targets.transpose(2, 3)])


class RecurrentTrunk(nn.Module):
    """Encoder MLP, GRU memory, decoder MLP over the whole state as one vector (AMAL's paper, section 5.4).

    `memory` 0 leaves the GRU out (the small profile).
    """

    def __init__(self, layout: StateLayout, hidden: list[int], memory: int = 256) -> None:
        super().__init__()
        self.layout, self.memory_size = layout, memory
        flat = layout.n_tokens * layout.n_features
        self.encoder = mlp([flat, *hidden])
        self.gru = nn.GRUCell(hidden[-1], memory) if memory else None
        joint_action = layout.n_agents * layout.n_actions
        self.out_size = 64
        self.decoder = mlp([(memory or hidden[-1]) + joint_action, *reversed(hidden)])
        self.expand = nn.Linear(hidden[0], layout.n_tokens * self.out_size)

    def remember(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Memory after seeing normalised tokens [N, U, F]; memory [N, M] -> [N, M]."""
        assert self.gru is not None
        return self.gru(self.encoder(tokens.flatten(1)), memory)

    def forward(self, tokens: Tensor, previous: Tensor, known: Tensor, memory: Tensor, actions: Tensor) -> Tensor:
        """Normalised tokens [N, U, F], memory after these tokens [N, M], actions [N, n] -> embeddings [N, U, W]."""
        summary = memory if self.gru is not None else self.encoder(tokens.flatten(1))
        one_hot = F.one_hot(actions, self.layout.n_actions).float().flatten(1)
        out = self.expand(self.decoder(torch.cat([summary, one_hot], dim=-1)))
        return out.reshape(out.shape[0], self.layout.n_tokens, self.out_size)

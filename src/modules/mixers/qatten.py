"""Qatten: attention over agents, several heads, weighted by the state (Yang et al., 2020)."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from modules.mixers.hypernet import mlp, state_size
from utils.errors import UserError, nearest

TYPES = ("weighted", "plain")


class QattenMixer(nn.Module):
    """Q_tot = c(s) + sum_h w_h(s) sum_i lambda_hi(s) Q_i with lambda_h = softmax over agents and w_h >= 0.

    The attention's keys are made of the agents' own parts of the state, with which it begins (`own_state_size`); where
    it has no such parts, each agent has a key of its own. Reads, with the paper's values where they are missing,
    `n_attention_head`, `n_query_embedding_layer1`, `n_query_embedding_layer2`, `n_head_embedding_layer1`,
    `n_constrant_value` and `type` ("weighted", or "plain": heads count 1). `n_key_embedding_layer1` and
    `n_head_embedding_layer2` are bound to the query's size and the number of heads.
    """

    numbers: Tensor

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        self.args = args
        self.n_agents: int = args.n_agents
        self.state_dim = state_size(args)
        self.own_size = own_state_size(args)
        self.register_buffer("numbers", torch.eye(self.n_agents), persistent=False)
        self.n_heads: int = getattr(args, "n_attention_head", 4)
        self.key_size: int = getattr(args, "n_query_embedding_layer2", 32)
        query_hidden = getattr(args, "n_query_embedding_layer1", 64)
        kind: str = getattr(args, "type", "weighted")
        if kind not in TYPES:
            raise UserError(f'Qatten\'s type="{kind}" is not one of {", ".join(TYPES)}.{nearest(kind, TYPES)}')
        self.is_weighted = kind == "weighted"
        self.queries = nn.ModuleList(mlp(self.state_dim, query_hidden, self.key_size) for _ in range(self.n_heads))
        self.keys = nn.ModuleList(nn.Linear(self.own_size or self.n_agents, self.key_size) for _ in range(self.n_heads))
        self.head_weights = mlp(self.state_dim, getattr(args, "n_head_embedding_layer1", 64), self.n_heads)
        self.constant = mlp(self.state_dim, getattr(args, "n_constrant_value", 32), 1)

    def forward(self, agent_qs: Tensor, states: Tensor) -> Tensor:
        """[B, T, 1] from `agent_qs` [B, T, n] and `states` [B, T, d]."""
        n_batch, n_steps, _ = agent_qs.shape
        states = states.reshape(-1, self.state_dim)
        qs = agent_qs.reshape(-1, self.n_agents)
        heads = (self.attention(states) * qs.unsqueeze(1)).sum(-1)
        if self.is_weighted:
            heads = heads * self.head_weights(states).abs()
        return (heads.sum(-1, keepdim=True) + self.constant(states)).view(n_batch, n_steps, 1)

    def attention(self, states: Tensor) -> Tensor:
        """Weights lambda [N, heads, n] of the agents in `states` [N, d]; they sum to 1 over the agents."""
        if self.own_size:
            units = states[:, : self.n_agents * self.own_size].reshape(-1, self.n_agents, self.own_size)
        else:
            units = self.numbers.expand(len(states), -1, -1)
        scores = [torch.einsum("nd,nad->na", query(states), key(units)) for query, key in zip(self.queries, self.keys)]
        return (torch.stack(scores, dim=1) / self.key_size**0.5).softmax(-1)


def own_state_size(args: SimpleNamespace) -> int:
    """Numbers of each agent's own part of the state, with which the state begins; 0 where it has no such parts.

    The agents' rows of SMAC's state (`agent_features`), or whole observations where the state is all of them in a row.
    """
    info = getattr(args, "env_info", {})
    if state_size(args) == args.n_agents * int(np.prod(info.get("obs_shape", 0))):
        return int(np.prod(info["obs_shape"]))
    return len(info.get("agent_features", ()))

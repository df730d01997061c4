"""Qatten: attention over agents, several heads, weighted by the state (Yang et al., 2020)."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from modules.mixers.hypernet import mlp, state_size


class QattenMixer(nn.Module):
    """Q_tot = c(s) + sum_h w_h(s) sum_i lambda_hi(s) Q_i with lambda_h = softmax over agents and w_h >= 0.

    The keys are the agents' own parts of the state: its first `n_agents * agent_own_state_size` numbers, as in SMAC;
    where the size is not given, the state counts as `n_agents` equal parts. Other keys, with the paper's values where
    they are missing: `n_attention_head`, `n_query_embedding_layer1`, `n_query_embedding_layer2`,
    `n_head_embedding_layer1`, `n_constrant_value` and `type` ("weighted", else heads count 1).
    `n_key_embedding_layer1` and `n_head_embedding_layer2` are bound to the query's size and the number of heads.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        self.args = args
        self.n_agents: int = args.n_agents
        self.state_dim = state_size(args)
        own_size = getattr(args, "agent_own_state_size", None) or getattr(args, "unit_dim", None)
        self.unit_dim = int(own_size or self.state_dim // self.n_agents)
        if not 0 < self.unit_dim * self.n_agents <= self.state_dim:
            raise ValueError(
                f"a state of {self.state_dim} numbers has no part of {self.unit_dim} for each of {self.n_agents} agents"
            )
        self.n_heads: int = getattr(args, "n_attention_head", 4)
        self.key_size: int = getattr(args, "n_query_embedding_layer2", 32)
        query_hidden = getattr(args, "n_query_embedding_layer1", 64)
        self.is_weighted = getattr(args, "type", "weighted") == "weighted"
        self.queries = nn.ModuleList(mlp(self.state_dim, query_hidden, self.key_size) for _ in range(self.n_heads))
        self.keys = nn.ModuleList(nn.Linear(self.unit_dim, self.key_size) for _ in range(self.n_heads))
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
        units = states[:, : self.n_agents * self.unit_dim].reshape(-1, self.n_agents, self.unit_dim)
        scores = [torch.einsum("nd,nad->na", query(states), key(units)) for query, key in zip(self.queries, self.keys)]
        return (torch.stack(scores, dim=1) / self.key_size**0.5).softmax(-1)

"""WQMIX's unrestricted joint value: a plain network over state and agents' values (Rashid et al., 2020)."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from modules.mixers.hypernet import mlp, state_size


class CentralMixer(nn.Module):
    """Q*(s, q_1..q_n) = f(s, q) + V(s), neither monotonic nor factored.

    Reads `n_agents`, `state_shape`, `central_mixing_embed_dim` (width of f's three hidden layers and V's one).
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        self.state_dim = state_size(args)
        width: int = args.central_mixing_embed_dim
        self.net = mlp(self.state_dim + args.n_agents, width, width, width, 1)
        self.V = mlp(self.state_dim, width, 1)

    def forward(self, agent_qs: Tensor, states: Tensor) -> Tensor:
        """[B, T, 1] from `agent_qs` [B, T, n] and `states` [B, T, d]."""
        states = states.flatten(2)
        value: Tensor = self.net(torch.cat((states, agent_qs), dim=-1)) + self.V(states)
        return value

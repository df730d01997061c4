"""QMIX as in PyMARL: one-layer hypernetworks by default (Rashid et al., 2018)."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor, nn

from modules.mixers.hypernet import mix, mlp, state_size


class QMixer(nn.Module):
    """Monotonic two-layer mixing whose weights are functions of the state.

    Reads `n_agents`, `state_shape`, `mixing_embed_dim`, `hypernet_layers` (1 or 2) and, with 2, `hypernet_embed`.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        self.args = args
        self.n_agents: int = args.n_agents
        self.state_dim = state_size(args)
        self.embed_dim: int = args.mixing_embed_dim
        n_layers = getattr(args, "hypernet_layers", 1)
        if n_layers not in (1, 2):
            raise ValueError(f"hypernet_layers must be 1 or 2, not {n_layers}")
        n_weights = self.embed_dim * self.n_agents
        if n_layers == 1:
            self.hyper_w_1: nn.Module = nn.Linear(self.state_dim, n_weights)
            self.hyper_w_final: nn.Module = nn.Linear(self.state_dim, self.embed_dim)
        else:
            self.hyper_w_1 = mlp(self.state_dim, args.hypernet_embed, n_weights)
            self.hyper_w_final = mlp(self.state_dim, args.hypernet_embed, self.embed_dim)
        self.hyper_b_1 = nn.Linear(self.state_dim, self.embed_dim)
        self.V = mlp(self.state_dim, self.embed_dim, 1)

    def forward(self, agent_qs: Tensor, states: Tensor) -> Tensor:
        """[B, T, 1] from `agent_qs` [B, T, n] and `states` [B, T, d]."""
        states = states.reshape(-1, self.state_dim)
        w1, w_final = self.hyper_w_1(states).abs(), self.hyper_w_final(states).abs()
        return mix(agent_qs, w1, self.hyper_b_1(states), w_final, self.V(states))

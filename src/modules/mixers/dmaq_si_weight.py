"""Importance weights of QPLEX's advantages: positive functions of state and joint action (Wang et al., 2021)."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from modules.mixers.hypernet import mlp, state_size


class DMAQ_SI_Weight(nn.Module):
    """lambda_i(s, u) = sum_k key_k(s) sigmoid(agents_ki(s)) sigmoid(action_ki(s, u)), with key_k > 0.

    Reads `n_agents`, `n_actions`, `state_shape`, `num_kernel`, `adv_hypernet_layers` (1 to 3) and
    `adv_hypernet_embed`.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        self.args = args
        self.n_agents: int = args.n_agents
        self.state_dim = state_size(args)
        self.action_dim: int = args.n_agents * args.n_actions
        n_layers = getattr(args, "adv_hypernet_layers", 1)
        if n_layers not in (1, 2, 3):
            raise ValueError(f"adv_hypernet_layers must be 1, 2 or 3, not {n_layers}")
        hidden = [args.adv_hypernet_embed] * (n_layers - 1) if n_layers > 1 else []
        joint_dim = self.state_dim + self.action_dim
        kernels = range(args.num_kernel)
        self.key_extractors = nn.ModuleList(mlp(self.state_dim, *hidden, 1) for _ in kernels)
        self.agents_extractors = nn.ModuleList(mlp(self.state_dim, *hidden, self.n_agents) for _ in kernels)
        self.action_extractors = nn.ModuleList(mlp(joint_dim, *hidden, self.n_agents) for _ in kernels)

    def forward(self, states: Tensor, actions: Tensor) -> Tensor:
        """Weights [N, n] for `states` [..., d] and one-hot joint `actions` [..., n, A] of N rows in all."""
        states = states.reshape(-1, self.state_dim)
        joint = torch.cat((states, actions.reshape(-1, self.action_dim)), dim=-1)
        weights = torch.zeros(len(states), self.n_agents, device=states.device)
        for key, agents, action in zip(self.key_extractors, self.agents_extractors, self.action_extractors):
            positive_key = key(states).abs() + 1e-10
            weights = weights + positive_key * agents(states).sigmoid() * action(joint).sigmoid()
        return weights

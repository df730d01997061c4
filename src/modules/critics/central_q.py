"""The central critic of MADDPG and MASAC: Q of the state and of what all agents do (Lowe et al. 2017)."""

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from modules.recurrent_trunk import mlp, orthogonal_linear


class CentralQ(nn.Module):
    """`n_critics` networks of layers (no memory), each with a value of its own for the team's joint action.

    Reads `state_shape`, `n_agents`, `n_actions`, `critic_layers`, `layer_norm` and
    `n_critics`.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        size = int(args.state_shape) + args.n_agents * args.n_actions
        layers, norm = args.critic_layers, args.layer_norm
        self.critics = nn.ModuleList(
            nn.Sequential(*mlp(size, layers, norm, norm), orthogonal_linear([size, *layers][-1], 1))
            for _ in range(args.n_critics)
        )

    def forward(self, state: Tensor, actions: Tensor) -> Tensor:
        """Values [..., n_critics] of state [..., ds] and action vectors [..., n, A]."""
        inputs = torch.cat((state, actions.flatten(-2)), dim=-1)
        return torch.cat([critic(inputs) for critic in self.critics], dim=-1)

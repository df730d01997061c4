"""Mixing for states that are the agents' observations one after the other: attention, mean over agents, QMIX."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor, nn

from modules.mixers.hypernet import mix, mlp, state_size
from utils.th_utils import orthogonal_init_


class MeanMixer(nn.Module):
    """Monotonic two-layer mixing by the mean of the attended observations (PyMARL2).

    Reads `n_agents`, `state_shape` (n_agents times an observation), `mixing_embed_dim`, `hypernet_embed`,
    `att_heads`, `att_embed_dim` (per head) and, if it is there, `use_orthogonal`.
    """

    def __init__(self, args: SimpleNamespace, abs: bool = True) -> None:
        super().__init__()
        self.args = args
        self.abs = abs
        self.n_agents: int = args.n_agents
        self.obs_dim = state_size(args) // self.n_agents
        width = args.att_heads * args.att_embed_dim
        embed = args.mixing_embed_dim
        self.hyper_w1 = mlp(width, args.hypernet_embed, self.n_agents * embed)
        self.hyper_b1 = nn.Linear(width, embed)
        self.hyper_w2 = mlp(width, args.hypernet_embed, embed)
        self.hyper_b2 = mlp(width, embed, 1)
        if getattr(args, "use_orthogonal", False):
            self.apply(orthogonal_init_)
        self.embedding = nn.Linear(self.obs_dim, width)
        self.attention = nn.MultiheadAttention(width, args.att_heads, batch_first=True)

    def forward(self, qvals: Tensor, states: Tensor) -> Tensor:
        """[B, T, 1] from `qvals` [B, T, n] and `states` [B, T, n d]."""
        units = self.embedding(states.reshape(-1, self.n_agents, self.obs_dim))
        context = self.attention(units, units, units, need_weights=False)[0].mean(1).relu()
        w1, w2 = self.hyper_w1(context), self.hyper_w2(context)
        if self.abs:
            w1, w2 = w1.abs(), w2.abs()
        return mix(qvals, w1, self.hyper_b1(context), w2, self.hyper_b2(context))

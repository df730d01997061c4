"""QMIX as PyMARL2 tunes it: two-layer hypernetworks, choice of what keeps the weights positive."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor, nn
from torch.nn import functional as F

from modules.mixers.hypernet import mix, mlp, state_size
from utils.th_utils import orthogonal_init_


class Mixer(nn.Module):
    """Two-layer mixing; monotonic unless `abs` is False.

    Reads `n_agents`, `state_shape`, `mixing_embed_dim`, `hypernet_embed`, and if they are there `qmix_pos_func`
    ("abs", "softplus" with `qmix_pos_func_beta`, or "quadratic") and `use_orthogonal`.
    """

    def __init__(self, args: SimpleNamespace, abs: bool = True) -> None:
        super().__init__()
        self.args = args
        self.abs = abs
        self.n_agents: int = args.n_agents
        self.embed_dim: int = args.mixing_embed_dim
        self.input_dim = self.state_dim = state_size(args)
        self.pos_func_name: str = getattr(args, "qmix_pos_func", "abs")
        if self.pos_func_name not in ("abs", "softplus", "quadratic"):
            raise ValueError(f'qmix_pos_func must be abs, softplus or quadratic, not "{self.pos_func_name}"')
        self.hyper_w1 = mlp(self.input_dim, args.hypernet_embed, self.n_agents * self.embed_dim)
        self.hyper_b1 = nn.Sequential(nn.Linear(self.input_dim, self.embed_dim))
        self.hyper_w2 = mlp(self.input_dim, args.hypernet_embed, self.embed_dim)
        self.hyper_b2 = mlp(self.input_dim, self.embed_dim, 1)
        if getattr(args, "use_orthogonal", False):
            self.apply(orthogonal_init_)

    def forward(self, qvals: Tensor, states: Tensor) -> Tensor:
        """[B, T, 1] from `qvals` [B, T, n] and `states` [B, T, d]."""
        states = states.reshape(-1, self.state_dim)
        w1, w2 = self.hyper_w1(states), self.hyper_w2(states)
        if self.abs:
            w1, w2 = self.pos_func(w1), self.pos_func(w2)
        return mix(qvals, w1, self.hyper_b1(states), w2, self.hyper_b2(states))

    def pos_func(self, x: Tensor) -> Tensor:
        """A non-negative function of the weights `x`."""
        if self.pos_func_name == "softplus":
            return F.softplus(x, beta=getattr(self.args, "qmix_pos_func_beta", 1.0))
        if self.pos_func_name == "quadratic":
            return 0.5 * x**2
        return x.abs()

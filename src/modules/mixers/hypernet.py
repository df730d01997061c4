"""Parts that mixers share: small networks over the state, and the two-layer mixing that they parametrise."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F


def state_size(args: SimpleNamespace) -> int:
    """Numbers in one global state."""
    return int(np.prod(args.state_shape))


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers of the given sizes with ReLU between them."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def mix(agent_qs: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """elu(q w1 + b1) w2 + b2 for every row: `agent_qs` [B, T, n], `w1` [BT, n E], `b1`, `w2` [BT, E], `b2` [BT, 1].

    Returns [B, T, 1], monotonic in `agent_qs` if no weight is negative.
    """
    n_batch, n_steps, n_agents = agent_qs.shape
    qs = agent_qs.reshape(-1, 1, n_agents)
    hidden = F.elu(qs @ w1.view(len(qs), n_agents, -1) + b1.unsqueeze(1))
    return (hidden @ w2.unsqueeze(-1) + b2.unsqueeze(1)).view(n_batch, n_steps, 1)

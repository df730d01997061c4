"""Small torch helpers under PyMARL2's names: counting parameters, initialisation, clipping."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


def get_parameters_num(param_list: Iterable[Tensor]) -> str:
    """Number of parameters in thousands, as text: "12.345K"."""
    return f"{sum(p.numel() for p in param_list) / 1000}K"


def init(
    module: nn.Module, weight_init: Callable[..., object], bias_init: Callable[..., object], gain: float = 1
) -> nn.Module:
    """Initialise `module.weight` (with `gain`) and `module.bias`, if there is one; returns the module."""
    weight_init(module.weight.data, gain=gain)
    if module.bias is not None:
        bias_init(module.bias.data)
    return module


def orthogonal_init_(m: nn.Module, gain: float = 1) -> None:
    """Orthogonal weights and zero biases if `m` is linear or a GRU; made for `module.apply(orthogonal_init_)`."""
    if isinstance(m, nn.Linear):
        init(m, nn.init.orthogonal_, nn.init.zeros_, gain=gain)
    elif isinstance(m, (nn.GRU, nn.GRUCell)):
        for name, parameter in m.named_parameters():
            if "weight" in name:
                nn.init.orthogonal_(parameter.data)
            else:
                nn.init.zeros_(parameter.data)


def clip_by_tensor(t: Tensor, t_min: Tensor, t_max: Tensor) -> Tensor:
    """`t` as float, held elementwise between `t_min` and `t_max`; where these cross, `t_max` wins."""
    return torch.minimum(torch.maximum(t.float(), t_min.float()), t_max.float())

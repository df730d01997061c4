"""torch's Adam and RMSprop without torch's compiler.

The first optimizer that a process makes imports `torch._dynamo`, to mark its methods as not to be compiled: more than a
CPU-second and a hundred MiB at the start of every run, for a compiler that nothing here uses. These classes have the
same methods without that mark. Same arithmetic, same `state_dict`; `differentiable` is not for them.
"""

from inspect import unwrap
from typing import Any

import torch
from torch.optim import Optimizer


class _Unmarked(Optimizer):
    add_param_group: Any = unwrap(Optimizer.add_param_group)
    zero_grad: Any = unwrap(Optimizer.zero_grad)
    state_dict: Any = unwrap(Optimizer.state_dict)
    load_state_dict: Any = unwrap(Optimizer.load_state_dict)


class Adam(_Unmarked, torch.optim.Adam):
    """torch's Adam."""

    step: Any = torch.no_grad()(unwrap(torch.optim.Adam.step))


class RMSprop(_Unmarked, torch.optim.RMSprop):
    """torch's RMSprop."""

    step: Any = torch.no_grad()(unwrap(torch.optim.RMSprop.step))

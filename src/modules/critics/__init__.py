"""Critic networks by the name that `critic_type:` gives in a config; each is called as `critic(scheme, args)`."""

from collections.abc import Callable
from typing import Any

from torch import nn

from modules.critics.centralv import CentralVCritic
from modules.critics.coma import COMACritic
from modules.critics.non_shared import NonSharedCritic
from modules.critics.ppo_critic import PPOCritic

REGISTRY: dict[str, Callable[..., nn.Module] | Any] = {
    "cv_critic": CentralVCritic,
    "centralv": CentralVCritic,
    "coma_critic": COMACritic,
    "ppo_critic": PPOCritic,
    "ppo_critic_ns": NonSharedCritic,
}

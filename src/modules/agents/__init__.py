"""Agent networks by the name that `agent:` gives in a config; each is called as `agent(input_shape, args)`."""

from collections.abc import Callable
from typing import Any

from torch import nn

from modules.agents.attention_agent import AttentionAgent
from modules.agents.ff_agent import FFAgent
from modules.agents.n_rnn_agent import NRNNAgent
from modules.agents.ppo_rnn_agent import PPORNNAgent, PPORNNValueAgent
from modules.agents.rnn_agent import RNNAgent

REGISTRY: dict[str, Callable[..., nn.Module] | Any] = {
    "rnn": RNNAgent,
    "n_rnn": NRNNAgent,
    "ppo_rnn": PPORNNAgent,
    "ppo_rnn_value": PPORNNValueAgent,
    "ff": FFAgent,
    "attention": AttentionAgent,
}


def memoryless(agent: Any) -> bool:
    """Whether an agent's outputs depend on the present step alone, as its network says by `recurrent = False`."""
    return not any(getattr(network, "recurrent", True) for network in getattr(agent, "agents", [agent]))

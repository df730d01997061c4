"""Run an agent network over whole sequences, however much of that it offers by itself."""

from typing import Any

import torch
from torch import Tensor


def takes_agent_axis(agent: Any, n_agents: int, input_size: int) -> bool:
    """Whether the network's step takes [B, n, d], as PyMARL2's agents do, or only rows [B * n, d], as PyMARL's.

    Asked of the network itself, by a call with zeros.
    """
    like = next(agent.parameters())
    hidden = agent.init_hidden()
    hidden = None if hidden is None else hidden.unsqueeze(0).expand(2, n_agents, -1)
    try:
        with torch.no_grad():
            agent(like.new_zeros(2, n_agents, input_size), hidden)
    except (RuntimeError, ValueError, IndexError):
        return False
    return True


def unroll(agent: Any, inputs: Tensor, hidden: Tensor | None = None, agent_axis: bool = True) -> tuple[Tensor, Tensor]:
    """Outputs of `agent` over sequences: one fused call where it has `forward_sequence`, else a step at a time.

    Args:
        inputs: [B, T, n, d].
        hidden: [B, n, H], or None for that of a fresh episode.
        agent_axis: the agent's step takes [B, n, d] and not rows [B * n, d].
    Returns: outputs [B, T, n, out] and the last hidden state [B, n, H].
    """
    if hasattr(agent, "forward_sequence"):
        return agent.forward_sequence(inputs, hidden)
    batch, time, n_agents, width = inputs.shape
    if hidden is None:
        hidden = agent.init_hidden().unsqueeze(0).expand(batch, n_agents, -1)
    outputs = []
    for t in range(time):
        rows = inputs[:, t] if agent_axis else inputs[:, t].reshape(batch * n_agents, width)
        out, hidden = agent(rows, hidden)
        outputs.append(out.reshape(batch, n_agents, -1))
    assert hidden is not None
    return torch.stack(outputs, dim=1), hidden.reshape(batch, n_agents, -1)

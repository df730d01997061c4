"""Run an agent network over whole sequences, however much of that it offers by itself."""

from typing import Any

import torch
from torch import Tensor


def unroll(agent: Any, inputs: Tensor, hidden: Tensor | None = None, agent_axis: bool = False) -> tuple[Tensor, Tensor]:
    """Outputs of `agent` over sequences.

    One fused call where the agent has `forward_sequence`; else PyMARL's way, a step at a time.

    Args:
        inputs: [B, T, n, d].
        hidden: [B, n, H], or None for the hidden state of a fresh episode.
        agent_axis: the agent's step takes [B, n, d] (PyMARL2's `n_` agents) and not rows [B * n, d].
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

"""One network per agent, in the place of the one that all agents share."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from modules.unroll import unroll


class NonSharedAgents(nn.Module):
    """n networks of the same kind, each with parameters of its own.

    make: called as `make(input_shape, args)` for each of the `args.n_agents` networks.
    """

    def __init__(self, make: Callable[[int, SimpleNamespace], nn.Module], input_shape: int, args: Any) -> None:
        super().__init__()
        self.args = args
        self.agents = nn.ModuleList(make(input_shape, args) for _ in range(args.n_agents))

    def init_hidden(self) -> Tensor | None:
        """Hidden state of a fresh episode, [1, H]; the same for all."""
        first: Any = self.agents[0]
        hidden: Tensor | None = first.init_hidden()
        return hidden

    def forward(self, inputs: Tensor, hidden_state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """One step: inputs [B, n, d], hidden [B, n, H] -> outputs [B, n, A] and the next hidden state [B, n, H]."""
        outputs, states = [], []
        for i, agent in enumerate(self.agents):
            output, state = agent(inputs[:, i], None if hidden_state is None else hidden_state[:, i])
            outputs.append(output.view(len(inputs), -1))
            states.append(state)
        return torch.stack(outputs, 1), None if states[0] is None else torch.stack(states, 1)

    def forward_sequence(self, inputs: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Whole sequences: inputs [B, T, n, d], hidden [B, n, H] or None -> outputs [B, T, n, A], hidden [B, n, H]."""
        results = [
            unroll(agent, inputs[:, :, i : i + 1], None if hidden is None else hidden[:, i : i + 1], agent_axis=False)
            for i, agent in enumerate(self.agents)
        ]
        return torch.cat([output for output, _ in results], 2), torch.cat([state for _, state in results], 1)

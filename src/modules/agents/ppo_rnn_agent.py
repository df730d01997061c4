"""MAPPO's actor: the recurrent trunk and a policy head of small gain, which starts near the uniform policy."""

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from modules.recurrent_trunk import RecurrentTrunk, orthogonal_linear


class PPORNNAgent(nn.Module):
    """Recurrent policy shared by all agents.

    Reads `args.hidden_layers`, `args.rnn_hidden_dim`, `args.n_actions` and `args.policy_gain` (0.01 if not given).
    """

    def __init__(self, input_shape: int, args: SimpleNamespace) -> None:
        super().__init__()
        self.args = args
        layers = getattr(args, "hidden_layers", [args.rnn_hidden_dim] * 2)
        self.trunk = RecurrentTrunk(input_shape, layers, args.rnn_hidden_dim)
        self.head = orthogonal_linear(self.trunk.output_size, args.n_actions, getattr(args, "policy_gain", 0.01))

    def init_hidden(self) -> Tensor:
        """Hidden state of a fresh episode, [1, H]."""
        return self.head.weight.new_zeros(1, self.trunk.rnn_size)

    def forward(self, inputs: Tensor, hidden_state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: inputs [..., d], hidden [..., H] -> logits [..., A] and the next hidden state [..., H]."""
        lead = inputs.shape[:-1]
        rows = inputs.flatten(0, -2)
        hidden = hidden_state.reshape(len(rows), self.trunk.rnn_size)
        features, hidden = self.trunk.step(rows, hidden)
        return self.head(features).view(*lead, -1), hidden.view(*lead, self.trunk.rnn_size)

    def forward_sequence(self, inputs: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Whole sequences: inputs [B, T, n, d], hidden [B, n, H] or None -> logits [B, T, n, A], hidden [B, n, H]."""
        features, last = self.features_sequence(inputs, hidden)
        return self.head(features), last

    def features_sequence(self, inputs: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As `forward_sequence`, but what the head reads: [B, T, n, out]."""
        batch, time, n_agents, width = inputs.shape
        rows = inputs.transpose(0, 1).reshape(time, batch * n_agents, width)
        start = None if hidden is None else hidden.reshape(batch * n_agents, self.trunk.rnn_size)
        features, last = self.trunk.sequence(rows, start)
        return features.view(time, batch, n_agents, -1).transpose(0, 1), last.view(batch, n_agents, self.trunk.rnn_size)

    def forward_packed(self, inputs: Tensor, batch_sizes: list[int], hidden: Tensor | None = None) -> Tensor:
        """Ragged sequences of single agents: inputs [R, d], batch_sizes [T], hidden [S, H] or None -> logits [R, A]."""
        return self.head(self.trunk.packed(inputs, batch_sizes, hidden))


class PPORNNValueAgent(PPORNNAgent):
    """The same with a value head beside the policy head, for learners that distil a critic into the policy network."""

    def __init__(self, input_shape: int, args: SimpleNamespace) -> None:
        super().__init__(input_shape, args)
        self.value_head = orthogonal_linear(self.trunk.output_size, 1)

    def policy_and_value_packed(self, inputs: Tensor, batch_sizes: list[int], hidden: Tensor | None = None) -> Tensor:
        """As `forward_packed`, but logits and, in the last column, values: [R, A + 1]."""
        features = self.trunk.packed(inputs, batch_sizes, hidden)
        return torch.cat([self.head(features), self.value_head(features)], dim=-1)

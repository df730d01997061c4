"""PyMARL's recurrent agent: Linear, ReLU, GRU, Linear."""

from types import SimpleNamespace

import torch.nn.functional as F
from torch import Tensor, nn

from modules.packed_gru import gru_rows


class RNNAgent(nn.Module):
    """Recurrent network over rows of single agents.

    The GRU's parameters are those of `nn.GRUCell`, so that PyMARL's saved agents load; whole sequences run on
    the same parameters.
    """

    def __init__(self, input_shape: int, args: SimpleNamespace) -> None:
        super().__init__()
        self.args = args
        self.fc1 = nn.Linear(input_shape, args.rnn_hidden_dim)
        self.rnn = nn.GRUCell(args.rnn_hidden_dim, args.rnn_hidden_dim)
        self.fc2 = nn.Linear(args.rnn_hidden_dim, args.n_actions)

    def init_hidden(self) -> Tensor:
        """Hidden state of a fresh episode, [1, H]."""
        return self.fc1.weight.new_zeros(1, self.args.rnn_hidden_dim)

    def forward(self, inputs: Tensor, hidden_state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: inputs [..., d], hidden [..., H] -> outputs [..., A] and the next hidden state [..., H]."""
        lead = inputs.shape[:-1]
        hidden = self.rnn(self.embed(inputs.flatten(0, -2)), hidden_state.reshape(-1, self.args.rnn_hidden_dim))
        return self.readout(hidden).view(*lead, -1), hidden.view(*lead, -1)

    def forward_sequence(self, inputs: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Whole sequences: inputs [B, T, n, d], hidden [B, n, H] or None -> outputs [B, T, n, A], hidden [B, n, H]."""
        features, last = self.features_sequence(inputs, hidden)
        return self.readout(features), last

    def features_sequence(self, inputs: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As `forward_sequence`, but the hidden states [B, T, n, H] that `readout` turns into outputs."""
        batch, time, n_agents, width = inputs.shape
        n_sequences = batch * n_agents
        start = None if hidden is None else hidden.reshape(n_sequences, -1)
        rows = self._memories(inputs.transpose(0, 1).reshape(-1, width), [n_sequences] * time, start)
        outputs = rows.view(time, batch, n_agents, -1)
        return outputs.transpose(0, 1), outputs[-1]

    def forward_packed(self, inputs: Tensor, batch_sizes: list[int], hidden: Tensor | None = None) -> Tensor:
        """Ragged sequences of single agents: inputs [R, d], batch_sizes [T], hidden [S, H] or None -> [R, A]."""
        return self.readout(self._memories(inputs, batch_sizes, hidden))

    def embed(self, inputs: Tensor) -> Tensor:
        """What the GRU reads [R, H] of inputs [R, d]."""
        return F.relu(self.fc1(inputs))

    def readout(self, hidden: Tensor) -> Tensor:
        """Outputs [..., A] from hidden states [..., H]."""
        return self.fc2(hidden)

    def _memories(self, inputs: Tensor, batch_sizes: list[int], hidden: Tensor | None) -> Tensor:
        """Hidden states [R, H] after each step of packed sequences."""
        start = inputs.new_zeros(batch_sizes[0], self.args.rnn_hidden_dim) if hidden is None else hidden
        weights = (self.rnn.weight_ih, self.rnn.weight_hh, self.rnn.bias_ih, self.rnn.bias_hh)
        return gru_rows(self.embed(inputs), start, weights, batch_sizes)

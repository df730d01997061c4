"""PyMARL2's agent for `n_mac`: the recurrent agent fed with [batch, agents, inputs], optional LayerNorm and orthogonal start."""

from types import SimpleNamespace

import torch.nn.functional as F
from torch import Tensor, nn

from modules.agents.rnn_agent import RNNAgent


class NRNNAgent(RNNAgent):
    """Recurrent agent over [B, n, d]; reads `use_layer_norm` and `use_orthogonal` (with `gain`), both off if not given."""

    def __init__(self, input_shape: int, args: SimpleNamespace) -> None:
        super().__init__(input_shape, args)
        self.layer_norm = nn.LayerNorm(args.rnn_hidden_dim) if getattr(args, "use_layer_norm", False) else nn.Identity()
        if getattr(args, "use_orthogonal", False):
            nn.init.orthogonal_(self.fc1.weight)
            nn.init.orthogonal_(self.fc2.weight, getattr(args, "gain", 0.01))

    def forward(self, inputs: Tensor, hidden_state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: inputs [B, n, d], hidden [B, n, H] -> outputs [B, n, A], hidden [B, n, H]."""
        batch, n_agents, width = inputs.shape
        features = F.relu(self.fc1(inputs.reshape(-1, width)), inplace=True)
        hidden = self.rnn(features, hidden_state.reshape(-1, self.args.rnn_hidden_dim))
        return self._readout(hidden).view(batch, n_agents, -1), hidden.view(batch, n_agents, -1)

    def _readout(self, hidden: Tensor) -> Tensor:
        return self.fc2(self.layer_norm(hidden))

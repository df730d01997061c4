"""The body that MAPPO's actors and critics share: normalised inputs, a few layers, a GRU.

Inputs -> LayerNorm -> (Linear, ReLU, LayerNorm) per entry of `hidden_layers` -> GRU -> LayerNorm, orthogonal weights
(Yu et al. 2022, "The Surprising Effectiveness of PPO in Cooperative Multi-Agent Games", appendix).
The GRU always runs over whole sequences; ragged ones come packed, so that no padded step is ever computed.
On the CPU `gru_rows` does nn.GRU's arithmetic in less time.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from modules.packed_gru import gru_rows


def orthogonal_linear(in_features: int, out_features: int, gain: float = 1.0) -> nn.Linear:
    """Linear layer with orthogonal weights of the given gain and zero bias."""
    layer = nn.Linear(in_features, out_features)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def mlp(in_features: int, sizes: Sequence[int], input_norm: bool = True, layer_norm: bool = True) -> nn.Sequential:
    """LayerNorm (optional), then Linear, ReLU and LayerNorm (optional) for every size."""
    layers: list[nn.Module] = [nn.LayerNorm(in_features)] if input_norm else []
    for size in sizes:
        layers += [orthogonal_linear(in_features, size, gain=2**0.5), nn.ReLU()]
        if layer_norm:
            layers.append(nn.LayerNorm(size))
        in_features = size
    return nn.Sequential(*layers)


class RecurrentTrunk(nn.Module):
    """Features of single steps or whole sequences.

    Args:
        input_size: width d of an input row.
        hidden_layers: widths of the layers before the GRU.
        rnn_size: width H of the GRU; 0 leaves it out.
        input_norm: normalise the input row first.
    """

    def __init__(self, input_size: int, hidden_layers: Sequence[int], rnn_size: int, input_norm: bool = True) -> None:
        super().__init__()
        self.rnn_size = rnn_size
        self.base = mlp(input_size, hidden_layers, input_norm)
        self.output_size = hidden_layers[-1] if hidden_layers else input_size
        if rnn_size:
            self.rnn = nn.GRU(self.output_size, rnn_size)
            self.norm = nn.LayerNorm(rnn_size)
            self.output_size = rnn_size
            for name, parameter in self.rnn.named_parameters():
                if "bias" in name:
                    nn.init.zeros_(parameter)
                else:
                    nn.init.orthogonal_(parameter)

    def step(self, inputs: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """One step: inputs [rows, d], hidden [rows, H] -> features [rows, out], hidden [rows, H]."""
        features = self.base(inputs)
        if not self.rnn_size:
            return features, hidden
        hidden = torch.gru_cell(features, hidden, *self.rnn.all_weights[0])
        return self.norm(hidden), hidden

    def sequence(self, inputs: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Time-major sequences: inputs [T, S, d], hidden [S, H] or None -> features [T, S, out], last hidden."""
        time, n_sequences, _ = inputs.shape
        if hidden is None:
            hidden = inputs.new_zeros(n_sequences, self.rnn_size)
        features = self.base(inputs)
        if not self.rnn_size:
            return features, hidden
        outputs = self._run(features.flatten(0, 1), [n_sequences] * time, hidden).view(time, n_sequences, -1)
        return self.norm(outputs), outputs[-1]

    def packed(self, inputs: Tensor, batch_sizes: list[int], hidden: Tensor | None = None) -> Tensor:
        """Ragged sequences in packed order (see `learners.sequences.Packing`).

        inputs [R, d], batch_sizes [T] falling, hidden [S, H] or None -> features [R, out].
        """
        features = self.base(inputs)
        if not self.rnn_size:
            return features
        start = inputs.new_zeros(batch_sizes[0], self.rnn_size) if hidden is None else hidden
        return self.norm(self._run(features, batch_sizes, start))

    def memories(self, inputs: Tensor, batch_sizes: list[int]) -> Tensor:
        """Hidden states [R, H] after each step of ragged sequences [R, d] that start afresh, in packed order."""
        return self._run(self.base(inputs), batch_sizes, inputs.new_zeros(batch_sizes[0], self.rnn_size))

    def _run(self, features: Tensor, batch_sizes: list[int], hidden: Tensor) -> Tensor:
        """Hidden states [R, H] of the GRU over packed features [R, f]."""
        return gru_rows(features, hidden, self.rnn.all_weights[0], batch_sizes)

"""Memoryless agent: MAPPO's actor without its GRU. For fully observed tasks, and for replay of single steps."""

from types import SimpleNamespace

from torch import Tensor, nn

from modules.recurrent_trunk import mlp, orthogonal_linear


class FFAgent(nn.Module):
    """Feed-forward network over rows of single agents; the hidden state is carried through untouched.

    Reads `hidden_layers`, `layer_norm` (True: before, and after each layer), `policy_gain` (0.01 if not given).
    """

    recurrent = False

    def __init__(self, input_shape: int, args: SimpleNamespace) -> None:
        super().__init__()
        self.args = args
        layers = getattr(args, "hidden_layers", [args.rnn_hidden_dim] * 2)
        norm = getattr(args, "layer_norm", True)
        self.base = mlp(input_shape, layers, norm, norm)
        self.head = orthogonal_linear([input_shape, *layers][-1], args.n_actions, getattr(args, "policy_gain", 0.01))

    def init_hidden(self) -> Tensor:
        """A hidden state of width one that nothing reads, [1, 1]."""
        return self.head.weight.new_zeros(1, 1)

    def forward(self, inputs: Tensor, hidden_state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: inputs [..., d] -> outputs [..., A] and the hidden state."""
        return self.head(self.base(inputs)), hidden_state

    def forward_sequence(self, inputs: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Whole sequences: inputs [B, T, n, d] -> outputs [B, T, n, A] and the hidden state [B, n, 1]."""
        batch, _, n_agents, _ = inputs.shape
        return self.head(self.base(inputs)), inputs.new_zeros(batch, n_agents, 1) if hidden is None else hidden

    def forward_packed(self, inputs: Tensor, batch_sizes: list[int], hidden: Tensor | None = None) -> Tensor:
        """Ragged sequences in packed order: inputs [R, d] -> outputs [R, A]."""
        return self.head(self.base(inputs))

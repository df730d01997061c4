"""PyMARL2's agent for `n_mac`: the recurrent agent with an optional LayerNorm and orthogonal start."""

from types import SimpleNamespace

from torch import Tensor, nn

from modules.agents.rnn_agent import RNNAgent
from utils.th_utils import orthogonal_init_


class NRNNAgent(RNNAgent):
    """Recurrent agent that reads `use_layer_norm` and `use_orthogonal` (with `gain`), both off if not given."""

    def __init__(self, input_shape: int, args: SimpleNamespace) -> None:
        super().__init__(input_shape, args)
        self.layer_norm = nn.LayerNorm(args.rnn_hidden_dim) if getattr(args, "use_layer_norm", False) else nn.Identity()
        if getattr(args, "use_orthogonal", False):
            orthogonal_init_(self.fc1)
            orthogonal_init_(self.fc2, getattr(args, "gain", 0.01))

    def readout(self, hidden: Tensor) -> Tensor:
        """Outputs [..., A] from hidden states [..., H]."""
        return self.fc2(self.layer_norm(hidden))

"""Recurrent agent that looks at the units it sees one by one: attention from its own token to theirs.

For environments that tell `obs_blocks` in their `env_info` (all SMAC maps): an observation is then the agent's own
numbers, a row for every enemy and a row for every other ally. Rows of units out of sight are zeros and are not looked
at. Cross-attention as in Vaswani et al. 2017, over entities as in Iqbal et al. 2021 (REFIL).
"""

from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modules.agents.rnn_agent import RNNAgent
from utils.errors import UserError


class AttentionAgent(RNNAgent):
    """Own token, attention over the others' tokens, then PyMARL's GRU and output layer.

    Reads `rnn_hidden_dim` (width of the tokens, too) and `att_heads` (4 if not given).
    """

    def __init__(self, input_shape: int, args: SimpleNamespace) -> None:
        blocks = getattr(args, "env_info", {}).get("obs_blocks")
        if blocks is None:
            raise UserError(
                'agent="attention" needs an environment that tells which numbers of an observation are which unit; '
                f'"{getattr(args, "env", "this one")}" does not. Use agent=rnn.'
            )
        width, heads = args.rnn_hidden_dim, getattr(args, "att_heads", 4)
        if width % heads:
            raise UserError(f"rnn_hidden_dim={width} must be a multiple of att_heads={heads}.")
        super().__init__(2 * width, args)
        self.before: int = blocks["before"]
        self.enemies, self.enemy_size = blocks["enemy_rows"]
        self.allies, self.ally_size = blocks["ally_rows"]
        others = self.enemies * self.enemy_size + self.allies * self.ally_size
        self.own = nn.Linear(input_shape - others, width)
        self.enemy = nn.Linear(self.enemy_size, width)
        self.ally = nn.Linear(self.ally_size, width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def embed(self, inputs: Tensor) -> Tensor:
        """What the GRU reads [R, H] of inputs [R, d]."""
        return super().embed(self.look(inputs))

    def look(self, inputs: Tensor) -> Tensor:
        """Own token and what it gathers from the others' [..., 2 H], for inputs [..., d]."""
        lead = inputs.shape[:-1]
        rows = inputs.reshape(-1, inputs.shape[-1])
        enemy_end = self.before + self.enemies * self.enemy_size
        ally_end = enemy_end + self.allies * self.ally_size
        enemies = rows[:, self.before : enemy_end].view(-1, self.enemies, self.enemy_size)
        allies = rows[:, enemy_end:ally_end].view(-1, self.allies, self.ally_size)
        own = F.relu(self.own(torch.cat((rows[:, : self.before], rows[:, ally_end:]), dim=1)))
        unseen = torch.cat((~enemies.any(2), ~allies.any(2)), dim=1)
        tokens = torch.cat((F.relu(self.enemy(enemies)), F.relu(self.ally(allies))), dim=1)
        nobody = unseen.all(1, keepdim=True)
        hidden = unseen & ~nobody
        seen, _ = self.attention(own.unsqueeze(1), tokens, tokens, key_padding_mask=hidden, need_weights=False)
        gathered = seen.squeeze(1).masked_fill(nobody, 0.0)
        return torch.cat((own, gathered), dim=1).view(*lead, -1)

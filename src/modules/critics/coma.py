"""COMA's critic: the values of an agent's actions, all at once, for what the others do (Foerster et al. 2018)."""

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from modules.critics.ppo_critic import PPOCritic


class COMACritic(PPOCritic):
    """Q-values of every agent's own actions, from the rows of `ppo_critic` and the other agents' present actions.

    An agent's own action is no input: its values are the network's outputs, one for each action.
    """

    others: Tensor

    def __init__(self, scheme: dict[str, Any], args: SimpleNamespace) -> None:
        super().__init__(scheme, args, extra=args.n_agents * args.n_actions, heads=args.n_actions)
        self.n_actions: int = args.n_actions
        others = (1 - torch.eye(self.n_agents)).repeat_interleave(self.n_actions, dim=1)
        self.register_buffer("others", others, persistent=False)

    @property
    def n_rows(self) -> int:
        """Rows per time step: one for every agent."""
        return self.n_agents

    def batch_inputs(self, batch: Any) -> Tensor:
        """Input rows [B, T, n, d] of all frames of an EpisodeBatch; a frame without actions counts as all zeros."""
        rows = super().batch_inputs(batch)
        actions = F.one_hot(batch["actions"].to(rows.device).squeeze(-1), self.n_actions).to(rows.dtype)
        return torch.cat([rows, actions.flatten(2).unsqueeze(2) * self.others], dim=-1)

"""One critic per agent, in the place of the one that all agents share."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from modules.critics.ppo_critic import PPOCritic


class NonSharedCritic(nn.Module):
    """`args.n_agents` critics of the kind `ppo_critic`, each with parameters of its own."""

    def __init__(self, scheme: dict[str, Any], args: SimpleNamespace) -> None:
        super().__init__()
        self.agents = nn.ModuleList(PPOCritic(scheme, args) for _ in range(args.n_agents))

    @property
    def n_rows(self) -> int:
        """Rows per time step: one for every agent."""
        return len(self.agents)

    def assemble(self, state: Tensor, obs: Tensor | None, alive: Tensor) -> Tensor:
        """Input rows [..., n, d] from state [..., ds], obs [..., n, do] (for `critic_obs`) and alive [..., n]."""
        first: Any = self.agents[0]
        rows: Tensor = first.assemble(state, obs, alive)
        return rows.expand(*rows.shape[:-2], self.n_rows, rows.shape[-1])

    def batch_inputs(self, batch: Any) -> Tensor:
        """Input rows [B, T, n, d] of all frames of an EpisodeBatch, on the critics' device."""
        first: Any = self.agents[0]
        rows: Tensor = first.batch_inputs(batch)
        return rows.expand(*rows.shape[:-2], self.n_rows, rows.shape[-1])

    def forward(self, batch: Any, t: int | None = None) -> Tensor:
        """Values [B, T, n, heads] of an EpisodeBatch, or [B, 1, n, heads] of step t (run from the episode's start)."""
        return torch.cat([critic(batch, t)[:, :, i : i + 1] for i, critic in enumerate(self.agents)], dim=2)

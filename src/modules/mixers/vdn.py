"""VDN: the team's value is the sum of the agents' (Sunehag et al., 2018)."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor, nn


class VDNMixer(nn.Module):
    """Sum over agents; has no parameters. PyMARL makes it without arguments."""

    def __init__(self, args: SimpleNamespace | None = None) -> None:
        super().__init__()

    def forward(self, agent_qs: Tensor, batch: Tensor | None = None) -> Tensor:
        """[B, T, 1] from `agent_qs` [B, T, n]; the state is not looked at."""
        return agent_qs.sum(dim=2, keepdim=True)

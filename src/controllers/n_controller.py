"""PyMARL2's `n_mac`: as `basic_mac`, but `forward` returns the network's outputs as they are."""

import torch
from torch import Tensor

from components.episode_buffer import EpisodeBatch
from controllers.basic_controller import BasicMAC, Rows


class NMAC(BasicMAC):
    """Controller of the `n_` agents; the Q-learners' choice in PyMARL2."""

    @torch.no_grad()
    def select_actions(
        self, ep_batch: EpisodeBatch, t_ep: int, t_env: int, bs: Rows = slice(None), test_mode: bool = False
    ) -> Tensor:
        """Actions [rows, n] (int64) of the episodes `bs` at their step `t_ep`."""
        return super().select_actions(ep_batch, t_ep, t_env, bs, test_mode)

    def forward(self, ep_batch: EpisodeBatch, t: int, test_mode: bool = False) -> Tensor:
        """Raw outputs [B, n, A] of all episodes at step t."""
        if test_mode:
            self.agent.eval()
        return self._step(ep_batch, t, None)

"""PyMARL2's `n_mac`: as `basic_mac`, but `forward` returns the network's outputs as they are."""

from torch import Tensor

from components.episode_buffer import EpisodeBatch
from controllers.basic_controller import BasicMAC


class NMAC(BasicMAC):
    """Controller of the `n_` agents; the Q-learners' choice in PyMARL2."""

    def forward(self, ep_batch: EpisodeBatch, t: int, test_mode: bool = False) -> Tensor:
        """Raw outputs [B, n, A] of all episodes at step t."""
        return self._step(ep_batch, t, None)

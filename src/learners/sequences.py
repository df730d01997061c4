"""Ragged sequences without padding: which rows of padded tensors are real, in the order in which a GRU reads them.

A policy's sequences end with their agent's life, a critic's with their episode, and neither should pay for the longest
of the batch. `Packing` turns masks into row numbers once; what a network needs is then one `index_select` away.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packing:
    """Rows of B x T x k padded tensors, time-major over sequences sorted by falling length.

    rows [R]: row numbers into a tensor [B, T, k, ...] flattened over its first three axes;
    batch_sizes [T']: how many sequences are still running at each step, falling;
    sequences [S]: number b * k + a of every sequence, longest first.
    """

    rows: Tensor
    batch_sizes: list[int]
    sequences: Tensor

    @classmethod
    def of(cls, mask: Tensor, episodes: Tensor | None = None) -> "Packing":
        """Pack the sequences of mask [B, T, k] (bool) up to each one's last true step, if any.

        Args:
            episodes: [b] which of the B to take; None takes all.
        """
        n_batch, time, width = mask.shape
        if episodes is None:
            episodes = torch.arange(n_batch, device=mask.device)
        steps = torch.arange(1, time + 1, device=mask.device)
        lengths = (mask[episodes] * steps.view(1, time, 1)).amax(dim=1).flatten()
        lengths, order = torch.sort(lengths, descending=True, stable=True)
        n_sequences = int((lengths > 0).sum())
        lengths, order = lengths[:n_sequences], order[:n_sequences]
        agent = order % width
        episode = episodes[torch.div(order, width, rounding_mode="floor")]
        running = (steps - 1).unsqueeze(1) < lengths
        first_row = episode * (time * width) + agent
        rows = (first_row + ((steps - 1) * width).unsqueeze(1))[running]
        batch_sizes = [n for n in running.sum(dim=1).tolist() if n]
        return cls(rows, batch_sizes, episode * width + agent)

    @property
    def n_rows(self) -> int:
        """Number of real rows."""
        return self.rows.shape[0]

    def pack(self, padded: Tensor) -> Tensor:
        """[B, T, k, ...] -> [R, ...]."""
        return padded.flatten(0, 2).index_select(0, self.rows)

    def start(self, hidden: Tensor | None) -> Tensor | None:
        """Hidden states [B, k, H] -> [S, H] in the packed order; None stays None."""
        return None if hidden is None else hidden.flatten(0, 1).index_select(0, self.sequences)

    def unpack(self, packed: Tensor, shape: Sequence[int]) -> Tensor:
        """[R, ...] -> [B, T, k, ...] of the given leading shape, zeros where no row is."""
        padded = packed.new_zeros(shape[0] * shape[1] * shape[2], *packed.shape[1:])
        padded[self.rows] = packed
        return padded.view(*shape, *packed.shape[1:])

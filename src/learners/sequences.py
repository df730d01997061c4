"""Ragged sequences without padding: which rows of padded tensors are real, in the order in which a GRU reads them.

A policy's sequences end with their agent's life, a critic's with their episode, and neither should pay for the longest
of the batch. `Packing` turns masks into row numbers once; what a network needs is then one `index_select` away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packing:
    """Rows of B x T x k padded tensors, time-major over sequences sorted by falling length.

    rows [R]: row numbers into a tensor [B, T, k, ...] flattened over its first three axes;
    batch_sizes [T']: how many sequences are still running at each step, falling;
    sequences [S]: number b * k + a of every sequence, longest first;
    width: k.
    """

    rows: Tensor
    batch_sizes: list[int]
    sequences: Tensor
    width: int

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
        return cls(rows, batch_sizes, episode * width + agent, width)

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

    @cached_property
    def by_agent(self) -> tuple[list["AgentPart"], Tensor]:
        """Each agent's share, and the order [R] that brings the shares, one after another, back to the packed order."""
        agent_of_row, agent_of_sequence = self.rows % self.width, self.sequences % self.width
        parts = []
        for agent in range(self.width):
            own = agent_of_sequence == agent
            running = own.cumsum(0)[torch.tensor(self.batch_sizes, device=own.device) - 1] if self.batch_sizes else own
            sizes = [n for n in running.tolist() if n]
            parts.append(AgentPart((agent_of_row == agent).nonzero()[:, 0], own.nonzero()[:, 0], sizes))
        return parts, torch.cat([part.rows for part in parts]).argsort()


@dataclass(frozen=True)
class AgentPart:
    """One agent's share of a packing: its places among the rows [R'] and sequences [S'], and its own batch sizes."""

    rows: Tensor
    sequences: Tensor
    batch_sizes: list[int]


def packs(network: Any) -> bool:
    """Whether `run_packed` can run the network: it, or each of its `agents`, has `forward_packed`."""
    return hasattr(next(iter(getattr(network, "agents", [network]))), "forward_packed")


def run_packed(
    network: Any, inputs: Tensor, packing: Packing, hidden: Tensor | None = None, method: str = "forward_packed"
) -> Tensor:
    """Outputs [R, out] of a network on packed inputs [R, d], from hidden states [S, H] (None: zeros).

    Where the network is one per agent (`network.agents`), each runs on the rows of its own agent.
    method: the network's function to call, with the arguments of `forward_packed`.
    """
    if not hasattr(network, "agents"):
        return getattr(network, method)(inputs, packing.batch_sizes, hidden)
    parts, order = packing.by_agent
    outputs = [
        getattr(agent, method)(inputs[part.rows], part.batch_sizes, None if hidden is None else hidden[part.sequences])
        for agent, part in zip(network.agents, parts, strict=True)
        if part.batch_sizes
    ]
    return torch.cat(outputs).index_select(0, order)

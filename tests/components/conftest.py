"""Batches of made-up episodes for the tests of the buffers."""

import pytest
import torch

from components.episode_buffer import EpisodeBatch
from components.transforms import OneHot

N_AGENTS, N_ACTIONS, MAX_STEPS = 3, 5, 8

SCHEME = {
    "state": {"vshape": 4},
    "obs": {"vshape": (2,), "group": "agents"},
    "actions": {"vshape": (1,), "group": "agents", "dtype": torch.long},
    "avail_actions": {"vshape": (N_ACTIONS,), "group": "agents", "dtype": torch.int},
    "reward": {"vshape": (1,)},
    "terminated": {"vshape": (1,), "dtype": torch.uint8},
}


class Kit:
    """What every buffer is built from, and episodes whose numbers say where they come from."""

    scheme = SCHEME
    groups = {"agents": N_AGENTS}  # noqa: RUF012
    preprocess = {"actions": ("actions_onehot", [OneHot(N_ACTIONS)])}  # noqa: RUF012
    max_seq_length = MAX_STEPS + 1
    parts = (scheme, groups)

    @classmethod
    def batch(cls, batch_size: int = 2) -> EpisodeBatch:
        """An empty batch."""
        return EpisodeBatch(cls.scheme, cls.groups, batch_size, cls.max_seq_length, preprocess=cls.preprocess)

    @classmethod
    def episodes(cls, lengths: list[int], first: int = 0) -> EpisodeBatch:
        """Episode e = first, first + 1, ... of the given lengths: state and obs are 100 e + t, reward e + t / 100."""
        batch = cls.batch(len(lengths))
        data = batch.data.transition_data
        generator = torch.Generator().manual_seed(first)
        for row, length in enumerate(lengths):
            for t in range(length + 1):
                data["state"][row, t] = data["obs"][row, t] = 100.0 * (first + row) + t
                data["avail_actions"][row, t] = 1
            data["actions"][row, :length] = torch.randint(N_ACTIONS, (length, N_AGENTS, 1), generator=generator)
            data["reward"][row, :length, 0] = first + row + torch.arange(length) / 100
            data["terminated"][row, length - 1] = 1
            batch.mark_filled(slice(0, length + 1), [row])
        return batch


@pytest.fixture
def kit() -> type[Kit]:
    return Kit

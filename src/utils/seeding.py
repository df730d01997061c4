"""Named, independent random streams, all spawned from the one `seed` of a run.

Each part of a run draws from a stream of its own (`"environment"`, `"policy"`, `"world_model"`, ...), so that
whatever one part draws leaves all the others as they were: evaluation cannot disturb training, nor auxiliaries the
world model.
"""

from __future__ import annotations

import random
import zlib

import numpy as np
import torch


def _sequence(seed: int, name: str, index: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed & 0xFFFF_FFFF_FFFF_FFFF, zlib.crc32(name.encode()), index])


def stream_seed(seed: int, name: str, index: int = 0) -> int:
    """Seed of member `index` of the stream `name`: an int in [0, 2**63), a pure function of the three arguments."""
    return int(_sequence(seed, name, index).generate_state(1, np.uint64)[0]) >> 1


def numpy_stream(seed: int, name: str, index: int = 0) -> np.random.Generator:
    """NumPy generator of the stream `name`."""
    return np.random.default_rng(_sequence(seed, name, index))


def torch_stream(seed: int, name: str, index: int = 0, device: str | torch.device = "cpu") -> torch.Generator:
    """Torch generator of the stream `name`; `get_state()` and `set_state()` carry it through a checkpoint."""
    generator = torch.Generator(device=device)
    generator.manual_seed(stream_seed(seed, name, index))
    return generator


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch, for libraries and plug-ins that draw from them."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFF_FFFF)
    torch.manual_seed(seed)

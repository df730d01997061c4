"""Streams are functions of seed, name and index, and independent of each other."""

import random

import numpy as np
import torch

from utils.seeding import numpy_stream, seed_everything, stream_seed, torch_stream


def test_stream_seeds_are_fixed_numbers():
    """A change here would change every recorded run."""
    assert stream_seed(1, "policy") == 836930220678444575
    assert stream_seed(1, "policy", 1) == 585400059136794797


def test_seed_name_and_index_all_matter():
    seeds = {stream_seed(s, name, i) for s in range(20) for name in ("environment", "policy") for i in range(20)}
    assert len(seeds) == 800
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert stream_seed(-1, "policy") != stream_seed(1, "policy")


def test_streams_repeat_and_do_not_touch_the_global_generators():
    seed_everything(3)
    state = torch.get_rng_state()
    draws = [torch.rand(4, generator=torch_stream(5, "buffer", 2)) for _ in range(2)]
    assert torch.equal(*draws)
    assert np.array_equal(numpy_stream(5, "buffer").random(4), numpy_stream(5, "buffer").random(4))
    assert torch.equal(torch.get_rng_state(), state)


def test_seed_everything_seeds_python_numpy_and_torch():
    draws = []
    for _ in range(2):
        seed_everything(7)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert draws[0] == draws[1]

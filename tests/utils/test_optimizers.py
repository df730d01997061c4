"""The optimizers step exactly as torch's do, and leave torch's compiler alone."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from utils import optimizers

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.mark.parametrize("name", ["Adam", "RMSprop"])
def test_steps_and_states_are_those_of_torch(name):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(5, 3, generator=generator)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    pair = [(ours, getattr(optimizers, name)([ours], lr=0.1)), (theirs, getattr(torch.optim, name)([theirs], lr=0.1))]
    for _ in range(3):
        gradient = torch.randn(5, 3, generator=generator)
        for parameter, optimizer in pair:
            optimizer.zero_grad()
            parameter.grad = gradient.clone()
            optimizer.step()
    assert torch.equal(ours, theirs)
    mine, torchs = (optimizer.state_dict() for _, optimizer in pair)
    assert mine["param_groups"] == torchs["param_groups"]
    for key, value in torchs["state"][0].items():
        assert torch.equal(mine["state"][0][key], value)
    pair[0][1].load_state_dict(torchs)


@pytest.mark.parametrize("name", ["Adam", "RMSprop"])
def test_the_compiler_is_not_imported(name):
    program = f"""
import sys, torch
from utils.optimizers import {name}
weight = torch.nn.Parameter(torch.ones(2))
optimizer = {name}([weight], lr=0.5)
weight.sum().backward()
optimizer.step()
optimizer.zero_grad()
optimizer.load_state_dict(optimizer.state_dict())
assert weight.max() < 1
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(SOURCE)}, check=True)

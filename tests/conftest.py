"""What several folders of tests share."""

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# The same examples in every run, so that a change is judged by what it changed;
# `pytest --hypothesis-profile=default` looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")
torch.set_num_threads(1)  # the networks are small; threads that wait for each other take minutes on a busy machine

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def run_main(capsys):
    """Call the command line in this process: `run_main("--config=x", "with", "a=1") -> (exit code, stdout, stderr)`."""
    from main import main

    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def command():
    """The command line as a list, for tests that need a process of its own."""
    return [sys.executable, str(ROOT / "src" / "main.py")]

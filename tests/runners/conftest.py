"""Runners put together with a controller, on small problems."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # the workers of the parallel runner import broken_envs by name

from components.transforms import OneHot
from controllers.basic_controller import BasicMAC
from run.assembly import build_scheme
from runners import REGISTRY, resolve


class RecordingLogger:
    """Remembers what was logged."""

    def __init__(self):
        self.stats = {}

    def log_stat(self, key, value, t, to_sacred=True):
        self.stats.setdefault(key, []).append((t, value))


def make_args(**changes):
    keys = {
        "env": "sc2",
        "env_args": {"map_name": "2m_vs_1m", "seed": None},
        "runner": "auto",
        "batch_size_run": 4,
        "test_nepisode": 6,
        "runner_log_interval": 1,
        "seed": 1,
        "agent": "ppo_rnn",
        "rnn_hidden_dim": 8,
        "hidden_layers": [8],
        "obs_agent_id": True,
        "obs_last_action": True,
        "action_selector": "multinomial",
        "agent_output_type": "pi_logits",
        "test_greedy": True,
    }
    return SimpleNamespace(**{**keys, **changes})


@pytest.fixture
def make_runner():
    """Returns a function: changed keys -> a runner that is set up, closed after the test."""
    runners = []

    def make(**changes):
        args = make_args(**changes)
        runner = REGISTRY[resolve(args)](args, RecordingLogger())
        runners.append(runner)
        info = runner.get_env_info()
        args.n_agents, args.n_actions = info["n_agents"], info["n_actions"]
        scheme, groups = build_scheme(info, need_probs=False)
        torch.manual_seed(0)
        mac = BasicMAC(scheme, groups, args)
        runner.setup(scheme, groups, {"actions": ("actions_onehot", [OneHot(args.n_actions)])}, mac)
        return runner

    yield make
    for runner in runners:
        runner.close_env()

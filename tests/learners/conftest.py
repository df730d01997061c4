"""A small AMAL on 2m_vs_1m, built from the real parts."""

from types import SimpleNamespace

import pytest

from configuration import compose
from run import assembly
from utils.logging import Logger, get_logger
from utils.seeding import seed_everything

SMALL = {
    "batch_size_run": 4,
    "batch_size": 32,
    "rnn_hidden_dim": 16,
    "hidden_layers": [16],
    "epochs": 2,
    "imagined_epochs": 1,
    "reuse_batches": 1,
    "world_model_hidden": [16],
    "world_model_bins": 21,
    "world_model_min_steps": 40,
    "world_model_first_updates": 10,
    "world_model_updates_per_step": 0.05,
    "held_out_every": 4,
    "imagination_start_steps": 40,
    "imagination_updates": 2,
    "imagination_rollouts": 12,
    "imagination_horizon": 5,
    "imagination_initial_share": 0.5,
    "gradient_surgery": 0.8,
    "information_samples": 20,
    "mi_policy_samples": 6,
    "num_auxiliary_agents": 4,
    "auxiliary_buffer_size": 60,
    "cem_population_size": 20,
    "cem_generations": 2,
    "cem_probes": 8,
    "evolution_frequency": 3,
    "learner_log_interval": 1,
    "seed": 3,
    "t_max": 2000,
    "device": "cpu",
}


@pytest.fixture
def build(tmp_path):
    """`build(key=value, ...)` -> the parts of an AMAL run; unless told otherwise, small and on 2m_vs_1m."""
    runners = []

    def make(**overrides):
        config = compose("amal", "sc2") | SMALL | overrides
        config["env_args"] = config["env_args"] | {"map_name": "2m_vs_1m"}
        args = SimpleNamespace(**config)
        seed_everything(args.seed)
        parts = assembly.build(args, Logger(get_logger()), tmp_path)
        parts.args = args
        runners.append(parts.runner)
        return parts

    yield make
    for runner in runners:
        runner.close_env()

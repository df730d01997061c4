"""Small trainings from end to end: MAPPO finds the optimum of a matrix game and wins an easy battle."""

from types import SimpleNamespace

import pytest
import torch

from components.transforms import OneHot
from controllers.basic_controller import BasicMAC
from learners.ppo_learner import PPOLearner
from run.assembly import build_scheme
from runners import REGISTRY, resolve

EASY = [[1.0, 0.0, 0.0], [0.0, 8.0, 2.0], [0.0, 2.0, 3.0]]


class LastValues:
    """Keeps the latest value of each quantity."""

    def __init__(self):
        self.stats = {}

    def log_stat(self, key, value, t, to_sacred=True):
        self.stats[key] = value


def make_args(**changes):
    keys = {
        "env": "sc2", "env_args": {"map_name": "2m_vs_1m"}, "runner": "auto", "seed": 1, "t_max": 10_000,
        "batch_size_run": 16, "test_nepisode": 32, "test_greedy": True,
        "runner_log_interval": 1, "learner_log_interval": 1,
        "agent": "ppo_rnn", "rnn_hidden_dim": 32, "hidden_layers": [32], "policy_gain": 0.01,
        "obs_agent_id": True, "obs_last_action": False,
        "action_selector": "multinomial", "agent_output_type": "pi_logits",
        "critic_type": "ppo_critic", "critic_agent_id": False, "critic_obs": False, "critic_death_mask": False,
        "lr": 1e-3, "critic_lr": 1e-3, "lr_linear_decay": False, "optim_eps": 1e-5, "weight_decay": 0.0,
        "epochs": 10, "mini_batches": 1, "accumulate_gradients": 1, "eps_clip": 0.2, "entropy_coef": 0.01,
        "gamma": 0.99, "gae_lambda": 0.95, "normalise_advantages": True,
        "policy_active_mask": True, "value_active_mask": False,
        "use_value_norm": True, "value_norm_beta": 0.99999, "value_clip": True, "huber_delta": 10.0,
        "value_loss_coef": 1.0, "grad_norm_clip": 10.0,
    }  # fmt: skip
    return SimpleNamespace(**{**keys, **changes})


def train(args, updates):
    """Train for so many batches; returns the runner and what was logged last."""
    logger = LastValues()
    runner = REGISTRY[resolve(args)](args, logger)
    info = runner.get_env_info()
    args.n_agents, args.n_actions = info["n_agents"], info["n_actions"]
    scheme, groups = build_scheme(info, need_probs=False)
    torch.manual_seed(args.seed)
    mac = BasicMAC(scheme, groups, args)
    runner.setup(scheme, groups, {"actions": ("actions_onehot", [OneHot(args.n_actions)])}, mac)
    learner = PPOLearner(mac, scheme, logger, args)
    for update in range(updates):
        batch = runner.run()
        learner.train(batch[:, : batch.max_t_filled()], runner.t_env, update)
    return runner, logger.stats


@pytest.mark.parametrize("agent", ["ppo_rnn", "ff"])
def test_mappo_finds_the_best_pair_of_actions(agent):
    game = {"env": "matrix_game", "env_args": {"game": "one_step", "payoff": EASY}, "runner": "episode"}
    runner, stats = train(make_args(agent=agent, lr=3e-3, test_nepisode=16, **game), updates=40)
    runner.run(test_mode=True)
    assert stats["test_return_mean"] == 8.0


def test_mappo_wins_two_marines_against_one():
    runner, stats = train(make_args(), updates=20)
    for _ in range(2):
        runner.run(test_mode=True)
    assert stats["test_battle_won_mean"] >= 0.9
    runner.close_env()


def test_two_trainings_with_one_seed_are_equal_to_the_bit():
    logs = [train(make_args(), updates=3)[1] for _ in range(2)]
    assert logs[0] == logs[1]

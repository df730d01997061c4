"""A value-based learner of any overlay, small, and a matrix game's every trajectory as one batch."""

from itertools import product
from types import SimpleNamespace

import torch

from components.episode_buffer import EpisodeBatch
from components.transforms import OneHot
from configuration import compose
from controllers import REGISTRY as controllers
from envs.matrix_game import MatrixGame
from learners import REGISTRY as learners
from run.assembly import build_scheme

SIZES = {"state_shape": 1, "obs_shape": 1, "n_actions": 3, "n_agents": 2}
TWO_STEP = {"state_shape": 3, "obs_shape": 3, "n_actions": 2, "n_agents": 2}
SMALL = {"rnn_hidden_dim": 16, "hypernet_embed": 32, "mixing_embed_dim": 32, "learner_log_interval": 10**9}


class SilentLogger:
    def log_stat(self, key, value, t, to_sacred=True):
        assert value == value


def empty_batch(sizes, n_episodes, n_frames):
    scheme, groups = build_scheme(sizes, need_probs=False)
    onehot = {"actions": ("actions_onehot", [OneHot(sizes["n_actions"])])}
    return EpisodeBatch(scheme, groups, n_episodes, n_frames, preprocess=onehot)


def make_learner(name, sizes=SIZES, **changes):
    keys = {**compose(name, "matrix_game"), **SMALL, "seed": 1, "episode_limit": 1}
    args = SimpleNamespace(**{**keys, **sizes, **changes})
    scheme = empty_batch(sizes, 1, 1).scheme
    torch.manual_seed(0)
    mac = controllers[args.mac](scheme, {"agents": args.n_agents}, args)
    return learners[args.learner](mac, scheme, SilentLogger(), args)


def every_trajectory(game="one_step"):
    """Each way to play the game once, in the order of the joint actions."""
    env = MatrixGame(game=game)
    info = env.get_env_info()
    joint = list(product(range(env.n_actions), repeat=env.n_agents))
    plays = list(product(joint, repeat=env.episode_limit))
    batch = empty_batch(info, len(plays), env.episode_limit + 1)
    for b, play in enumerate(plays):
        env.reset()
        for t, actions in enumerate([*play, play[-1]]):
            seen = {"state": env.get_state(), "obs": env.get_obs(), "avail_actions": env.get_avail_actions()}
            batch.update({**seen, "actions": actions}, bs=b, ts=t)
            if t < len(play):
                reward, terminated, _ = env.step(actions)
                batch.update({"reward": reward, "terminated": terminated}, bs=b, ts=t, mark_filled=False)
    return batch

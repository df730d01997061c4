"""A learner of any on-policy overlay, small, and a batch of two episodes that can be reckoned by hand."""

from types import SimpleNamespace

import torch

from components.episode_buffer import EpisodeBatch
from components.transforms import OneHot
from configuration import compose
from controllers import REGISTRY as controllers
from learners import REGISTRY as learners
from run.assembly import build_scheme

N, A = 2, 3
SIZES = {"state_shape": 4, "obs_shape": 3, "n_actions": A, "n_agents": N}
SMALL = {"hidden_layers": [8], "rnn_hidden_dim": 8, "learner_log_interval": 1, "seed": 1, "t_max": 1000}
ALIVE, DEAD, ABSENT = [0, 1, 1], [1, 0, 0], [0, 0, 0]


class RecordingLogger:
    def __init__(self):
        self.stats = {}

    def log_stat(self, key, value, t, to_sacred=True):
        self.stats.setdefault(key, []).append((t, value))


def make_learner(name, **changes):
    args = SimpleNamespace(**{**compose(name, "matrix_game"), **SMALL, **changes}, **SIZES)
    scheme = make_batch().scheme
    torch.manual_seed(0)
    mac = controllers[args.mac](scheme, {"agents": N}, args)
    return learners[args.learner](mac, scheme, RecordingLogger(), args)


def make_batch():
    """Two episodes. The first has three steps paid 1, 2, 3 and loses agent 1 after its first step; the second has one
    step paid 5."""
    scheme, groups = build_scheme(SIZES, need_probs=False)
    batch = EpisodeBatch(scheme, groups, 2, 4, preprocess={"actions": ("actions_onehot", [OneHot(A)])})
    generator = torch.Generator().manual_seed(5)
    avail = torch.tensor([[[ALIVE, ALIVE], [ALIVE, DEAD], [ALIVE, DEAD], [ALIVE, DEAD]],
             [[ALIVE, ALIVE], [ALIVE, ALIVE], [ABSENT, ABSENT], [ABSENT, ABSENT]]])  # fmt: skip
    actions = torch.ones(2, 4, N, 1)
    actions[0, 0, 0] = 2
    actions[0, 1:, 1] = 0
    for b, length in enumerate((3, 1)):
        frames = slice(0, length + 1)
        fields = {
            "state": torch.randn(1, length + 1, 4, generator=generator),
            "obs": torch.randn(1, length + 1, N, 3, generator=generator),
            "avail_actions": avail[b : b + 1, frames],
            "actions": actions[b : b + 1, frames],
        }
        batch.update(fields, bs=b, ts=frames)
    rewards, ends = torch.tensor([[1.0, 2.0, 3.0, 0.0], [5.0, 0.0, 0.0, 0.0]]), torch.zeros(2, 4)
    ends[0, 2] = ends[1, 0] = 1
    batch.update({"reward": rewards.unsqueeze(-1), "terminated": ends.unsqueeze(-1)}, mark_filled=False)
    return batch


def parameters(*networks):
    return torch.cat([p.detach().flatten().clone() for network in networks for p in network.parameters()])


def fixed_values(learner, own, target):
    """Let critic and target critic give fixed values to the four frames."""
    of = {id(None): own, id(learner.target_critic): target}

    def values(inputs, mask, hidden=None, critic=None):
        return torch.tensor(of[id(critic)]).view(1, 4, 1, 1).expand(2, 4, learner.critic.n_rows, 1)

    learner.trainer.values = values

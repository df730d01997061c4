"""Q-learning: targets by hand, double Q, target networks, saving."""

from types import SimpleNamespace

import pytest
import torch

from components.episode_buffer import EpisodeBatch
from components.transforms import OneHot
from controllers.basic_controller import BasicMAC
from learners.q_learner import QLearner
from run.assembly import build_scheme
from utils.errors import UserError

N, A = 2, 3
SIZES = {"state_shape": 4, "obs_shape": 3, "n_actions": A, "n_agents": N}


class SilentLogger:
    def log_stat(self, key, value, t, to_sacred=True):
        assert value == value


def make_learner(**changes):
    keys = {
        "n_agents": N, "n_actions": A, "state_shape": 4, "seed": 1, "learner_log_interval": 1,
        "agent": "rnn", "rnn_hidden_dim": 8, "obs_agent_id": True, "obs_last_action": True,
        "action_selector": "epsilon_greedy", "agent_output_type": "q",
        "epsilon_start": 1.0, "epsilon_finish": 0.05, "epsilon_anneal_time": 100,
        "mixer": "qmix", "mixing_embed_dim": 8, "hypernet_layers": 2, "hypernet_embed": 8,
        "double_q": True, "target_update_interval": 4, "td_lambda": 0.0, "gamma": 0.9,
        "lr": 1e-2, "optimizer": "adam", "optim_alpha": 0.99, "optim_eps": 1e-5, "grad_norm_clip": 10.0,
    }  # fmt: skip
    args = SimpleNamespace(**{**keys, **changes})
    scheme, groups = build_scheme(SIZES, need_probs=False)
    torch.manual_seed(0)
    return QLearner(BasicMAC(scheme, groups, args), scheme, SilentLogger(), args)


def make_batch(lengths=(3, 1)):
    scheme, groups = build_scheme(SIZES, need_probs=False)
    batch = EpisodeBatch(scheme, groups, 2, 4, preprocess={"actions": ("actions_onehot", [OneHot(A)])})
    generator = torch.Generator().manual_seed(5)
    for b, length in enumerate(lengths):
        frames = slice(0, length + 1)
        fields = {
            "state": torch.randn(1, length + 1, 4, generator=generator),
            "obs": torch.randn(1, length + 1, N, 3, generator=generator),
            "avail_actions": torch.tensor([0, 1, 1]).expand(1, length + 1, N, A),
            "actions": torch.ones(1, length + 1, N, 1),
            "reward": torch.arange(1.0, length + 2).view(1, -1, 1),
        }
        batch.update(fields, bs=b, ts=frames)
        batch.update({"terminated": torch.ones(1, 1, 1)}, bs=b, ts=length - 1, mark_filled=False)
    return batch


def targets_of(learner, batch):
    q_values = learner.mac.forward_sequence(batch)
    return learner._targets(learner._read(batch), q_values), q_values


@torch.no_grad()
def test_targets_without_a_mixer_are_reward_plus_the_best_legal_value():
    learner, batch = make_learner(mixer=None), make_batch()
    targets, q_values = targets_of(learner, batch)
    best = q_values[..., 1:].max(dim=-1).values
    torch.testing.assert_close(targets[0, 0], 1 + 0.9 * best[0, 1])
    torch.testing.assert_close(targets[0, 2], torch.tensor([3.0, 3.0]))  # a termination
    assert targets[1, 1:].abs().sum() == 0  # padding


@torch.no_grad()
def test_double_q_lets_the_online_network_choose():
    learner, batch = make_learner(mixer=None), make_batch()
    learner.target_mac.agent.fc2.bias.copy_(torch.tensor([0.0, 100.0, 0.0]))
    learner.mac.agent.fc2.bias.copy_(torch.tensor([0.0, 0.0, 100.0]))
    double, _ = targets_of(learner, batch)
    learner.args.double_q = False
    single, _ = targets_of(learner, batch)
    assert (double[0, :2] < 50).all()
    assert (single[0, :2] > 50).all()


@torch.no_grad()
def test_vdn_sums_and_lambda_one_gives_returns():
    learner, batch = make_learner(mixer="vdn", td_lambda=1.0), make_batch()
    targets, _ = targets_of(learner, batch)
    assert targets[0, :, 0].tolist() == pytest.approx([1 + 0.9 * 2 + 0.81 * 3, 2 + 0.9 * 3, 3], rel=1e-5)


def test_target_networks_follow_every_so_many_episodes():
    learner, batch = make_learner(), make_batch()
    start = learner.target_mac.agent.fc1.weight.clone()
    learner.train(batch, 0, episode_num=2)
    assert torch.equal(learner.target_mac.agent.fc1.weight, start)
    learner.train(batch, 1, episode_num=4)
    assert torch.equal(learner.target_mac.agent.fc1.weight, learner.mac.agent.fc1.weight)


@pytest.mark.parametrize("mixer", [None, "vdn", "qmix"])
def test_the_error_falls_to_a_fixed_target(mixer):
    learner, batch = make_learner(mixer=mixer, gamma=0.0), make_batch()

    def error():
        with torch.no_grad():
            targets, q_values = targets_of(learner, batch)
            taken = q_values[:, :-1].gather(3, batch["actions"][:, :-1]).squeeze(3)
            taken = learner.networks["mixer"](taken, batch["state"][:, :-1])
            return ((taken - targets) * batch["filled"][:, 1:]).abs().max().item()

    before = error()
    for t in range(150):
        learner.train(batch, t, t)
    assert error() < 0.2 * before


def test_padding_changes_nothing():
    weights = []
    for junk in (0.0, 1e6):
        learner, batch = make_learner(), make_batch()
        batch.data.transition_data["obs"][1, 2:] = junk
        batch.data.transition_data["reward"][1, 1:] = junk
        learner.train(batch, 0, 0)
        weights.append(learner.mac.agent.fc1.weight)
    assert torch.equal(*weights)


def test_resumed_training_equals_uninterrupted_training():
    through, first, second = make_learner(), make_learner(), make_learner()
    batch = make_batch()
    for t in range(6):
        through.train(batch, t, t)
    for t in range(3):
        first.train(batch, t, t)
    second.mac.load_state_dict(first.mac.state_dict())
    second.load_state_dict(first.state_dict())
    for t in range(3, 6):
        second.train(batch, t, t)
    for p, q in zip(through.parameters, second.parameters):
        assert torch.equal(p, q)


def test_models_are_saved_and_loaded(tmp_path):
    learner, other = make_learner(), make_learner()
    learner.train(make_batch(), 0, 0)
    learner.save_models(tmp_path)
    other.load_models(tmp_path)
    assert all(torch.equal(p, q) for p, q in zip(learner.parameters, other.parameters))


def test_unknown_names_get_a_hint():
    with pytest.raises(UserError, match='mean "qmix"'):
        make_learner(mixer="qmx")
    with pytest.raises(UserError, match="adam"):
        make_learner(optimizer="sgd")

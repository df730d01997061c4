"""MAPPO on batches small enough to check by hand: masks, returns, bootstraps, saving."""

from types import SimpleNamespace

import pytest
import torch
from policy_batch import ABSENT, ALIVE, DEAD, A, N, RecordingLogger

from components.episode_buffer import EpisodeBatch
from components.transforms import OneHot
from controllers.basic_controller import BasicMAC
from learners.ppo_learner import PPOLearner
from run.assembly import build_scheme

INFO = {"state_shape": 4, "obs_shape": 3, "n_actions": A}


def make_args(**changes):
    keys = {
        "n_agents": N, "n_actions": A, "seed": 1, "t_max": 1000, "learner_log_interval": 1,
        "agent": "ppo_rnn", "rnn_hidden_dim": 8, "hidden_layers": [8], "policy_gain": 0.01,
        "obs_agent_id": True, "obs_last_action": True,
        "action_selector": "multinomial", "agent_output_type": "pi_logits",
        "critic_type": "ppo_critic", "critic_agent_id": True, "critic_obs": False, "critic_death_mask": True,
        "lr": 1e-3, "critic_lr": 1e-3, "lr_linear_decay": False, "optim_eps": 1e-5, "weight_decay": 0.0,
        "epochs": 2, "mini_batches": 1, "accumulate_gradients": 1, "eps_clip": 0.2, "entropy_coef": 0.01,
        "gamma": 0.9, "gae_lambda": 1.0, "normalise_advantages": False,
        "policy_active_mask": True, "value_active_mask": False,
        "use_value_norm": False, "value_norm_beta": 0.99999, "value_clip": True, "huber_delta": 10.0,
        "value_loss_coef": 1.0, "grad_norm_clip": 10.0,
    }  # fmt: skip
    return SimpleNamespace(**{**keys, **changes})


def make_learner(**changes):
    args = make_args(**changes)
    scheme, groups = build_scheme({**INFO, "n_agents": N}, need_probs=False)
    torch.manual_seed(0)
    mac = BasicMAC(scheme, groups, args)
    return PPOLearner(mac, scheme, RecordingLogger(), args)


def make_batch(truncated=False):
    """Two episodes. The first has three steps paid 1, 2, 3 and loses agent 1 after its first step; the second has one
    step paid 5."""
    scheme, groups = build_scheme({**INFO, "n_agents": N}, need_probs=False)
    batch = EpisodeBatch(scheme, groups, 2, 4, preprocess={"actions": ("actions_onehot", [OneHot(A)])})
    generator = torch.Generator().manual_seed(5)
    avail = [[[ALIVE, ALIVE], [ALIVE, DEAD], [ALIVE, DEAD], [ALIVE, DEAD]],
             [[ALIVE, ALIVE], [ALIVE, ALIVE], [ABSENT, ABSENT], [ABSENT, ABSENT]]]  # fmt: skip
    actions = torch.ones(2, 4, N, 1)
    actions[0, 1:, 1] = 0
    for b, length in enumerate((3, 1)):
        batch.update(
            {
                "state": torch.randn(1, length + 1, 4, generator=generator),
                "obs": torch.randn(1, length + 1, N, 3, generator=generator),
                "avail_actions": torch.tensor(avail)[b : b + 1, : length + 1],
                "actions": actions[b : b + 1, : length + 1],
            },
            bs=b,
            ts=slice(0, length + 1),
        )
    batch.update(
        {"reward": torch.tensor([[1.0, 2.0, 3.0, 0.0], [5.0, 0.0, 0.0, 0.0]]).unsqueeze(-1)}, mark_filled=False
    )
    ends = torch.zeros(2, 4, 1)
    ends[1, 0] = 1
    ends[0, 2] = 0 if truncated else 1
    batch.update({"terminated": ends}, mark_filled=False)
    return batch


def test_masks_leave_out_padding_and_the_dead():
    data = make_learner().data_of(make_batch())
    assert data.policy_mask[0].tolist() == [[True, True], [True, False], [True, False]]
    assert data.policy_mask[1].tolist() == [[True, True], [False, False], [False, False]]
    assert data.value_mask[0].all()
    assert data.value_mask[1, :, 0].tolist() == [True, False, False]


@pytest.mark.parametrize(("key", "of_policy"), [("policy_active_mask", True), ("value_active_mask", False)])
def test_the_active_masks_are_switches(key, of_policy):
    switched = make_learner(**{key: not of_policy}).data_of(make_batch())
    mask = switched.policy_mask if of_policy else switched.value_mask
    assert mask[0, :, 1].tolist() == ([True] * 3 if of_policy else [True, False, False])


def test_returns_with_lambda_one_are_discounted_sums():
    data = make_learner().data_of(make_batch())
    assert data.returns[0, :, 0, 0].tolist() == pytest.approx([1 + 0.9 * 2 + 0.81 * 3, 2 + 0.9 * 3, 3.0], rel=1e-5)
    assert data.returns[1, 0, 0, 0].item() == pytest.approx(5.0)
    advantages = (data.returns - data.old_values)[..., 0]
    torch.testing.assert_close(data.advantages[data.policy_mask], advantages[data.policy_mask])


def test_a_truncated_episode_bootstraps_from_its_closing_frame():
    learner, batch = make_learner(gae_lambda=0.0), make_batch(truncated=True)
    values = learner.critic(batch).detach()
    data = learner.data_of(batch)
    torch.testing.assert_close(data.returns[0, 2, :, 0], 3 + 0.9 * values[0, 3, :, 0])
    assert data.returns[1, 0, 0, 0].item() == pytest.approx(5.0)


def test_the_critic_of_the_dead_sees_zeros_and_their_id():
    data = make_learner().data_of(make_batch())
    assert data.critic_inputs[0, 1, 1].tolist() == [0, 0, 0, 0, 0, 1]
    assert data.critic_inputs[0, 1, 0, :4].abs().sum() > 0


def test_equal_critic_rows_are_computed_once():
    learner = make_learner(critic_agent_id=False, critic_death_mask=False)
    data = learner.data_of(make_batch())
    assert data.returns.shape == (2, 3, 1, 1)
    assert data.advantages.shape == (2, 3, N)
    assert learner.critic(make_batch()).shape == (2, 4, N, 1)


def test_advantages_are_normalised_over_the_living():
    data = make_learner(normalise_advantages=True).data_of(make_batch())
    living = data.advantages[data.policy_mask]
    assert living.mean().item() == pytest.approx(0.0, abs=1e-6)
    assert living.std(correction=0).item() == pytest.approx(1.0, abs=1e-4)
    assert data.advantages[~data.policy_mask].abs().sum() == 0


def test_value_norm_takes_the_returns_of_real_steps_in_once_per_batch():
    learner = make_learner(use_value_norm=True)
    data = learner.data_of(make_batch())
    mean, _ = learner.value_norm.running_mean_var()
    assert mean.item() == pytest.approx(data.returns[data.value_mask].mean().item())


def test_training_moves_both_networks_and_logs():
    learner = make_learner()
    before = [p.clone() for p in (*learner.mac.parameters(), *learner.critic.parameters())]
    learner.train(make_batch(), t_env=10, episode_num=2)
    after = [*learner.mac.parameters(), *learner.critic.parameters()]
    assert sum(not torch.equal(p, q) for p, q in zip(before, after)) > len(after) // 2
    assert {"pg_loss", "critic_loss", "entropy", "agent_grad_norm", "target_mean", "lr"} <= set(learner.logger.stats)


def test_the_learning_rate_falls_linearly_where_asked():
    learner = make_learner(lr_linear_decay=True)
    learner.train(make_batch(), t_env=250, episode_num=2)
    assert learner.agent_optimiser.param_groups[0]["lr"] == pytest.approx(0.75e-3)


def test_training_is_deterministic():
    results = []
    for _ in range(2):
        learner = make_learner(mini_batches=2)
        for t in range(3):
            learner.train(make_batch(), t, t)
        results.append(torch.cat([p.flatten() for p in learner.mac.parameters()]))
    assert torch.equal(*results)


def test_resumed_training_equals_uninterrupted_training():
    through, first, second = (make_learner(mini_batches=2, use_value_norm=True) for _ in range(3))
    for t in range(4):
        through.train(make_batch(), t, t)
    for t in range(2):
        first.train(make_batch(), t, t)
    second.load_state_dict(first.state_dict())
    second.mac.load_state_dict(first.mac.state_dict())
    for t in range(2, 4):
        second.train(make_batch(), t, t)
    for p, q in zip((*through.mac.parameters(), *through.critic.parameters()),
                    (*second.mac.parameters(), *second.critic.parameters())):  # fmt: skip
        assert torch.equal(p, q)


def test_models_hold_critic_value_norm_and_optimizers(tmp_path):
    learner, other = make_learner(use_value_norm=True), make_learner(use_value_norm=True)
    learner.train(make_batch(), 0, 0)
    learner.save_models(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {
        "agent.th", "critic.th", "value_norm.th", "agent_opt.th", "critic_opt.th"
    }  # fmt: skip
    other.load_models(tmp_path)
    for each in (learner, other):
        each.train(make_batch(), 1, 1)
    assert torch.equal(learner.critic.head.weight, other.critic.head.weight)

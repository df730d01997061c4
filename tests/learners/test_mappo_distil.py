"""MAPPO-distil: the terms of the distillation by hand, n values against one, what each phase moves, resuming."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from policy_batch import A, N, fixed_values, make_batch, make_learner, parameters

from configuration import compose
from learners.mappo_distil_learner import distillation_terms
from learners.ppo_data import PolicyRows
from learners.ppo_losses import masked_log_softmax
from utils.errors import UserError

PLAIN = {"reward_norm": False, "normalise_advantages": False}
SHAPES = [{}, {"critic_type": "ppo_critic_ns"}, {"mac": "basic_mac"}, {"critic_obs": True}, {"critic_agent_id": True}]


def make(**changes):
    return make_learner("mappo_distil", **changes)


def heads(learner):
    """The value heads of all policy networks."""
    return [agent.value_head for agent in learner.mac.agent.agents]


def perturb(learner):
    """Change all policy networks, so that they are not what they were."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in learner.mac.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=generator))


# --- the losses -------------------------------------------------------------------------------------------------------


def test_the_terms_of_the_distillation_by_hand():
    now = torch.tensor([[0.25, 0.75, 0.5], [0.5, 0.5, 0.5]]).log()
    outputs = torch.cat([now, torch.tensor([[2.0], [30.0]])], dim=1)
    before = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]).log()
    illegal = torch.tensor([[False, False, True]]).expand(2, 3)
    fit, kl = distillation_terms(outputs, torch.tensor([1.0, 0.0]), before, illegal, huber_delta=10.0)
    # Half the square near, delta (distance - delta / 2) far.
    assert fit.tolist() == pytest.approx([0.5, 10 * (30 - 5)])
    # KL(before, now), not the other way round, and nothing of the illegal action.
    assert kl.tolist() == pytest.approx([0.5 * torch.tensor([2.0, 2 / 3]).log().sum().item(), 0.0], abs=1e-7)


def reference_loss(learner, data, targets, before, beta):
    """The loss of the distillation from padded tensors: per living agent and step half the square plus beta KL."""
    total = 0.0
    for i, agent in enumerate(learner.mac.agent.agents):
        features = agent.features_sequence(data.actor_inputs[:, :, i : i + 1])[0]
        values = agent.value_head(features)[:, :, 0, 0]
        now = masked_log_softmax(agent.head(features)[:, :, 0], data.avail_actions[:, :, i] == 0)
        for b, t in data.policy_mask[:, :, i].nonzero().tolist():
            total = total + 0.5 * (values[b, t] - targets[b, t, 0]) ** 2
            for a in data.avail_actions[b, t, i].nonzero()[:, 0].tolist():
                total = total + beta * before[b, t, i, a].exp() * (before[b, t, i, a] - now[b, t, a])
    return total / data.policy_mask.sum()


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_step_descends_the_mean_over_all_living_agents_and_steps(pieces):
    learner = make(distil_beta=0.7, distil_epochs=1, huber_delta=0.0, grad_norm_clip=1e9, accumulate_gradients=pieces)
    data = learner.data_of(make_batch())
    before = learner._log_distributions(data)
    learner._log_distributions = lambda data: before
    perturb(learner)
    central = learner.critic(make_batch())[:, :-1, :1, 0].detach()
    loss = reference_loss(learner, data, central, before, beta=0.7)
    expected = torch.autograd.grad(loss, list(learner.mac.parameters()))
    logged = learner.distil(data)
    for parameter, gradient in zip(learner.mac.parameters(), expected):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)
    assert logged["distil_loss"] + 0.7 * logged["distil_kl"] == pytest.approx(loss.item(), rel=1e-5)


# --- shapes: n_agents values against one ------------------------------------------------------------------------------


def test_one_central_value_is_the_target_of_every_agent():
    learner = make()
    data = learner.data_of(make_batch())
    assert data.returns.shape == data.old_values.shape == (2, 3, 1, 1)
    targets = learner.distil_targets(data)
    assert targets.shape == (2, 3, N)
    assert torch.equal(targets[..., 0], targets[..., 1])
    torch.testing.assert_close(targets[0, :, 0], learner.critic(make_batch())[0, :3, 0, 0].detach())


def test_with_a_critic_per_agent_each_has_a_target_of_its_own():
    learner = make(critic_type="ppo_critic_ns")
    targets = learner.distil_targets(learner.data_of(make_batch()))
    assert targets.shape == (2, 3, N)
    torch.testing.assert_close(targets[0], learner.critic(make_batch())[0, :3, :, 0].detach())
    assert (targets[0, :, 0] != targets[0, :, 1]).all()


@pytest.mark.parametrize("changes", SHAPES)
def test_the_value_heads_come_to_say_what_the_critic_says(changes):
    learner = make(**changes, distil_epochs=150, distil_lr=0.01, huber_delta=0.0)
    data = learner.data_of(make_batch())
    before = learner._log_distributions(data)
    distances = []
    for _ in range(2):
        distances.append(
            learner._distil_step([PolicyRows.of(data)], learner.distil_targets(data), before)["distil_loss"]
        )
        learner.distil(data)
    assert distances[1] < 0.05 * distances[0]


def test_the_dead_have_no_say():
    learner = make(distil_epochs=1)
    data = learner.data_of(make_batch())
    other = data.actor_inputs.clone()
    other[0, 1:, 1] = 100.0  # what agent 1 sees when it is dead
    moved = []
    for each in (data, replace(data, actor_inputs=other)):
        copy = make(distil_epochs=1)
        copy.distil(each)
        moved.append(parameters(copy.mac))
    assert torch.equal(*moved)


# --- phases -----------------------------------------------------------------------------------------------------------


def test_the_distillation_moves_the_policy_networks_alone():
    learner = make()
    data = learner.data_of(make_batch())
    critic, policy = parameters(learner.critic), parameters(learner.mac)
    learner.distil(data)
    assert torch.equal(parameters(learner.critic), critic)
    assert not torch.equal(parameters(learner.mac), policy)


def test_without_distillation_epochs_the_value_heads_stay():
    learner = make(distil_epochs=0)
    before = parameters(*heads(learner))
    learner.train(make_batch(), 0, 0)
    assert torch.equal(parameters(*heads(learner)), before)
    assert not any(name.startswith("distil") for name in learner.logger.stats)


def test_the_policy_phase_after_a_distillation_leaves_the_value_heads_alone():
    learner = make()
    data = learner.data_of(make_batch())
    learner.update(data)
    before = parameters(*heads(learner))
    learner.trainer.update(data, learner.settings)
    assert torch.equal(parameters(*heads(learner)), before)


def test_the_targets_are_what_the_critic_says_after_its_own_phase():
    learner = make(value_epochs=3, critic_lr=0.05)
    data, seen = learner.data_of(make_batch()), []
    step = learner._distil_step
    learner._distil_step = lambda rows, targets, before: seen.append(targets) or step(rows, targets, before)
    stale = learner.distil_targets(data)
    learner.update(data)
    assert (seen[0][0] != stale[0]).all()
    assert torch.equal(seen[0], learner.distil_targets(data))
    assert all(torch.equal(targets, seen[0]) for targets in seen)


def test_every_phase_has_its_own_epochs_and_mini_batches():
    learner = make(epochs=1, value_epochs=2, distil_epochs=3, mini_batches=2)
    steps = {"policy": 0, "value": 0, "distil": 0}
    for kind in steps:
        owner = learner if kind == "distil" else learner.trainer
        step = getattr(owner, f"_{kind}_step")

        def count(*args, kind=kind, step=step):
            steps[kind] += 1
            return step(*args)

        setattr(owner, f"_{kind}_step", count)
    learner.update(learner.data_of(make_batch()))
    assert steps == {"policy": 2, "value": 4, "distil": 6}


def test_a_larger_beta_holds_the_policy():
    moved = {}
    for beta in (0.0, 100.0):
        learner = make(distil_beta=beta, distil_epochs=60, distil_lr=0.01)
        perturb(learner)  # policies that are not uniform
        data = learner.data_of(make_batch())
        before = learner._log_distributions(data)
        learner.distil(data)
        now = learner._log_distributions(data)
        legal = data.avail_actions != 0
        moved[beta] = (before.exp() * (before - now))[legal].sum() / data.policy_mask.sum()
    assert moved[100.0] < 0.1 * moved[0.0]
    assert moved[0.0] > 0.01


def test_each_phase_has_its_own_step_size_and_all_fall_where_asked():
    learner = make(lr=1e-3, critic_lr=2e-3, distil_lr=4e-3, lr_linear_decay=True)
    learner.train(make_batch(), t_env=250, episode_num=2)
    optimisers = (learner.agent_optimiser, learner.critic_optimiser, learner.distil_optimiser)
    assert [o.param_groups[0]["lr"] for o in optimisers] == pytest.approx([0.75e-3, 1.5e-3, 3e-3])
    assert make(lr=7e-4).distil_optimiser.param_groups[0]["lr"] == 7e-4


# --- lambdas and targets ----------------------------------------------------------------------------------------------


def test_advantages_and_returns_have_lambdas_of_their_own():
    learner = make(**PLAIN, gamma=0.5, gae_lambda=0.0, value_lambda=1.0)
    values = [10.0, 20.0, 40.0, 80.0]
    fixed_values(learner, own=values, target=values)
    data = learner.data_of(make_batch())
    assert data.advantages[0, :, 0].tolist() == [1 + 0.5 * 20 - 10, 2 + 0.5 * 40 - 20, 3 - 40]
    assert data.returns[0, :, 0, 0].tolist() == [1 + 0.5 * 2 + 0.25 * 3, 2 + 0.5 * 3, 3]
    learner.args.gae_lambda, learner.args.value_lambda = 1.0, 0.0
    data = learner.data_of(make_batch())
    assert data.advantages[0, :, 0].tolist() == [1 + 0.5 * 2 + 0.25 * 3 - 10, 2 + 0.5 * 3 - 20, 3 - 40]
    assert data.returns[0, :, 0, 0].tolist() == [1 + 0.5 * 20, 2 + 0.5 * 40, 3]


def test_without_a_value_lambda_one_lambda_serves_both():
    both, one = make(gae_lambda=0.5, value_lambda=0.5), make(gae_lambda=0.5, value_lambda=None)
    assert torch.equal(both.data_of(make_batch()).returns, one.data_of(make_batch()).returns)


@pytest.mark.parametrize(
    ("follows", "shares"), [(0.01, {1: 0.01, 2: 0.0199, 100: 1 - 0.99**100}), (100, {1: 0.0, 99: 0.0, 100: 1.0})]
)
def test_the_target_network_follows(follows, shares):
    learner = make(target_update_interval_or_tau=follows)
    with torch.no_grad():
        for target, present in zip(learner.target_critic.parameters(), learner.critic.parameters()):
            target.zero_()
            present.fill_(1.0)
    for update in range(1, 101):
        learner._follow()
        if update in shares:
            assert parameters(learner.target_critic).mean().item() == pytest.approx(shares[update], rel=1e-5)
    assert parameters(learner.critic).unique().tolist() == [1.0]


def test_a_target_update_of_zero_means_no_target_network():
    learner = make(target_update_interval_or_tau=0)
    assert learner.target_critic is None
    learner.train(make_batch(), 0, 0)


def test_returns_and_advantages_are_made_of_the_target_networks_values():
    learner = make(**PLAIN, gamma=0.5, gae_lambda=0.0, value_lambda=0.0, target_update_interval_or_tau=100)
    fixed_values(learner, own=[0.5, 1.0, 1.5, 9.0], target=[10.0, 20.0, 40.0, 80.0])
    data = learner.data_of(make_batch())
    assert data.returns[0, :, 0, 0].tolist() == [1 + 0.5 * 20, 2 + 0.5 * 40, 3.0]
    assert data.advantages[0, :, 0].tolist() == [11 - 10, 22 - 20, 3 - 40]


# --- rewards ----------------------------------------------------------------------------------------------------------


def test_rewards_are_scaled_by_the_deviation_of_discounted_sums_and_nothing_else_is():
    learner = make(gamma=0.5, gae_lambda=1.0, value_lambda=1.0)
    data = learner.data_of(make_batch())
    sums = torch.tensor([1, 0.5 * 1 + 2, 0.25 * 1 + 0.5 * 2 + 3, 5])  # padding does not count
    expected = torch.tensor([1 + 0.5 * 2 + 0.25 * 3, 2 + 0.5 * 3, 3]) / sums.std(correction=0)
    torch.testing.assert_close(data.returns[0, :, 0, 0], expected, rtol=1e-3, atol=0.0)
    assert learner.trainer.value_norm is None


# --- resuming, saving, refusing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("follows", [0, 0.01, 3])
def test_training_resumed_from_a_state_goes_on_to_the_bit(follows):
    changes = {"mini_batches": 2, "target_update_interval_or_tau": follows}
    through, first, second = (make(**changes) for _ in range(3))
    for t in range(5):
        through.train(make_batch(), t, t)
    for t in range(2):
        first.train(make_batch(), t, t)
    second.load_state_dict(deepcopy(first.state_dict()))
    second.mac.load_state_dict(first.mac.state_dict())
    for t in range(2, 5):
        second.train(make_batch(), t, t)
    networks = [[each.mac, each.critic, *[each.target_critic] * bool(follows)] for each in (through, second)]
    assert torch.equal(parameters(*networks[0]), parameters(*networks[1]))
    assert through.logger.stats["distil_loss"][-1] == second.logger.stats["distil_loss"][-1]


def test_models_hold_the_value_heads_and_the_distillations_optimizer(tmp_path):
    learner = make(target_update_interval_or_tau=0.01)
    learner.train(make_batch(), 0, 0)
    learner.save_models(tmp_path)
    assert {"distil_opt.th", "reward_scale.th", "target_critic.th"} <= {path.name for path in tmp_path.iterdir()}
    assert "agents.0.value_head.weight" in torch.load(tmp_path / "agent.th", weights_only=True)


def test_policies_without_a_value_head_are_refused():
    with pytest.raises(UserError, match='agent="ppo_rnn_value", not "ppo_rnn"'):
        make(agent="ppo_rnn")


@pytest.mark.parametrize("key", ["distil_epochs", "distil_lr", "distil_beta"])
def test_negative_values_are_refused(key):
    with pytest.raises(ValueError, match=key):
        make(**{key: -1})


def test_an_agent_without_steps_is_left_alone():
    learner = make()
    data = learner.data_of(make_batch())
    before = [parameters(agent) for agent in learner.mac.agent.agents]
    learner.distil(replace(data, policy_mask=data.policy_mask & torch.tensor([True, False])))
    moved = [not torch.equal(parameters(agent), old) for agent, old in zip(learner.mac.agent.agents, before)]
    assert moved == [True, False]


def test_the_value_head_does_not_change_what_a_policy_puts_out():
    learner = make()
    inputs, hidden = torch.randn(5, N, 3), torch.zeros(5, N, 8)
    before = learner.mac.agent(inputs, hidden)[0]
    assert before.shape == (5, N, A)
    with torch.no_grad():
        for head in heads(learner):
            head.weight.add_(1.0)
    assert torch.equal(learner.mac.agent(inputs, hidden)[0], before)


# --- the comparison ---------------------------------------------------------------------------------------------------


def test_both_sides_of_the_comparison_have_the_same_conditions():
    distil, control = (compose(f"thesis/{name}", "sc2") for name in ("th_mappo_distil", "th_mappo_ns"))
    own = {"name", "learner", "agent", "critic_type", "epochs", "gae_lambda", "value_epochs", "value_lambda"}
    assert {key for key, value in control.items() if distil[key] != value} == own
    assert distil["lr"] == control["lr"] == distil["critic_lr"] == control["critic_lr"]
    assert set(distil) - set(control) == {"distil_epochs", "distil_lr", "distil_beta"}

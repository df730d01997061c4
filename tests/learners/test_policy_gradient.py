"""The members of PPO's family that differ from MAPPO by keys: who sees what, who shares what, returns by hand."""

from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from policy_batch import SIZES, SMALL, A, N, fixed_values, make_batch, make_learner, parameters

from configuration import compose
from learners.coma_learner import counterfactual_advantages
from learners.sequences import Packing, run_packed
from modules.critics import REGISTRY as critics
from utils.errors import UserError

ZOO = ["ippo", "mappo_ns", "ia2c", "maa2c", "coma", "happo", "hatrpo", "mappo_distil"]


# --- what all of them must do -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ZOO)
def test_training_moves_both_networks_and_logs(name):
    learner = make_learner(name)
    actor, critic = parameters(learner.mac), parameters(learner.critic)
    learner.train(make_batch(), t_env=10, episode_num=2)
    assert not torch.equal(parameters(learner.mac), actor)
    assert not torch.equal(parameters(learner.critic), critic)
    own = {"kl", "improvement", "step_share"} if name == "hatrpo" else {"pg_loss", "agent_grad_norm"}
    assert own | {"critic_loss", "entropy", "target_mean", "lr"} <= set(learner.logger.stats)


@pytest.mark.parametrize("name", ZOO)
def test_resumed_training_equals_uninterrupted_training(name):
    through, first, second = (make_learner(name, mini_batches=2) for _ in range(3))
    for t in range(4):
        through.train(make_batch(), t, t)
    for t in range(2):
        first.train(make_batch(), t, t)
    second.load_state_dict(deepcopy(first.state_dict()))
    second.mac.load_state_dict(first.mac.state_dict())
    for t in range(2, 4):
        second.train(make_batch(), t, t)
    assert torch.equal(parameters(through.mac, through.critic), parameters(second.mac, second.critic))


@pytest.mark.parametrize("name", ZOO)
def test_saved_models_train_on_alike(name, tmp_path):
    learner, other = make_learner(name), make_learner(name)
    learner.train(make_batch(), 0, 0)
    learner.save_models(tmp_path)
    other.load_models(tmp_path)
    for each in (learner, other):
        each.train(make_batch(), 1, 1)
    assert torch.equal(parameters(learner.mac, learner.critic), parameters(other.mac, other.critic))


# --- IPPO -------------------------------------------------------------------------------------------------------------


def test_ippos_critic_sees_its_agents_observation_and_id_alone():
    batch = make_batch()
    data = make_learner("ippo").data_of(batch)
    assert torch.equal(data.critic_inputs[0, 0, :, :3], batch["obs"][0, 0])
    assert torch.equal(data.critic_inputs[0, 0, :, 3:], torch.eye(N))


def test_a_critic_that_sees_nothing_is_refused():
    with pytest.raises(UserError, match="critic_state"):
        make_learner("ippo", critic_obs=False)


# --- a network for every agent ----------------------------------------------------------------------------------------


def test_packed_rows_go_to_their_own_agents_network():
    torch.manual_seed(0)
    mask = torch.rand(5, 6, N) < 0.7
    hidden = torch.randn(5, N, 8)
    learner = make_learner("mappo_ns")
    inputs = torch.randn(5, 6, N, 3)
    packing = Packing.of(mask)
    outputs = run_packed(learner.mac.agent, packing.pack(inputs), packing, packing.start(hidden))
    expected = packing.pack(learner.mac.agent.forward_sequence(inputs, hidden)[0])
    torch.testing.assert_close(outputs, expected)


def test_an_agent_without_steps_leaves_its_network_alone():
    learner = make_learner("mappo_ns")
    data = learner.data_of(make_batch())
    before = [parameters(agent) for agent in learner.mac.agent.agents]
    learner.trainer.update(replace(data, policy_mask=data.policy_mask & torch.tensor([True, False])), learner.settings)
    moved = [not torch.equal(parameters(agent), old) for agent, old in zip(learner.mac.agent.agents, before)]
    assert moved == [True, False]


def test_every_agents_critic_is_its_own():
    learner, batch = make_learner("mappo_ns"), make_batch()
    before = learner.critic(batch)
    with torch.no_grad():
        for p in learner.critic.agents[1].parameters():
            p.add_(1.0)
    assert (learner.critic(batch) != before)[0, :, :, 0].any(0).tolist() == [False, True]
    data = learner.data_of(batch)
    values = learner.trainer.values(learner.critic.batch_inputs(batch), torch.ones(2, 4, N, dtype=torch.bool))
    torch.testing.assert_close(values[0], learner.critic(batch)[0])
    assert data.returns.shape == (2, 3, N, 1)


def test_a_critic_network_per_agent_needs_no_id_to_have_a_row_per_agent():
    args = SimpleNamespace(**{**compose("mappo_ns", "matrix_game"), **SMALL}, **SIZES)
    critic = critics["ppo_critic_ns"](make_batch().scheme, args)
    rows = critic.assemble(torch.ones(5, 4), None, torch.ones(5, N, dtype=torch.bool))
    assert rows.shape == (5, N, 4)


# --- advantage actor-critic -------------------------------------------------------------------------------------------


def test_two_step_returns_bootstrap_from_the_target_critic():
    changes = {"n_step": 2, "gamma": 0.5, "target_update_interval_or_tau": 0.01, "normalise_advantages": False}
    learner = make_learner("maa2c", use_value_norm=False, **changes)
    fixed_values(learner, own=[0.5, 1.0, 1.5, 9.0], target=[10.0, 20.0, 40.0, 80.0])
    data = learner.data_of(make_batch())
    assert data.returns[0, :, 0, 0].tolist() == [1 + 0.5 * 2 + 0.25 * 40, 2 + 0.5 * 3, 3.0]
    assert data.advantages[0, :, 0].tolist() == [12 - 0.5, 3.5 - 1.0, 3 - 1.5]
    assert data.returns[1, :, 0, 0].tolist() == [5.0, 0.0, 0.0]


def test_one_step_of_maa2c_is_the_plain_policy_gradient():
    learner = make_learner("maa2c", entropy_coef=0.0, grad_norm_clip=1e9)
    data = learner.data_of(make_batch())
    inputs, mask = learner.mac.sequence_inputs(make_batch())[:, :-1], data.policy_mask
    log_probs = learner.mac.unroll(inputs)[0].masked_fill(data.avail_actions == 0, -torch.inf).log_softmax(-1)
    chosen = log_probs.gather(3, data.actions.unsqueeze(-1)).squeeze(-1)
    loss = -(chosen[mask] * data.advantages[mask]).sum() / mask.sum()
    expected = torch.autograd.grad(loss, list(learner.mac.parameters()))
    learner.trainer.update(data, learner.settings)
    for parameter, gradient in zip(learner.mac.parameters(), expected):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("follows", "shares"), [(0.25, [0.25, 0.4375]), (2, [0.0, 1.0])])
def test_the_target_critic_follows(follows, shares):
    learner = make_learner("maa2c", target_update_interval_or_tau=follows)
    with torch.no_grad():
        for target, present in zip(learner.target_critic.parameters(), learner.critic.parameters()):
            target.zero_()
            present.fill_(1.0)
    for share in shares:
        learner._follow()
        assert {p.item() for p in parameters(learner.target_critic).unique()} == {share}


def test_the_critics_epochs_are_counted_apart():
    learner = make_learner("maa2c", epochs=1, value_epochs=4)
    steps = {"policy": 0, "value": 0}
    for kind in steps:
        step = getattr(learner.trainer, f"_{kind}_step")

        def count(*args, kind=kind, step=step):
            steps[kind] += 1
            return step(*args)

        setattr(learner.trainer, f"_{kind}_step", count)
    logged = learner.update(learner.data_of(make_batch()))
    assert steps == {"policy": 1, "value": 4}
    assert logged["ratio"] == pytest.approx(1.0)


# --- COMA -------------------------------------------------------------------------------------------------------------


def test_an_agents_values_depend_on_the_others_actions_and_not_on_its_own():
    critic, batch, other = make_learner("coma").critic, make_batch(), make_batch()
    other["actions"][0, 0, 0] = 1  # agent 0 did 2
    before, after = critic(batch)[0, 0], critic(other)[0, 0]
    assert before.shape == (N, A)
    assert (before != after).any(-1).tolist() == [False, True]


def test_counterfactual_advantages():
    q_values, probabilities = torch.tensor([[1.0, 4.0, -2.0]]), torch.tensor([[0.0, 0.75, 0.25]])
    expected = 0.75 * 4 - 0.25 * 2
    for action, q in enumerate([1.0, 4.0, -2.0]):
        advantage = counterfactual_advantages(q_values, probabilities, torch.tensor([[action]]))
        assert advantage.tolist() == [[q - expected]]


def test_the_dead_have_no_counterfactual_and_the_policy_expects_none():
    learner = make_learner("coma", normalise_advantages=False, use_value_norm=False)
    batch = make_batch()
    data = learner.data_of(batch)
    assert data.advantages[0, 1:, 1].abs().sum() == learner.critic(batch)[0, 1:3, 1, 0].abs().sum()
    assert not data.policy_mask[0, 1:, 1].any()
    probabilities = learner._probabilities(batch, batch["filled"][:, 1:] != 0)
    q_values = learner.critic(batch)[:, :-1].detach()
    expected = (probabilities * q_values).sum(-1)
    torch.testing.assert_close(data.advantages[0, :, 0], q_values[0, range(3), 0, [2, 1, 1]] - expected[0, :, 0])


@pytest.mark.parametrize(("lam", "expected"), [(0.0, [1 + 5.0, 2 + 6.5, 3.0]), (1.0, [1 + 1 + 0.75, 2 + 1.5, 3.0])])
def test_targets_of_taken_actions_by_td_lambda(lam, expected):
    learner = make_learner("coma", td_lambda=lam, gamma=0.5, use_value_norm=False)
    fixed = torch.tensor([[0.0, 1.0, 2.0], [0.0, 10.0, 1.0], [0.0, 13.0, 1.0], [7.0, 7.0, 7.0]])
    learner.trainer.values = lambda inputs, mask, hidden=None, critic=None: fixed.view(1, 4, 1, A).expand(2, 4, N, A)
    data = learner.data_of(make_batch())
    assert data.returns[0, :, 0, 0].tolist() == expected
    assert data.old_values[0, :, 0, 0].tolist() == [2.0, 10.0, 13.0]


def test_only_the_value_of_the_action_taken_is_trained():
    learner = make_learner("coma")
    data = learner.data_of(make_batch())
    before = learner.critic.head.weight.detach().clone()
    only = torch.zeros_like(data.value_mask)
    only[0, 0, 0] = True  # agent 0 did 2
    learner.trainer.update(replace(data, value_mask=only), replace(learner.settings, epochs=0, value_epochs=1))
    assert (learner.critic.head.weight != before).any(1).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("name", "critic", "fitting"),
    [
        ("coma", "ppo_critic", "coma_critic"),
        ("coma", "centralv", "coma_critic"),
        ("happo", "coma_critic", "ppo_critic"),
        ("maa2c", "cv_critic", "ppo_critic"),
    ],
)
def test_a_critic_that_values_something_else_is_refused(name, critic, fitting):
    with pytest.raises(UserError, match=f"cannot learn with critic_type={critic}; use critic_type={fitting}"):
        make_learner(name, critic_type=critic)


# --- HAPPO ------------------------------------------------------------------------------------------------------------


def ratios_since(learner, data):
    """By how much each agent's actions became likelier, [B, T, n]."""
    after = learner.trainer.log_probs(data.actor_inputs, data.avail_actions, data.actions, data.policy_mask)
    return torch.where(data.policy_mask, after - data.old_log_probs, 0.0).exp()


def test_the_second_agent_learns_from_the_advantage_times_the_first_ones_ratio():
    learner = make_learner("happo", fixed_order=True, lr=0.05)
    data, seen = learner.data_of(make_batch()), []
    improve = learner._improve
    learner._improve = lambda own: seen.append(own) or improve(own)
    learner.update(data)
    ratios = ratios_since(learner, data)
    assert (ratios[0, :, 0] - 1).abs().max() > 0.01
    assert torch.equal(seen[0].advantages, data.advantages)
    torch.testing.assert_close(seen[1].advantages, data.advantages * ratios[..., :1])
    assert [own.policy_mask.any(0).any(0).tolist() for own in seen] == [[True, False], [False, True]]


def test_the_factor_is_the_product_of_the_ratios_and_the_dead_do_not_count():
    learner = make_learner("happo", fixed_order=True)
    data = learner.data_of(make_batch())
    gains = iter([2.0, 3.0])

    def improve(own):
        gain = next(gains)
        learner.trainer.log_probs = lambda inputs, avail, actions, mask: data.old_log_probs + torch.tensor(gain).log()
        return {}

    learner._improve = improve
    logged = learner.update(data)
    # Steps at which both live: 2 of 4, factor 2 * 3; in the others agent 1 is dead: factor 2.
    assert logged["sequential_factor"] == pytest.approx((6 + 6 + 2 + 2) / 4)


def test_the_order_is_drawn_anew_and_is_part_of_the_state():
    learner = make_learner("happo")
    assert {tuple(learner._order()) for _ in range(20)} == {(0, 1), (1, 0)}
    other = make_learner("happo")
    other.load_state_dict(learner.state_dict())
    assert [learner._order() for _ in range(8)] == [other._order() for _ in range(8)]


def test_happo_refuses_agents_that_share_a_network():
    with pytest.raises(UserError, match="non_shared_mac"):
        make_learner("happo", mac="basic_mac")

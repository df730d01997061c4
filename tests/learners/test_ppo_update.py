"""The update does what its arithmetic says: masks, weights, padding, accumulation, hidden starts."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from learners.ppo_data import PPOData
from learners.ppo_update import PPOSettings, PPOTrainer, remove_conflict
from modules.agents.ppo_rnn_agent import PPORNNAgent
from modules.agents.rnn_agent import RNNAgent
from modules.recurrent_trunk import RecurrentTrunk, orthogonal_linear
from modules.unroll import unroll

B, T, N, A, D, C = 4, 5, 2, 3, 6, 7

SETTINGS = PPOSettings(
    epochs=1,
    mini_batches=1,
    eps_clip=0.2,
    entropy_coef=0.01,
    value_clip=True,
    huber_delta=10.0,
    value_loss_coef=1.0,
    grad_norm_clip=10.0,
    accumulate_gradients=1,
)


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = RecurrentTrunk(C, [8], 8)
        self.head = orthogonal_linear(8, 1)

    def forward_packed(self, inputs, batch_sizes, hidden=None):
        return self.head(self.trunk.packed(inputs, batch_sizes, hidden))


def make_trainer(agent_class=PPORNNAgent, lr=1e-2):
    torch.manual_seed(0)
    actor = agent_class(D, SimpleNamespace(n_actions=A, rnn_hidden_dim=8, hidden_layers=[8], policy_gain=1.0))
    critic = Critic()
    return PPOTrainer(
        actor,
        critic,
        torch.optim.SGD(actor.parameters(), lr=lr),
        torch.optim.SGD(critic.parameters(), lr=lr),
        None,
        torch.Generator().manual_seed(0),
        lambda inputs, hidden: unroll(actor, inputs, hidden),
    )


def make_data(trainer, lengths=(5, 3, 4, 1)):
    generator = torch.Generator().manual_seed(1)
    mask = (torch.arange(T).view(1, T, 1) < torch.tensor(lengths).view(B, 1, 1)).expand(B, T, N).clone()
    mask[0, 3:, 1] = False  # agent 1 of the first battle dies after three steps
    avail = torch.ones(B, T, N, A)
    avail[..., 2] = 0
    inputs = torch.randn(B, T, N, D, generator=generator)
    actions = torch.randint(0, 2, (B, T, N), generator=generator)
    critic_inputs = torch.randn(B, T, N, C, generator=generator)
    value_mask = (torch.arange(T).view(1, T, 1) < torch.tensor(lengths).view(B, 1, 1)).expand(B, T, N)
    return PPOData(
        actor_inputs=inputs,
        avail_actions=avail,
        actions=actions,
        old_log_probs=trainer.log_probs(inputs, avail, actions, mask),
        advantages=torch.randn(B, T, N, generator=generator),
        policy_mask=mask,
        critic_inputs=critic_inputs,
        returns=torch.randn(B, T, N, 1, generator=generator),
        old_values=trainer.values(critic_inputs, value_mask),
        value_mask=value_mask,
    )


def parameters_after(data, settings=SETTINGS, agent_class=PPORNNAgent):
    trainer = make_trainer(agent_class)
    logged = trainer.update(data, settings)
    networks = (trainer.actor, trainer.critic)
    return torch.cat([p.detach().flatten() for net in networks for p in net.parameters()]), logged


@pytest.fixture
def data():
    return make_data(make_trainer())


def test_first_epoch_has_ratio_one_and_loss_minus_the_mean_advantage(data):
    _, logged = parameters_after(data)
    assert logged["ratio"] == pytest.approx(1.0, abs=1e-5)
    assert logged["clip_fraction"] == 0
    assert logged["pg_loss"] == pytest.approx(-data.advantages[data.policy_mask].mean().item(), abs=1e-5)


def test_the_loss_falls_over_epochs(data):
    trainer = make_trainer(lr=0.1)
    first = trainer.update(data, SETTINGS)
    last = trainer.update(data, replace(SETTINGS, epochs=20))
    assert last["pg_loss"] < first["pg_loss"]
    assert last["critic_loss"] < first["critic_loss"]


def test_an_action_given_up_comes_back_with_a_floor_and_not_with_entropy():
    chances = []
    for settings in (replace(SETTINGS, entropy_coef=0.1), replace(SETTINGS, entropy_coef=0.0, policy_floor=0.01)):
        trainer = make_trainer(lr=1.0)
        with torch.no_grad():
            trainer.actor.head.bias += torch.tensor([0.0, -20.0, 0.0])
        data = make_data(trainer)
        data = replace(data, actions=torch.zeros_like(data.actions), advantages=torch.zeros_like(data.advantages))
        trainer.update(data, replace(settings, epochs=300))
        probabilities = trainer.probabilities(data.actor_inputs, data.avail_actions, data.policy_mask)
        chances.append(probabilities[data.policy_mask][:, 1].mean().item())
    assert chances[0] < 1e-6
    assert 0.005 < chances[1] < 0.05


def test_surgery_takes_off_what_opposes_the_guide_and_nothing_else():
    first, unused, second = (nn.Parameter(torch.zeros(n)) for n in (2, 3, 1))
    guide = torch.tensor([3.0, 0.0, 4.0])
    first.grad, second.grad = torch.tensor([-5.0, 7.0]), torch.tensor([0.0])
    assert remove_conflict([first, unused, second], guide) == 1  # -15 / 25 of the guide is taken off
    torch.testing.assert_close(torch.cat([first.grad, second.grad]), torch.tensor([-3.2, 7.0, 2.4]))
    agreeing = torch.cat([first.grad, second.grad]) + guide
    first.grad, second.grad = agreeing[:2].clone(), agreeing[2:].clone()
    assert remove_conflict([first, unused, second], guide) == 0
    assert torch.equal(torch.cat([first.grad, second.grad]), agreeing)


def test_a_policy_does_not_move_against_its_guide(data):
    settings = replace(SETTINGS, epochs=1, mini_batches=1, entropy_coef=0.0)
    moved = []
    for sign in (None, 1.0, -1.0):
        trainer = make_trainer()
        guide = None if sign is None else sign * trainer.policy_gradient(data, settings)
        before = torch.cat([p.detach().flatten().clone() for p in trainer.actor.parameters()])
        logged = trainer.update(data, settings, guide)
        assert logged.get("conflict") == (None if sign is None else float(sign < 0))
        moved.append(torch.cat([p.detach().flatten() for p in trainer.actor.parameters()]) - before)
    assert torch.equal(moved[0], moved[1]) and moved[0].abs().max() > 1e-4
    # what is left is rounding, 1e-7 of the gradient, of which Adam's epsilon makes little
    assert moved[2].abs().max() < 0.1 * moved[0].abs().max()


def test_what_lies_behind_the_masks_changes_nothing(data):
    expected, _ = parameters_after(data)
    policy, value = data.policy_mask, data.value_mask
    spoilt = replace(
        data,
        actor_inputs=data.actor_inputs.masked_fill(~policy.unsqueeze(-1), 1e6),
        advantages=data.advantages.masked_fill(~policy, torch.nan),
        old_log_probs=data.old_log_probs.masked_fill(~policy, torch.nan),
        critic_inputs=data.critic_inputs.masked_fill(~value.unsqueeze(-1), 1e6),
        returns=data.returns.masked_fill(~value.unsqueeze(-1), torch.nan),
        avail_actions=data.avail_actions.masked_fill(~policy.unsqueeze(-1), 0),
    )
    assert torch.equal(parameters_after(spoilt)[0], expected)


def test_dead_agents_send_no_gradient(data):
    dead = replace(data, policy_mask=torch.zeros_like(data.policy_mask))
    trainer = make_trainer()
    before = [p.clone() for p in trainer.actor.parameters()]
    logged = trainer.update(dead, replace(SETTINGS, epochs=3))
    assert all(torch.equal(p, q) for p, q in zip(trainer.actor.parameters(), before))
    assert logged["agent_grad_norm"] == 0


def test_a_weight_of_zero_is_as_good_as_a_mask_but_for_the_count(data):
    first_only = torch.zeros(B, T, N)
    first_only[0] = 1.0
    weighted = replace(data, weights=first_only * 2, value_weights=first_only)
    mask = first_only.bool()
    masked = replace(data, policy_mask=data.policy_mask & mask, value_mask=data.value_mask & mask)
    loss, expected = parameters_after(weighted)[1]["pg_loss"], parameters_after(masked)[1]["pg_loss"]
    share = masked.policy_mask.sum() / data.policy_mask.sum()
    assert loss == pytest.approx(2 * expected * share.item(), rel=1e-4)


def test_accumulated_gradients_are_those_of_the_whole(data):
    whole, _ = parameters_after(data)
    pieces, _ = parameters_after(data, replace(SETTINGS, accumulate_gradients=3))
    torch.testing.assert_close(pieces, whole, rtol=1e-5, atol=1e-6)


def test_mini_batches_step_more_often_and_need_enough_episodes(data):
    _, logged = parameters_after(data, replace(SETTINGS, mini_batches=4))
    assert logged["ratio"] == pytest.approx(1.0, abs=0.1)
    with pytest.raises(ValueError, match="4 episodes"):
        parameters_after(data, replace(SETTINGS, mini_batches=5))


def test_padding_by_cat_changes_nothing(data):
    short = replace(data, **{k: getattr(data, k)[1:] for k in vars(data) if getattr(data, k) is not None})
    clipped = {k: getattr(short, k)[:, :4] for k in vars(short) if getattr(short, k) is not None}
    first = replace(data, **{k: getattr(data, k)[:1] for k in vars(data) if getattr(data, k) is not None})
    joined = PPOData.cat([first, replace(short, **clipped)])
    torch.testing.assert_close(parameters_after(joined)[0], parameters_after(data)[0], rtol=1e-5, atol=1e-6)


def test_cat_fills_in_weights_and_hidden_states(data):
    weighted = replace(data, weights=torch.full((B, T, N), 0.5), actor_hidden=torch.ones(B, N, 8))
    joined = PPOData.cat([weighted, data])
    assert joined.weights[0].unique().tolist() == [0.5]
    assert joined.weights[B].unique().tolist() == [1.0]
    assert joined.actor_hidden[B:].abs().sum() == 0


def test_sequences_start_from_their_hidden_state():
    trainer = make_trainer()
    inputs, avail = torch.randn(2, T, N, D), torch.ones(2, T, N, A)
    actions, mask = torch.zeros(2, T, N, dtype=torch.long), torch.ones(2, T, N, dtype=torch.bool)
    whole = trainer.log_probs(inputs, avail, actions, mask)
    with torch.no_grad():
        _, hidden = trainer.actor.forward_sequence(inputs[:, :2])
    rest = trainer.log_probs(inputs[:, 2:], avail[:, 2:], actions[:, 2:], mask[:, 2:], hidden)
    torch.testing.assert_close(rest, whole[:, 2:])


def test_an_agent_without_packed_sequences_trains_alike(data):
    class Unpacked(PPORNNAgent):
        forward_packed = property()  # hasattr is False

    torch.testing.assert_close(parameters_after(data, agent_class=Unpacked)[0], parameters_after(data)[0])


def test_pymarls_rnn_agent_trains_too(data):
    trainer = make_trainer(RNNAgent)
    before = trainer.actor.fc1.weight.clone()
    trainer.update(make_data(trainer), SETTINGS)
    assert not torch.equal(trainer.actor.fc1.weight, before)


@pytest.mark.parametrize(("key", "value"), [("epochs", 0), ("mini_batches", 0), ("eps_clip", 0.0)])
def test_settings_out_of_range(key, value):
    args = SimpleNamespace(**{**vars(SETTINGS), key: value})
    with pytest.raises(ValueError, match=key):
        PPOSettings.from_args(args)

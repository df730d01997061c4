"""MADDPG and MASAC: targets, gradients and temperature by hand; what moves; resuming to the bit."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from components.episode_buffer import EpisodeBatch
from configuration import compose
from controllers.basic_controller import BasicMAC
from controllers.non_shared_controller import NonSharedMAC
from learners.maddpg_learner import MADDPGLearner
from learners.masac_learner import MASACLearner
from run.assembly import fields_of
from utils.errors import UserError

N, A = 2, 3
LEARNERS = {"maddpg": MADDPGLearner, "masac": MASACLearner}
KINDS = [(name, continuous) for name in LEARNERS for continuous in (False, True)]


class SilentLogger:
    def __init__(self):
        self.stats = {}

    def log_stat(self, key, value, t, to_sacred=True):
        assert value == value
        self.stats[key] = value


def make(name, continuous, mac=BasicMAC, **changes):
    small = {"seed": 1, "learner_log_interval": 1, "hidden_layers": [8], "critic_layers": [8], "rnn_hidden_dim": 8}
    args = SimpleNamespace(**{**compose(name, "matrix_game"), **small, "policy_gain": 1.0, **changes})
    sizes = {"state_shape": 4, "obs_shape": 3, "n_actions": A, "n_agents": N, "episode_limit": 3}
    fields = fields_of(args, {**sizes, "continuous_actions": continuous})
    torch.manual_seed(0)
    learner = LEARNERS[name](mac(fields.full, fields.groups, args), fields.full, SilentLogger(), args)
    return learner, make_batch(fields, continuous)


def make_batch(fields, continuous, lengths=(3, 1)):
    """An episode cut off after three steps and one that terminates after one; agent 1 may not take action 0."""
    batch = EpisodeBatch(fields.scheme, fields.groups, 2, 4, preprocess=fields.preprocess)
    generator = torch.Generator().manual_seed(5)
    for b, length in enumerate(lengths):
        actions = torch.rand(1, length + 1, N, A, generator=generator) * 2 - 1
        data = {
            "state": torch.randn(1, length + 1, 4, generator=generator),
            "obs": torch.randn(1, length + 1, N, 3, generator=generator),
            "avail_actions": torch.tensor([[1, 1, 1], [0, 1, 1]]).expand(1, length + 1, N, A),
            "actions": actions if continuous else torch.full((1, length + 1, N, 1), 2),
            "reward": torch.arange(1.0, length + 2).view(1, -1, 1),
        }
        batch.update(data, bs=b, ts=slice(0, length + 1))
    batch.update({"terminated": torch.ones(1, 1, 1)}, bs=1, ts=0, mark_filled=False)
    return batch


def constant_critic(learner, *values):
    """Let the target critics give these values, whatever they read."""
    for critic, value in zip(learner.targets["critic"].critics, values):
        torch.nn.init.zeros_(critic[-1].weight)
        torch.nn.init.constant_(critic[-1].bias, value)


def linear_critic(learner, *slopes):
    """Let each critic give the sum of its `slopes` [N, A] times the action vectors, and nothing of the state."""
    for critic, own in zip(learner.networks["critic"].critics, slopes, strict=True):
        critic.forward = lambda inputs, own=own: (inputs[..., 4:] * own.flatten()).sum(-1, keepdim=True)


def uniform_policy(learner):
    """Let all that is legal be equally likely."""
    torch.nn.init.zeros_(learner.mac.agent.head.weight)
    torch.nn.init.zeros_(learner.mac.agent.head.bias)


def idle(batch):
    """Leave agent 1 no choice: action 2 is the only one."""
    batch.data.transition_data["avail_actions"][:, :, 1] = torch.tensor([0, 0, 1])


def same_draws(learner):
    """A generator that gives what the learner will draw next."""
    return torch.Generator().set_state(learner._generator.get_state())


def actor_slopes(learner, batch):
    """What the policies put out in the steps [B, T-1, n, .], with the slope of the actors' loss as its `grad`."""
    outputs = learner.mac.forward_sequence(batch)[:, :-1].detach().requires_grad_()
    learner._outputs = lambda mac, data, frames: outputs
    learner._actor_loss(learner._read(batch))[0].backward()
    return outputs


# --- targets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("continuous", [False, True])
def test_maddpgs_target_is_the_reward_and_the_lesser_discounted_target_value(continuous):
    learner, batch = make("maddpg", continuous, n_critics=2, gamma=0.9)
    constant_critic(learner, 10.0, 7.0)
    data = learner._read(batch)
    _, errors, statistics = learner._loss(data)
    values = learner.networks["critic"](data.state[:, :-1], data.taken)
    targets = torch.tensor([[1 + 6.3, 2 + 6.3, 3 + 6.3], [1.0, 0, 0]]).unsqueeze(-1)  # the last one terminates
    torch.testing.assert_close(errors, (values - targets) * data.mask)
    torch.testing.assert_close(statistics["critic_loss"], errors.square().sum() / 4)


def test_masacs_discrete_target_has_the_exact_entropy_of_the_team():
    learner, batch = make("masac", False, gamma=0.9, temperature_start=0.5)
    constant_critic(learner, 10.0, 7.0)
    uniform_policy(learner)  # over three and two actions
    soft = learner._next_values(learner._read(batch))
    torch.testing.assert_close(soft[0], torch.full((3, 1), 7 + 0.5 * (math.log(3) + math.log(2))))


def test_masacs_continuous_target_prices_the_drawn_actions_density():
    learner, batch = make("masac", True, temperature_start=0.5, policy_gain=0.1)
    constant_critic(learner, 7.0, 10.0)
    noise = torch.randn(2, 3, N, A, generator=same_draws(learner))
    soft = learner._next_values(learner._read(batch))
    mean, log_std = learner.mac.forward_sequence(batch)[:, 1:].chunk(2, dim=-1)
    raw = torch.distributions.Normal(mean, log_std.exp())
    action = raw.mean + raw.stddev * noise
    log_probs = (raw.log_prob(action) - (1 - action.tanh() ** 2).log()) * (batch["avail_actions"][:, 1:] != 0)
    expected = 7.0 - 0.5 * log_probs.sum((2, 3)).unsqueeze(-1)
    torch.testing.assert_close(soft[0], expected[0], atol=1e-4, rtol=1e-4)


# --- policies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", ["replay", "policy"])
def test_maddpgs_continuous_policies_climb_the_critic(others):
    learner, batch = make("maddpg", True, other_actions=others, policy_regularisation=0.0)
    slopes = torch.tensor([[1.0, -2.0, 0.5], [3.0, 1.0, -1.0]])
    linear_critic(learner, slopes)
    outputs = actor_slopes(learner, batch)
    mask = batch["filled"][:, 1:].unsqueeze(-1)
    has = batch["avail_actions"][:, :-1]
    steps = 4 * N if others == "replay" else 4
    torch.testing.assert_close(outputs.grad, -slopes * (1 - outputs.detach().tanh() ** 2) * mask * has / steps)


def test_an_agents_choice_is_valued_beside_the_others_in_the_replay():
    learner, batch = make("maddpg", True)
    data = learner._read(batch)
    chosen = torch.rand_like(data.taken)
    values = learner._values_of(data, chosen)
    for agent in range(N):
        joint = data.taken.clone()
        joint[:, :, agent] = chosen[:, :, agent]
        torch.testing.assert_close(values[..., agent], learner.networks["critic"](data.state[:, :-1], joint)[..., 0])


# `steps` are those of which the loss is a mean: of the team, of the agents, of those of them that have a choice.
@pytest.mark.parametrize(
    ("others", "alone", "steps"), [("policy", False, 4), ("replay", False, 8), ("replay", True, 4)]
)
def test_discrete_policies_learn_by_the_relaxed_draw(others, alone, steps):
    learner, batch = make("maddpg", False, policy_regularisation=0.0, gumbel_temperature=0.7, other_actions=others)
    if alone:
        idle(batch)
    slopes = torch.tensor([[1.0, -2.0, 0.5], [30.0, 1.0, -1.0]])
    linear_critic(learner, slopes)
    noise = torch.empty(2, 3, N, A).exponential_(generator=same_draws(learner)).log().neg()
    outputs = actor_slopes(learner, batch)
    avail = batch["avail_actions"][0, 0] != 0
    soft = ((outputs.detach() + noise) / 0.7).masked_fill(~avail, -torch.inf).softmax(-1)
    mean = (soft * slopes).sum(-1, keepdim=True)
    mask = batch["filled"][:, 1:].unsqueeze(-1)
    torch.testing.assert_close(outputs.grad, -soft * (slopes - mean) / 0.7 * mask / steps)
    assert outputs.grad[:, :, 1, 0].abs().max() == 0  # never legal


@pytest.mark.parametrize("others", ["replay", "policy"])
def test_masacs_policies_climb_the_lesser_value_and_their_entropy(others):
    learner, batch = make("masac", True, other_actions=others, temperature_start=0.5)
    slopes = torch.tensor([[1.0, -2.0, 0.5], [3.0, 1.0, -1.0]])
    linear_critic(learner, slopes, -slopes)
    noise = torch.randn(2, 3, N, A, generator=same_draws(learner))
    outputs = actor_slopes(learner, batch)
    mean, log_std = outputs.detach().chunk(2, dim=-1)
    has = batch["avail_actions"][:, :-1]
    actions = (mean + log_std.exp() * noise).tanh()
    values = (slopes * actions * has).sum(-1, keepdim=True)  # [B, T-1, n, 1]: each agent's part
    if others == "policy":
        values = values.sum(2, keepdim=True)
    else:
        replayed = (slopes * batch["actions"][:, :-1]).sum(-1, keepdim=True)
        values = values + replayed.sum(2, keepdim=True) - replayed
    # The lesser of Q and -Q falls as |Q| grows. Entropy: log std + log(1 - tanh(u)^2), where u = mean + std * noise.
    by_u = (-values.sign() * slopes * (1 - actions**2) - 0.5 * 2 * actions) * has
    by_log_std = by_u * log_std.exp() * noise + 0.5 * has
    mask = batch["filled"][:, 1:].unsqueeze(-1)
    torch.testing.assert_close(outputs.grad, -torch.cat((by_u, by_log_std), -1) * mask / (N * 4))


@pytest.mark.parametrize(("alone", "excess"), [(False, 0.7 * math.log(3 * 2) / 2), (True, 0.7 * math.log(3))])
def test_the_temperatures_slope_is_the_mean_entropy_above_what_is_wanted(alone, excess):
    learner, batch = make("masac", False, target_entropy_share=0.3)
    uniform_policy(learner)
    if alone:
        idle(batch)
    actor_slopes(learner, batch)
    assert learner.networks["temperature"].log.grad.item() == pytest.approx(excess)


@pytest.mark.parametrize("continuous", [False, True])
def test_the_temperature_falls_where_policies_are_more_random_than_wanted(continuous):
    moved = {}
    for wanted in (-20.0, 20.0):
        learner, batch = make("masac", continuous, target_entropy=wanted, target_entropy_share=(wanted > 0) * 1.0)
        if not continuous:
            torch.nn.init.constant_(learner.mac.agent.head.bias, 0.0)
            learner.mac.agent.head.bias.data[1] = 2.0  # neither uniform nor sure
        learner.train(batch, 0, 0)
        moved[wanted] = learner.networks["temperature"]().item() - learner.args.temperature_start
    assert moved[-20.0] < 0 < moved[20.0]


def test_the_wanted_entropy_counts_legal_actions_or_numbers():
    avail = torch.tensor([[1, 1, 1], [0, 1, 1], [1, 0, 0]])
    discrete = make("masac", False, target_entropy_share=0.5)[0].target_entropy(avail)
    torch.testing.assert_close(discrete, 0.5 * torch.tensor([3.0, 2.0, 1.0]).log())
    assert make("masac", True, target_entropy=-1.0)[0].target_entropy(avail).tolist() == [-3, -2, -1]


# --- an update --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "continuous"), KINDS)
def test_an_update_moves_everything_and_targets_a_little(name, continuous):
    learner, batch = make(name, continuous, target_update_tau=0.25)
    before = {k: [p.clone() for p in net.parameters()] for k, net in learner.networks.items()}
    slow = [p.clone() for p in learner.targets["critic"].parameters()]
    actor = [p.clone() for p in learner.mac.parameters()]
    learner.train(batch, 0, 0)
    assert all(not torch.equal(a, b) for a, b in zip(actor, learner.mac.parameters()))
    for key, old in before.items():
        assert any(not torch.equal(a, b) for a, b in zip(old, learner.networks[key].parameters()))
    for old, new, target in zip(slow, learner.networks["critic"].parameters(), learner.targets["critic"].parameters()):
        torch.testing.assert_close(target, old + 0.25 * (new - old))
    assert {"critic_loss", "actor_loss", "td_error_abs", "q_taken_mean", "target_mean"} <= set(learner.logger.stats)


@pytest.mark.parametrize(("name", "continuous"), KINDS)
def test_the_actors_loss_does_not_pull_at_the_critic(name, continuous):
    learner, batch = make(name, continuous)
    critic = list(learner.networks["critic"].parameters())
    loss, _, statistics = learner._loss(learner._read(batch))
    expected = torch.autograd.grad(statistics["critic_loss"], critic, retain_graph=True)
    assert all(torch.equal(a, b) for a, b in zip(torch.autograd.grad(loss, critic), expected))


def test_actors_critic_and_temperature_have_rates_of_their_own():
    rates = {"lr": 0.01, "critic_lr": 0.02, "temperature_lr": 0.04}
    learner, batch = make("masac", False, optim_eps=1e-12, **rates)
    groups = [list(part.parameters()) for part in (learner.mac, *learner.networks.values())]
    before = [parameters_to_vector(group).detach() for group in groups]
    learner.train(batch, 0, 0)
    moved = [(parameters_to_vector(group) - old).abs().max().item() for group, old in zip(groups, before)]
    assert moved == pytest.approx([0.01, 0.02, 0.04], rel=1e-3)  # Adam's first step is the rate, whatever the slope


@pytest.mark.parametrize(("name", "continuous"), KINDS)
def test_what_lies_in_the_padding_changes_nothing(name, continuous):
    results = []
    for padding in (0.0, 1e3):
        learner, batch = make(name, continuous)
        data = batch.data.transition_data
        for key in ("state", "obs", "reward"):
            data[key][1, 2:] = padding
        learner.train(batch, 0, 0)
        results.append([p.clone() for p in (*learner.mac.parameters(), *learner.networks["critic"].parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*results))


@pytest.mark.parametrize(("name", "continuous"), KINDS)
def test_training_resumed_from_a_state_goes_on_to_the_bit(name, continuous, tmp_path):
    first, batch = make(name, continuous)
    for step in range(3):
        first.train(batch, step, step)
    torch.save({"learner": first.state_dict(), "mac": first.mac.state_dict()}, tmp_path / "state")
    state = torch.load(tmp_path / "state", weights_only=True)
    second, _ = make(name, continuous, seed=7)
    second.mac.load_state_dict(state["mac"])
    second.load_state_dict(state["learner"])
    for step in range(3, 6):
        first.train(batch, step, step)
        second.train(batch, step, step)
    for mine, theirs in ((first.mac.agent, second.mac.agent), (first.targets["critic"], second.targets["critic"])):
        assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), theirs.parameters()))
    assert first.logger.stats == second.logger.stats


@pytest.mark.parametrize(("name", "continuous"), KINDS)
def test_saved_models_come_back(name, continuous, tmp_path):
    first, batch = make(name, continuous)
    first.train(batch, 0, 0)
    first.save_models(tmp_path)
    second, _ = make(name, continuous)
    second.load_models(tmp_path)
    data = first._read(batch)
    values = [learner.networks["critic"](data.state[:, :-1], data.taken) for learner in (first, second)]
    assert torch.equal(*values)
    assert torch.equal(first.mac.forward_sequence(batch), second.mac.forward_sequence(batch))


@pytest.mark.parametrize(("name", "continuous"), KINDS)
@pytest.mark.parametrize("mac", [BasicMAC, NonSharedMAC])
def test_agents_with_memory_and_last_actions_learn_from_whole_episodes(name, continuous, mac):
    learner, batch = make(name, continuous, mac, agent="rnn", obs_last_action=True)
    mac = learner.mac
    mac.init_hidden(2)
    actions = torch.cat([mac.select_actions(batch, t, 0, test_mode=True).view(2, 1, N, -1) for t in range(2)], 1)
    assert actions.shape == (2, 2, N, A if continuous else 1)
    mac.init_hidden(2)
    steps = torch.stack([mac._step(batch, t, None) for t in range(4)], dim=1)
    torch.testing.assert_close(steps, mac.forward_sequence(batch))
    learner.train(batch, 0, 0)


def test_a_wrong_choice_is_named():
    with pytest.raises(UserError, match='Did you mean "policy"'):
        make("maddpg", True, other_actions="policies")

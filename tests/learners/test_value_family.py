"""The value-based family: what each mixer can and cannot represent, losses by hand, soft targets, priorities, files."""

from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch

from components.episode_buffer import EpisodeBatch
from components.prioritized_replay_buffer import PrioritizedReplayBuffer
from components.transforms import OneHot
from configuration import compose
from controllers import REGISTRY as controllers
from envs.matrix_game import PAYOFFS
from learners import REGISTRY as learners
from run.assembly import build_scheme
from utils.errors import UserError

SIZES = {"state_shape": 1, "obs_shape": 1, "n_actions": 3, "n_agents": 2}
PAYOFF = torch.tensor(PAYOFFS["one_step"])
SMALL = {"rnn_hidden_dim": 16, "hypernet_embed": 32, "mixing_embed_dim": 32, "learner_log_interval": 10**9}


class SilentLogger:
    def log_stat(self, key, value, t, to_sacred=True):
        assert value == value


def make_learner(name, **changes):
    keys = {**compose(name, "matrix_game"), **SMALL, "seed": 1, "episode_limit": 1, **changes}
    args = SimpleNamespace(**{k: v for k, v in keys.items() if k in changes or k not in SIZES}, **SIZES)
    scheme = make_batch().scheme
    torch.manual_seed(0)
    mac = controllers[args.mac](scheme, {"agents": 2}, args)
    return learners[args.learner](mac, scheme, SilentLogger(), args)


def make_batch():
    """Every joint action once."""
    scheme, groups = build_scheme(SIZES, need_probs=False)
    batch = EpisodeBatch(scheme, groups, 9, 2, preprocess={"actions": ("actions_onehot", [OneHot(3)])})
    actions = torch.cartesian_prod(torch.arange(3), torch.arange(3)).view(9, 1, 2, 1)
    fields = {
        "state": torch.ones(9, 2, 1),
        "obs": torch.ones(9, 2, 2, 1),
        "avail_actions": torch.ones(9, 2, 2, 3),
        "actions": actions.expand(9, 2, 2, 1),
        "reward": PAYOFF.reshape(9, 1, 1).expand(9, 2, 1),
    }
    batch.update(fields, ts=slice(0, 2))
    batch.update({"terminated": torch.ones(9, 1, 1)}, ts=slice(0, 1), mark_filled=False)
    return batch


def greedy_after(name, steps, **changes):
    learner, batch = make_learner(name, **changes), make_batch()
    for step in range(steps):
        learner.train(batch, step, step)
    with torch.no_grad():
        return tuple(learner.mac.forward_sequence(batch)[0, 0].argmax(-1).tolist())


@pytest.mark.parametrize("name", ["iql", "vdn", "qmix"])
def test_monotonic_mixers_miss_the_best_joint_action_of_the_matrix_game(name):
    assert greedy_after(name, 500) != (0, 0)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("ow_qmix", {"w": 0.1, "central_mixing_embed_dim": 32}),
        ("cw_qmix", {"w": 0.1, "central_mixing_embed_dim": 32}),
        ("qtran", {"mixing_embed_dim": 32}),
        ("qtran", {"mixing_embed_dim": 32, "mixer": "qtran_base"}),
        ("qplex", {"adv_hypernet_embed": 32, "lr": 0.003, "weighted_head": False}),
    ],
)
def test_richer_ones_find_it(name, changes):
    assert greedy_after(name, 800, **changes) == (0, 0)


@torch.no_grad()
def test_qplex_is_greatest_at_the_agents_own_best_actions():
    learner, batch = make_learner("qplex"), make_batch()
    q_values = torch.randn(1, 1, 2, 3).expand(9, 2, 2, 3)
    data = learner._read(batch)
    joint = learner._team_value(learner.networks["mixer"], q_values, data, data.actions)[:, 0]
    best = q_values[0, 0].argmax(-1)
    assert joint.argmax() == best[0] * 3 + best[1]


@torch.no_grad()
@pytest.mark.parametrize("weighting", ["optimistic", "central"])
def test_weighted_qmix_counts_what_its_paper_says(weighting):
    learner, batch = make_learner("ow_qmix", weighting=weighting, w=0.25), make_batch()
    data = learner._read(batch)
    errors, targets = torch.linspace(-4, 4, 9).view(9, 1, 1), torch.arange(9.0).view(9, 1, 1)
    best = torch.tensor([1, 1]).view(1, 1, 2, 1).expand(9, 1, 2, 1)  # joint action 4
    weights = learner._weights(data, errors, targets, torch.full((9, 1, 1), 6.0), best).flatten().tolist()
    undervalued = [1.0] * 4 + [0.25] * 5
    greedy_or_better = [0.25, 0.25, 0.25, 0.25, 1.0, 0.25, 0.25, 1.0, 1.0]
    assert weights == (undervalued if weighting == "optimistic" else greedy_or_better)


def test_qtran_bases_losses_by_hand():
    """With agents' values u + v, a joint value of twice the payoff and V = 1."""
    learner, batch = make_learner("qtran", mixer="qtran_base", nopt_min_loss=0.1), make_batch()
    data = learner._read(batch)
    own = torch.tensor([[3.0, 0.0, 1.0], [2.0, 1.0, 0.0]])
    learner._values = lambda mac, data: own.expand(9, 2, 2, 3)

    class Joint(torch.nn.Module):
        def forward(self, batch, hidden, actions):
            taken = actions.argmax(-1).reshape(-1, 2)
            return 2 * PAYOFF[taken[:, 0], taken[:, 1]].view(-1, 1), torch.ones(len(taken), 1)

    learner.networks["mixer"] = learner.targets["mixer"] = Joint()
    loss, errors, statistics = learner._loss(data)
    assert errors.flatten().tolist() == PAYOFF.flatten().tolist()
    assert statistics["loss_td"].item() == pytest.approx(PAYOFF.square().mean().item())
    assert statistics["opt_loss"].item() == pytest.approx((3 + 2 - 16 + 1) ** 2)
    sums = own[0].view(3, 1) + own[1].view(1, 3)
    nopt = (sums - 2 * PAYOFF + 1).clamp(max=0).square().mean().item()
    assert statistics["nopt_loss"].item() == pytest.approx(nopt)
    assert loss.item() == pytest.approx(statistics["loss_td"].item() + 100 + 0.1 * nopt)


def test_qtran_alts_losses_by_hand():
    """The same, where the joint value of each agent's actions is known beside the other's action."""
    learner, batch = make_learner("qtran"), make_batch()
    batch["avail_actions"][:, :, 1, 2] = 0
    data = learner._read(batch)
    own = torch.tensor([[3.0, 0.0, 1.0], [2.0, 1.0, 9.0]])
    learner._values = lambda mac, data: own.expand(9, 2, 2, 3)

    class Joint(torch.nn.Module):
        def forward(self, batch, hidden, actions):
            first, second = actions.argmax(-1).reshape(-1, 2).unbind(1)
            values = 2 * torch.stack((PAYOFF[:, second].T, PAYOFF[first]), 1)
            return values.unsqueeze(0), torch.ones(1, len(first), 1)

    learner.networks["mixer"] = learner.targets["mixer"] = Joint()
    loss, errors, statistics = learner._loss(data)
    assert torch.equal(errors, PAYOFF.reshape(9, 1, 1).expand(9, 1, 2))
    assert statistics["opt_loss"].item() == pytest.approx((3 + 2 - 16 + 1) ** 2)
    gaps = own[0].view(3, 1) + own[1].view(1, 3) - 2 * PAYOFF + 1
    lowest = torch.cat((gaps.amin(0).repeat(3), gaps[:, :2].amin(1).repeat_interleave(3)))
    assert statistics["nopt_loss"].item() == pytest.approx(lowest.square().mean().item())
    assert loss.item() == pytest.approx(sum(statistics[name].item() for name in ("loss_td", "opt_loss", "nopt_loss")))


def test_qtran_alt_wants_no_equality_beside_an_agent_without_choice():
    """The second agent has action 1 alone: its own part of the condition is that the sum must not lie below."""
    learner, batch = make_learner("qtran"), make_batch()
    batch["avail_actions"][:, :, 1, ::2] = 0
    data = learner._read(batch)
    q_values = torch.tensor([[3.0, 0.0, 1.0], [2.0, 1.0, 9.0]]).expand(9, 2, 2, 3)
    joint = torch.full((9, 2, 2, 3), 4.0)
    gaps = learner._gap(data, q_values, data.avail > 0, joint, torch.ones(9, 2, 1))[:, 0]
    by_hand = torch.tensor([3 + 1, 0 + 1, 1 + 1]) - 4.0 + 1  # of (0, 1), (1, 1), (2, 1)
    taken = batch["actions"][:, 0, :, 0]
    with_one = taken[:, 1] == 1
    assert gaps[with_one, 1].tolist() == by_hand.clamp(max=0).tolist()
    assert gaps[with_one, 0].tolist() == [by_hand.min().item()] * 3


@pytest.mark.parametrize("double_q", [True, False])
@pytest.mark.parametrize("changes", [{"mixer": "qtran_base"}, {"mixer": "qtran_base", "qtran_arch": "qtran_paper"}, {}])
def test_every_qtran_moves_its_agents_and_its_joint_value(changes, double_q):
    learner, batch = make_learner("qtran", double_q=double_q, **changes), ragged_batch()
    before = [p.clone() for p in learner.parameters]
    learner.train(batch, 0, 0)
    assert all(not torch.equal(p, q) and q.isfinite().all() for p, q in zip(before, learner.parameters, strict=True))


def test_qtran_has_mixers_of_its_own():
    with pytest.raises(UserError, match="qtran_alt, qtran_base"):
        make_learner("qtran", mixer="vdn")


def test_n_step_and_q_lambda_targets_of_a_two_step_game_by_hand():
    learner = make_learner("vdn", n_step=2, gamma=0.5)
    rewards = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1)
    ends, mask = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1), torch.ones(1, 3, 1)
    data = SimpleNamespace(rewards=rewards, terminated=ends, mask=mask)
    values = torch.tensor([0.0, 10.0, 20.0, 99.0]).view(1, 4, 1)
    two_steps = learner._returns(data, values, None)
    assert two_steps.flatten().tolist() == [1 + 0.5 * 2 + 0.25 * 20, 2 + 0.5 * 4, 4]
    learner.args.n_step, learner.args.q_lambda, learner.args.td_lambda = 0, True, 0.5
    taken = torch.tensor([5.0, 8.0, 3.0]).view(1, 3, 1)
    deltas = [1 + 5 - 5, 2 + 10 - 8, 4 - 3]
    last = [5 + deltas[0] + 0.25 * deltas[1] + 0.0625 * deltas[2], 8 + deltas[1] + 0.25 * deltas[2], 4]
    assert learner._returns(data, values, taken).flatten().tolist() == pytest.approx(last)


def test_soft_targets_move_by_their_share():
    learner, batch = make_learner("qmix", target_update_tau=0.25), make_batch()
    before = [p.clone() for _, copy in learner._pairs() for p in copy.parameters()]
    learner.train(batch, 0, 0)
    now = [p for source, _ in learner._pairs() for p in source.parameters()]
    after = [p for _, copy in learner._pairs() for p in copy.parameters()]
    for old, source, new in zip(before, now, after):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * source)


def test_a_prioritised_buffer_is_told_the_errors_and_its_importance_counts():
    learner, batch = make_learner("vdn", gamma=0.0), make_batch()
    buffer = PrioritizedReplayBuffer(*build_scheme(SIZES, need_probs=False), 9, 2, preprocess=batch.preprocess)
    buffer.insert_episode_batch(batch)
    learner.attach_buffer(buffer)
    sample = buffer.sample(9)
    _, errors, _ = learner._loss(learner._read(sample))
    learner.train(sample, 0, 0)
    told = buffer.priorities[sample["buffer_index"].flatten()]
    torch.testing.assert_close(told, errors.abs().flatten().double() + 1e-3, atol=1e-5, rtol=0)
    sample.data.episode_data["importance"][:] = 0.5
    half = learner._loss(learner._read(sample))[0]
    sample.data.episode_data["importance"][:] = 1.0
    torch.testing.assert_close(2 * half, learner._loss(learner._read(sample))[0])


def ragged_batch():
    """Episodes of 3, 1 and 2 steps in a batch of 6 frames."""
    scheme, groups = build_scheme(SIZES, need_probs=False)
    batch = EpisodeBatch(scheme, groups, 3, 6, preprocess={"actions": ("actions_onehot", [OneHot(3)])})
    generator = torch.Generator().manual_seed(3)
    for b, length in enumerate((3, 1, 2)):
        fields = {
            "state": torch.randn(1, length + 1, 1, generator=generator),
            "obs": torch.randn(1, length + 1, 2, 1, generator=generator),
            "avail_actions": torch.ones(1, length + 1, 2, 3),
            "actions": torch.randint(3, (1, length + 1, 2, 1), generator=generator),
            "reward": torch.randn(1, length + 1, 1, generator=generator),
        }
        batch.update(fields, bs=b, ts=slice(0, length + 1))
        batch.update({"terminated": torch.ones(1, 1, 1)}, bs=b, ts=length - 1, mark_filled=False)
    return batch


@pytest.mark.parametrize("name", ["iql", "vdn", "qmix", "qmix_pymarl", "qplex", "cw_qmix", "qtran"])
@pytest.mark.parametrize("mac", ["basic_mac", "non_shared_mac"])
def test_leaving_padding_out_changes_neither_loss_nor_gradient(name, mac, monkeypatch):
    outcomes = []
    for padded in (False, True):
        learner, batch = make_learner(name, mac=mac), ragged_batch()
        if padded:

            def mix_all(mixer, data, chosen, *others, batch=batch):
                return mixer(chosen, batch["state"], *others)

            monkeypatch.setattr(learner, "_values", lambda mac, data: mac.forward_sequence(data.batch))
            monkeypatch.setattr(learner, "_mix", mix_all)
        loss, errors, _ = learner._loss(learner._read(batch))
        gradients = torch.autograd.grad(loss, learner.parameters, allow_unused=True)
        outcomes.append([loss, errors, *(torch.zeros(()) if g is None else g for g in gradients)])
    for packed, padded in zip(*outcomes, strict=True):
        torch.testing.assert_close(packed, padded)


@pytest.mark.parametrize("name", ["iql", "qmix", "qmix_pymarl", "qplex", "ow_qmix", "qtran"])
def test_saved_and_resumed_learners_go_on_alike(name, tmp_path):
    batch = make_batch()
    first, second, loaded = (make_learner(name) for _ in range(3))
    for t in range(3):
        first.train(batch, t, t)
    second.mac.load_state_dict(first.mac.state_dict())
    second.load_state_dict(deepcopy(first.state_dict()))
    first.save_models(tmp_path)
    loaded.load_models(tmp_path)
    for p, q in zip(first.parameters, loaded.parameters, strict=True):
        assert torch.equal(p, q)
    for t in range(3, 6):
        first.train(batch, t, t)
        second.train(batch, t, t)
    for p, q in zip(first.parameters, second.parameters, strict=True):
        assert torch.equal(p, q)

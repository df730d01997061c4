"""The value-based family: what each mixer can and cannot represent, losses by hand, soft targets, priorities, files."""

from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from value_games import SIZES, TWO_STEP, empty_batch, every_trajectory, make_learner

from components.prioritized_replay_buffer import PrioritizedReplayBuffer
from envs.matrix_game import PAYOFFS
from run.assembly import build_scheme
from utils.errors import UserError

PAYOFF = torch.tensor(PAYOFFS["one_step"])


def greedy_after(name, steps, **changes):
    learner, batch = make_learner(name, **changes), every_trajectory()
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


def best_play(learner, batch):
    """The return of the greedy joint actions in the two-step game, whose every trajectory `batch` holds."""
    with torch.no_grad():
        greedy = learner.mac.forward_sequence(batch).argmax(-1)
    seen = next(b for b in range(batch.batch_size) if batch["actions"][b, 0].flatten().equal(greedy[b, 0]))
    (table, _), (i, j) = greedy[seen, 0].tolist(), greedy[seen, 1].tolist()
    return PAYOFFS["two_step"][table][i][j]


@pytest.mark.parametrize(("name", "paid"), [("vdn", 7), ("qmix", 8), ("qmix_pymarl", 8)])
def test_qmix_finds_the_best_of_the_two_step_game_and_vdn_does_not(name, paid):
    """The sum that fits the second table best is worth 6.5 at most, less than the first table's 7."""
    changes = {"td_lambda": 0.0, "target_update_tau": 0.1, "optimizer": "adam", "lr": 0.003}
    learner, batch = make_learner(name, TWO_STEP, **changes), every_trajectory("two_step")
    for step in range(400):
        learner.train(batch, step, step)
    assert best_play(learner, batch) == paid


@torch.no_grad()
def test_qplex_is_greatest_at_the_agents_own_best_actions():
    learner, batch = make_learner("qplex"), every_trajectory()
    q_values = torch.randn(1, 1, 2, 3).expand(9, 2, 2, 3)
    data = learner._read(batch)
    joint = learner._team_value(learner.networks["mixer"], q_values, data, data.actions)[:, 0]
    best = q_values[0, 0].argmax(-1)
    assert joint.argmax() == best[0] * 3 + best[1]


@torch.no_grad()
@pytest.mark.parametrize("weighting", ["optimistic", "central"])
def test_weighted_qmix_counts_what_its_paper_says(weighting):
    learner, batch = make_learner("ow_qmix", weighting=weighting, w=0.25), every_trajectory()
    data = learner._read(batch)
    errors, targets = torch.linspace(-4, 4, 9).view(9, 1, 1), torch.arange(9.0).view(9, 1, 1)
    best = torch.tensor([1, 1]).view(1, 1, 2, 1).expand(9, 1, 2, 1)  # joint action 4
    weights = learner._weights(data, errors, targets, torch.full((9, 1, 1), 6.0), best).flatten().tolist()
    undervalued = [1.0] * 4 + [0.25] * 5
    greedy_or_better = [0.25, 0.25, 0.25, 0.25, 1.0, 0.25, 0.25, 1.0, 1.0]
    assert weights == (undervalued if weighting == "optimistic" else greedy_or_better)


class Sum(torch.nn.Module):
    """A mixer of numbers that are known: `factor` times the sum of the agents' values, and `offset`."""

    reads_actions = False

    def __init__(self, factor=1.0, offset=0.0):
        super().__init__()
        self.factor, self.offset = factor, offset

    def forward(self, values, states):
        return self.factor * values.sum(2, keepdim=True) + self.offset


def mean(numbers):
    return sum(numbers) / len(numbers)


@pytest.mark.parametrize("q_lambda", [False, True])
@pytest.mark.parametrize("weighting", ["optimistic", "central"])
def test_weighted_qmixs_losses_by_hand(weighting, q_lambda):
    """On the two-step game: values that are the same in every frame, and central values that are sums as well."""
    keys = {"weighting": weighting, "w": 0.25, "gamma": 0.5, "td_lambda": 0.5, "q_lambda": q_lambda, "qmix_loss": 3.0}
    learner, batch = make_learner("ow_qmix", TWO_STEP, **keys), every_trajectory("two_step")
    own, central, slow = [[1.0, 0.0], [0.0, 2.0]], [[5.0, 1.0], [2.0, 0.0]], [[1.0, 2.0], [3.0, 4.0]]
    tables = {learner.mac: own, learner.central_mac: central, learner.target_central_mac: slow}
    learner._values = lambda mac, data: torch.tensor(tables[mac]).expand(16, 3, 2, 2)
    learner.networks["mixer"], learner.networks["central_mixer"] = Sum(), Sum(2.0)
    learner.targets["central_mixer"] = Sum(1.0, 1.0)
    learner.targets["mixer"] = None  # the slow central value makes the targets
    loss, _, statistics = learner._loss(learner._read(batch))

    losses, central_losses = [], []
    best_value = slow[0][0] + slow[1][1] + 1  # the agents' own best actions are 0 and 1
    for episode, rewards in zip(batch["actions"][:, :2, :, 0].tolist(), batch["reward"][..., 0].tolist(), strict=True):
        paid, (second, third) = rewards[1], episode[1]
        taken = slow[0][second] + slow[1][third] + 1
        after = paid if not q_lambda else best_value + 0.5 * (paid - taken)
        ahead = 0.5 * (0.5 * best_value + 0.5 * paid) if not q_lambda else 0.5 * after
        for (i, j), target in zip(episode, (ahead, paid), strict=True):
            error = own[0][i] + own[1][j] - target
            full = error < 0 if weighting == "optimistic" else (i, j) == (0, 1) or target > best_value
            losses.append((1.0 if full else 0.25) * error**2)
            central_losses.append((2 * (central[0][i] + central[1][j]) - target) ** 2)
    assert statistics["loss_td"].item() == pytest.approx(mean(losses))
    assert statistics["central_loss"].item() == pytest.approx(mean(central_losses))
    assert loss.item() == pytest.approx(3 * mean(losses) + mean(central_losses))


@pytest.mark.parametrize(("double_q", "q_lambda"), [(True, False), (False, False), (True, True)])
@torch.no_grad()
def test_double_q_and_q_lambda_with_a_mixer_by_hand(double_q, q_lambda):
    """The online network likes (0, 1) and the slow one (1, 1); the slow mixer counts double."""
    keys = {"double_q": double_q, "q_lambda": q_lambda, "td_lambda": 0.5 if q_lambda else 0.0, "gamma": 0.5}
    learner, batch = make_learner("vdn", TWO_STEP, **keys), every_trajectory("two_step")
    online = torch.tensor([[9.0, 0.0], [0.0, 9.0]]).expand(16, 3, 2, 2)
    slow = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    learner._values = lambda mac, data: slow.expand(16, 3, 2, 2)
    learner.targets["mixer"] = Sum(2.0)
    targets = learner._targets(learner._read(batch), online)[..., 0]
    paid, chosen = batch["reward"][:, 1, 0], 2 * (1 + 4) if double_q else 2 * (2 + 4)
    seconds = batch["actions"][:, 1, :, 0]
    surprise = paid - 2 * (slow[0][seconds[:, 0]] + slow[1][seconds[:, 1]]) if q_lambda else 0.0
    torch.testing.assert_close(targets, torch.stack((0.5 * chosen + 0.25 * surprise + 0 * paid, paid), 1))


@torch.no_grad()
@pytest.mark.parametrize("mixer", ["qtran_base", "qtran_alt"])
def test_qtrans_q_lambda_targets_by_hand(mixer):
    """The slow joint value of both agents' actions, and of each agent's alike, is 3 i + j in every frame."""
    keys = {"mixer": mixer, "q_lambda": True, "td_lambda": 0.5, "gamma": 0.5}
    learner, batch = make_learner("qtran", TWO_STEP, **keys), every_trajectory("two_step")
    worth = torch.tensor([[0.0, 1.0], [3.0, 4.0]])

    class Joint(torch.nn.Module):
        def forward(self, batch, hidden, actions):
            i, j = actions.argmax(-1).reshape(-1, 2).unbind(1)
            each = torch.stack((worth[:, j].T, worth[i]), 1).unsqueeze(0)
            joint = worth[i, j].unsqueeze(1)
            return each if learner.counterfactual else joint, torch.zeros_like(joint)

    learner.targets["mixer"] = Joint()
    best = torch.tensor([1, 0]).view(1, 1, 2, 1).expand(16, 3, 2, 1)
    targets = learner._joint_targets(learner._read(batch), best)
    paid, (i, j) = batch["reward"][:, 1, 0], batch["actions"][:, 1, :, 0].unbind(1)
    by_hand = torch.stack((0.5 * 3 + 0.25 * (paid - worth[i, j]), paid), 1)
    torch.testing.assert_close(targets, by_hand.unsqueeze(2).expand_as(targets))


def test_qtran_bases_losses_by_hand():
    """With agents' values u + v, a joint value of twice the payoff and V = 1."""
    learner, batch = make_learner("qtran", mixer="qtran_base", nopt_min_loss=0.1), every_trajectory()
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
    learner, batch = make_learner("qtran"), every_trajectory()
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
    learner, batch = make_learner("qtran"), every_trajectory()
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


def test_weighted_qmix_needs_a_mixer():
    with pytest.raises(UserError, match="mixer=null is none"):
        make_learner("cw_qmix", mixer=None)


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
    learner, batch = make_learner("qmix", target_update_tau=0.25), every_trajectory()
    before = [p.clone() for _, copy in learner._pairs() for p in copy.parameters()]
    learner.train(batch, 0, 0)
    now = [p for source, _ in learner._pairs() for p in source.parameters()]
    after = [p for _, copy in learner._pairs() for p in copy.parameters()]
    for old, source, new in zip(before, now, after):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * source)


def test_a_prioritised_buffer_is_told_the_errors_and_its_importance_counts():
    learner, batch = make_learner("vdn", gamma=0.0), every_trajectory()
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


def ragged_batch(sizes=SIZES):
    """Episodes of 3, 1 and 2 steps in a batch of 6 frames."""
    batch = empty_batch(sizes, 3, 6)
    generator = torch.Generator().manual_seed(3)
    for b, length in enumerate((3, 1, 2)):
        fields = {
            "state": torch.randn(1, length + 1, 1, generator=generator),
            "obs": torch.randn(1, length + 1, 2, sizes["obs_shape"], generator=generator),
            "avail_actions": torch.ones(1, length + 1, 2, 3),
            "actions": torch.randint(3, (1, length + 1, 2, 1), generator=generator),
            "reward": torch.randn(1, length + 1, 1, generator=generator),
        }
        batch.update(fields, bs=b, ts=slice(0, length + 1))
        batch.update({"terminated": torch.ones(1, 1, 1)}, bs=b, ts=length - 1, mark_filled=False)
    return batch


@pytest.mark.parametrize("name", ["iql", "vdn", "qmix", "qmix_pymarl", "qatten", "qplex", "cw_qmix", "qtran"])
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


SIGHT = {**SIZES, "obs_shape": 6}
BLOCKS = {"obs_blocks": {"before": 1, "enemy_rows": (1, 2), "ally_rows": (1, 2), "after": 1}}


@pytest.mark.parametrize("name", ["iql", "qmix", "qplex", "ow_qmix"])
@pytest.mark.parametrize(
    "changes",
    [
        {"agent": "ff"},
        {"agent": "attention", "env_info": BLOCKS},
        {"frame_stack": 2},
        {"agent": "ff", "frame_stack": 2, "obs_last_action": False},
        {"use_layer_norm": True, "use_orthogonal": True, "qmix_pos_func": "softplus"},
    ],
    ids=lambda changes: " ".join(key if key != "agent" else word for key, word in changes.items()),
)
def test_every_kind_of_agent_learns_what_a_batch_paid(name, changes):
    learner, batch = make_learner(name, SIGHT, gamma=0.0, lr=0.005, **changes), ragged_batch(SIGHT)
    data = learner._read(batch)
    assert learner._values(learner.mac, data).shape == (3, 6, 2, 3)
    before, errors, _ = learner._loss(data)
    assert errors.shape == (3, 5, 2 if name == "iql" else 1)
    for step in range(60):
        learner.train(batch, step, step)
    assert learner._loss(data)[0] < 0.25 * before


@pytest.mark.parametrize("name", ["iql", "qmix", "qmix_pymarl", "qatten", "qplex", "ow_qmix", "qtran"])
def test_saved_and_resumed_learners_go_on_alike(name, tmp_path):
    batch = every_trajectory()
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

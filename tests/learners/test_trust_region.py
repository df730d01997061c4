"""Trust-region steps: conjugate gradients and lengths by hand, the curvature of a recurrent policy, HATRPO's bound."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from components.episode_buffer import EpisodeBatch
from configuration import compose
from controllers import REGISTRY as controllers
from learners import REGISTRY as learners
from learners.happo_learner import only
from learners.ppo_losses import kl_divergence, masked_log_softmax
from learners.trust_region import TrustRegion, conjugate_gradient, kl_curvature, trust_region_step
from modules.agents import REGISTRY as agents
from run.assembly import build_scheme

REGION = TrustRegion(
    max_kl=0.01, cg_steps=10, cg_damping=0.0, line_search_steps=10, line_search_shrink=0.5, accept_ratio=0.5
)


def test_conjugate_gradients_solve_two_equations_in_two_steps():
    matrix, target = torch.tensor([[4.0, 1.0], [1.0, 3.0]]), torch.tensor([1.0, 2.0])
    assert conjugate_gradient(lambda v: matrix @ v, target, 2).tolist() == pytest.approx([1 / 11, 7 / 11], rel=1e-5)
    # The first step goes along the target, |t|^2 / t.At = 5 / 20 of it.
    assert conjugate_gradient(lambda v: matrix @ v, target, 1).tolist() == pytest.approx([0.25, 0.5])


def quadratic(bend=0.0):
    """Two parameters x at 0, objective (1, 2) x - bend |x|^2, distance (x0^2 + 4 x1^2) / 2, a little less far out."""
    x = nn.Parameter(torch.zeros(2))
    gradient, scale = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
    return (
        [x],
        lambda: gradient @ x - bend * x.square().sum(),
        lambda: 0.5 * (scale * x.square()).sum() - 0.1 * x.pow(4).sum(),
        lambda vector: scale * vector,
    )


def test_the_step_is_the_natural_gradient_at_the_bound():
    (x,), *problem = quadratic()
    logged = trust_region_step([x], *problem, REGION)
    # F^-1 g = (1, 1/2), and half its square in the metric F is 1: the length is sqrt(0.01 / 1).
    assert x.tolist() == pytest.approx([0.1, 0.05], rel=1e-4)
    assert logged == {"kl": pytest.approx(0.01, rel=1e-2), "improvement": pytest.approx(0.2), "step_share": 1.0}


def test_damping_shortens_the_step_and_turns_it_to_the_gradient():
    (x,), *problem = quadratic()
    logged = trust_region_step([x], *problem, replace(REGION, cg_damping=1.0))
    # (F + 1)^-1 g = (1/2, 2/5), and half its square in the metric F + 1 is 0.65: the length is sqrt(0.01 / 0.65).
    assert x.tolist() == pytest.approx([0.5 / 65**0.5, 0.4 / 65**0.5], rel=1e-4)
    assert logged["improvement"] == pytest.approx(1.3 / 65**0.5, rel=1e-4)


def test_a_step_that_gains_too_little_is_halved():
    (x,), *problem = quadratic(bend=10.0)
    logged = trust_region_step([x], *problem, REGION)
    # Full: 0.2 - 10 * 0.0125 = 0.075 < 0.5 * 0.2; half: 0.1 - 10 * 0.003125 = 0.06875 > 0.5 * 0.1.
    assert logged["step_share"] == 0.5
    assert logged["improvement"] == pytest.approx(0.06875, rel=1e-4)
    assert x.tolist() == pytest.approx([0.05, 0.025], rel=1e-4)


def test_where_no_step_is_good_enough_the_parameters_stay():
    (x,), *problem = quadratic(bend=1e5)
    assert trust_region_step([x], *problem, REGION)["step_share"] == 0
    assert x.tolist() == [0, 0]


def test_no_gradient_no_step():
    (x,), _, *problem = quadratic()
    assert trust_region_step([x], lambda: 0 * x.sum(), *problem, REGION)["step_share"] == 0


@pytest.mark.parametrize(("key", "value"), [("max_kl", 0.0), ("line_search_shrink", 1.0)])
def test_values_out_of_range(key, value):
    with pytest.raises(ValueError, match=key):
        TrustRegion.from_args(SimpleNamespace(**{**vars(REGION), key: value}))


def test_kl_of_masked_distributions():
    illegal = torch.tensor([False, False, True])
    p = torch.tensor([0.5, 0.5, 0.0]).log()
    q = torch.tensor([0.25, 0.75, 0.0]).log()
    expected = 0.5 * torch.tensor([2.0, 2 / 3]).log().sum()
    assert kl_divergence(p, q, illegal).item() == pytest.approx(expected.item())
    assert kl_divergence(p, p, illegal).item() == 0


@pytest.mark.parametrize("agent", ["ppo_rnn", "rnn", "n_rnn", "ff"])
def test_the_curvature_of_a_policy_is_that_of_finite_differences_of_the_divergence(agent):
    sizes = {"n_agents": 1, "n_actions": 3}
    keys = {"hidden_layers": [4], "rnn_hidden_dim": 4, "layer_norm": True, "policy_gain": 1.0}
    torch.manual_seed(0)
    network = agents[agent](3, SimpleNamespace(**{**compose("hatrpo", "matrix_game"), **keys}, **sizes)).double()
    for p in network.parameters():
        p.data += 0.3 * torch.randn_like(p)
    inputs, illegal = torch.randn(5, 3, dtype=torch.float64), torch.zeros(5, 3, dtype=torch.bool)
    illegal[1, 2] = illegal[3, :2] = True
    weights = torch.tensor([1.0, 0.5, 2.0, 1.0, 0.0], dtype=torch.float64)

    def log_probs():
        return masked_log_softmax(network.forward_packed(inputs, [2, 2, 1]), illegal)

    now = log_probs().detach()
    parameters = list(network.parameters())
    vector = torch.randn(sum(p.numel() for p in parameters), dtype=torch.float64)
    product = kl_curvature(parameters, log_probs, weights)(vector)

    def slope(step):
        parts = vector.split([p.numel() for p in parameters])
        with torch.no_grad():
            for p, part in zip(parameters, parts):
                p.add_(step * part.view_as(p))
        divergence = (weights * kl_divergence(now, log_probs(), illegal)).sum()
        gradients = torch.autograd.grad(divergence, parameters)
        with torch.no_grad():
            for p, part in zip(parameters, parts):
                p.sub_(step * part.view_as(p))
        return torch.cat([g.flatten() for g in gradients])

    torch.testing.assert_close(product, (slope(1e-5) - slope(-1e-5)) / 2e-5, rtol=1e-4, atol=1e-7)
    assert product.abs().max() > 0.01


def test_hatrpo_moves_one_policy_as_far_as_the_bound_allows_and_gains():
    sizes = {"state_shape": 4, "obs_shape": 3, "n_actions": 3, "n_agents": 2}
    keys = {"hidden_layers": [8], "rnn_hidden_dim": 8, "seed": 1, "t_max": 1000, "cg_damping": 0.001}
    args = SimpleNamespace(**{**compose("hatrpo", "matrix_game"), **keys}, **sizes)
    scheme, groups = build_scheme(sizes, need_probs=False)
    torch.manual_seed(0)
    mac = controllers[args.mac](scheme, groups, args)
    learner = learners[args.learner](mac, scheme, None, args)
    batch = EpisodeBatch(scheme, groups, 6, 5)
    fields = {
        "state": torch.randn(6, 5, 4), "obs": torch.randn(6, 5, 2, 3), "avail_actions": torch.ones(6, 5, 2, 3),
        "actions": torch.randint(3, (6, 5, 2, 1)), "reward": torch.randn(6, 5, 1), "terminated": torch.zeros(6, 5, 1),
    }  # fmt: skip
    batch.update(fields, ts=slice(0, 5))
    data = learner.data_of(batch)
    before = mac.forward_sequence(batch)[:, :-1].log_softmax(-1).detach()
    logged = learner._improve(replace(data, policy_mask=only(data.policy_mask, 1)))
    after = mac.forward_sequence(batch)[:, :-1].log_softmax(-1).detach()
    assert torch.equal(before[:, :, 0], after[:, :, 0])
    # By the definitions, from all 6 * 4 steps of agent 1: the mean of KL(before, after), and of (ratio - 1) A.
    kl = (before.exp() * (before - after)).sum(-1)[..., 1].mean().item()
    ratio = (after - before).exp().gather(3, fields["actions"][:, :-1])[..., 1, 0]
    gain = ((ratio - 1) * data.advantages[..., 1]).mean().item()
    assert logged["kl"] == pytest.approx(kl, rel=1e-4)
    assert logged["improvement"] == pytest.approx(gain, rel=1e-4)
    assert 0.5 * args.max_kl < kl < args.max_kl
    assert gain > 0

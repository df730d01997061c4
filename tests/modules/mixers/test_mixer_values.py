"""Mixers' numbers: two agents' values mixed by hand, and derivatives against finite differences."""

from math import exp, log, log1p
from types import SimpleNamespace

import pytest
import torch

from modules.mixers.central import CentralMixer
from modules.mixers.dmaq_general import DMAQer
from modules.mixers.nmix import Mixer
from modules.mixers.qatten import QattenMixer
from modules.mixers.qmix import QMixer
from modules.mixers.qtran import QTranAlt, QTranBase
from modules.mixers.team_value import TeamValue
from modules.mixers.vdn import VDNMixer


def put(layer, weight, bias):
    layer.weight.data = torch.tensor(weight)
    layer.bias.data = torch.tensor(bias)


def two_agents(**keys):
    return SimpleNamespace(n_agents=2, n_actions=2, **keys)


def mixed(mixer, qs, state):
    return mixer(torch.tensor([[qs]]), torch.tensor([[state]])).item()


# In state 2 the first layer's weights are [2, -2] of agent 0 and [1, 3] of agent 1, its offsets [1, -20]; the second
# layer's weights are [-1, 4], its offset 2 * 3 - 1.
FIRST, FIRST_BIAS = [[1.0], [-1.0], [0.5], [0.0]], [0.0, 0.0, 0.0, 3.0]
SECOND, SECOND_BIAS = [[-0.5], [2.0]], [0.0, 0.0]
OFFSETS, OFFSETS_BIAS = [[0.0], [-10.0]], [1.0, 0.0]


def by_hand(positive):
    """The value of agents' values 1 and 2 in state 2."""
    hidden = [positive(2) + 2 * positive(1) + 1, positive(-2) + 2 * positive(3) - 20]
    assert hidden[0] > 0 > hidden[1]
    return positive(-1) * hidden[0] + positive(4) * (exp(hidden[1]) - 1) + 5


def test_qmix_by_hand():
    mixer = QMixer(two_agents(state_shape=1, mixing_embed_dim=2))
    put(mixer.hyper_w_1, FIRST, FIRST_BIAS)
    put(mixer.hyper_b_1, OFFSETS, OFFSETS_BIAS)
    put(mixer.hyper_w_final, SECOND, SECOND_BIAS)
    put(mixer.V[0], [[1.0], [-1.0]], [0.0, 0.0])
    put(mixer.V[2], [[3.0, 7.0]], [-1.0])
    assert by_hand(abs) == pytest.approx(5 + 4 * (exp(-12) - 1) + 5)
    assert mixed(mixer, [1.0, 2.0], [2.0]) == pytest.approx(by_hand(abs))


@pytest.mark.parametrize(
    ("name", "positive"),
    [("abs", abs), ("softplus", lambda x: log1p(exp(3 * x)) / 3), ("quadratic", lambda x: x**2 / 2)],
)
def test_nmix_by_hand(name, positive):
    """The same numbers, through hidden layers that pass a positive state on, and hold a negative one."""
    keys = {"mixing_embed_dim": 2, "hypernet_embed": 2, "qmix_pos_func": name, "qmix_pos_func_beta": 3.0}
    mixer = Mixer(two_agents(state_shape=1, **keys))
    for network, weight, bias in ((mixer.hyper_w1, FIRST, FIRST_BIAS), (mixer.hyper_w2, SECOND, SECOND_BIAS)):
        put(network[0], [[1.0], [-1.0]], [0.0, 0.0])
        put(network[2], [[w, 9.0] for (w,) in weight], bias)
    put(mixer.hyper_b1[0], OFFSETS, OFFSETS_BIAS)
    put(mixer.hyper_b2[0], [[1.0], [-1.0]], [0.0, 0.0])
    put(mixer.hyper_b2[2], [[3.0, 7.0]], [-1.0])
    assert mixed(mixer, [1.0, 2.0], [2.0]) == pytest.approx(by_hand(positive))


@pytest.mark.parametrize(("kind", "value"), [("weighted", 2 * 7 + 1 * 6 - 1.5), ("plain", 7 + 6 - 1.5)])
def test_qatten_by_hand(kind, value):
    """Agents' parts 0 and ln 3 of the state, which ends in 2: one head attends by 1/4 and 3/4, the other by halves."""
    sizes = {"n_query_embedding_layer1": 1, "n_query_embedding_layer2": 4, "n_head_embedding_layer1": 1}
    own = {"env_info": {"agent_features": ["health"], "obs_shape": 9}}
    mixer = QattenMixer(two_agents(state_shape=3, n_attention_head=2, n_constrant_value=1, type=kind, **sizes, **own))
    for query, key, size in zip(mixer.queries, mixer.keys, (1.0, 0.0), strict=True):
        put(query[0], [[0.0, 0.0, 1.0]], [0.0])
        put(query[2], [[size], [0.0], [0.0], [0.0]], [0.0] * 4)
        put(key, [[1.0], [5.0], [5.0], [5.0]], [0.0] * 4)
    put(mixer.head_weights[0], [[0.0, 0.0, 1.0]], [0.0])
    put(mixer.head_weights[2], [[-1.0], [0.5]], [0.0, 0.0])
    put(mixer.constant[0], [[0.0, 0.0, 1.0]], [0.0])
    put(mixer.constant[2], [[-1.0]], [0.5])
    state = [0.0, log(3), 2.0]
    assert mixer.attention(torch.tensor([state])).flatten().tolist() == pytest.approx([0.25, 0.75, 0.5, 0.5])
    assert mixed(mixer, [4.0, 8.0], state) == pytest.approx(value)  # heads of 1 + 6 and 2 + 4


@pytest.mark.parametrize(
    ("keys", "value", "slopes"),
    [
        ({}, 7 + 4 + 1.0 * -2 + 0.25 * -2, [2.0, 1.0]),
        ({"is_minus_one": False}, 7 + 4 + 2.0 * -2 + 1.25 * -2, [2.0, 1.0]),
        ({"weighted_head": False}, 3 + 5 + 1.0 * -1 + 0.25 * -2, [1.0, 1.0]),
    ],
)
def test_qplex_by_hand(keys, value, slopes):
    """Weights 2 and 1, offsets 1 and -1; values 3 and 5 of maxima 4 and 7; importance 2 and 1.25."""
    sizes = {"hypernet_embed": 1, "num_kernel": 2, "adv_hypernet_layers": 1, "adv_hypernet_embed": 1}
    team = TeamValue(two_agents(state_shape=1, mixer="dmaq", **sizes, **keys))
    mixer = team.mixer
    for network, weight in ((mixer.hyper_w_final, [[-1.0], [0.5]]), (mixer.V, [[0.5], [-0.5]])):
        put(network[0], [[1.0]], [0.0])
        put(network[2], weight, [0.0, 0.0])
    kernels = mixer.si_weight
    # kernel 0: key 4, agents 1/2 and 3/4, and 3/4 and 1/4 where agent 1 takes action 1; kernel 1: key 2, halves
    put(kernels.key_extractors[0][0], [[-2.0]], [0.0])
    put(kernels.agents_extractors[0][0], [[0.0], [0.0]], [0.0, log(3)])
    put(kernels.action_extractors[0][0], [[0.0, 0.0, 0.0, 0.0, log(3)], [0.0, 0.0, 0.0, 0.0, -log(3)]], [0.0, 0.0])
    put(kernels.key_extractors[1][0], [[1.0]], [0.0])
    put(kernels.agents_extractors[1][0], [[0.0], [0.0]], [0.0, 0.0])
    put(kernels.action_extractors[1][0], [[0.0] * 5] * 2, [0.0, 0.0])
    actions = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    assert kernels(torch.tensor([[2.0]]), actions).flatten().tolist() == pytest.approx([2.0, 1.25])
    qs = torch.tensor([[[3.0, 5.0]]], requires_grad=True)
    total = team(qs, torch.tensor([[[2.0]]]), actions, torch.tensor([[[4.0, 7.0]]]))
    assert total.item() == pytest.approx(value)
    total.backward()
    assert qs.grad.flatten().tolist() == pytest.approx(slopes), "the advantages teach the importance alone"


B, T, N, A, D, H = 2, 2, 2, 3, 4, 3
SMALL = {
    **{"n_agents": N, "n_actions": A, "state_shape": D, "mixing_embed_dim": 3, "hypernet_embed": 3},
    **{"num_kernel": 2, "adv_hypernet_layers": 2, "adv_hypernet_embed": 3, "central_mixing_embed_dim": 3},
    **{"network_size": "small", "rnn_hidden_dim": H},
}


def small(make, **keys):
    torch.manual_seed(1)
    return make(SimpleNamespace(**SMALL, **keys)).double()


def inputs(*sizes):
    generator = torch.Generator().manual_seed(2)
    return tuple(torch.randn(B, T, *size, dtype=torch.float64, generator=generator).requires_grad_() for size in sizes)


@pytest.mark.parametrize(
    ("make", "keys"),
    [
        (VDNMixer, {}),
        (QMixer, {}),
        (QMixer, {"hypernet_layers": 2}),
        (Mixer, {}),
        (Mixer, {"qmix_pos_func": "softplus"}),
        (Mixer, {"qmix_pos_func": "quadratic"}),
        (QattenMixer, {}),
        (QattenMixer, {"env_info": {"agent_features": ["health"]}}),
        (CentralMixer, {}),
    ],
)
def test_slopes_by_values_and_states(make, keys):
    qs, states = inputs((N,), (D,))
    assert torch.autograd.gradcheck(small(make, **keys), (qs, states.requires_grad_(make is not VDNMixer)))


def test_slopes_of_qplexs_two_parts():
    mixer = small(DMAQer)
    qs, states, actions, maxima = inputs((N,), (D,), (N, A), (N,))
    assert torch.autograd.gradcheck(lambda q, s: mixer(q, s, is_v=True), (qs, states))
    fixed = qs.detach(), states.detach()
    assert torch.autograd.gradcheck(lambda chosen: mixer(*fixed, chosen, maxima.detach()), (actions,))


@pytest.mark.parametrize(
    ("make", "arch"), [(QTranBase, "coma_critic"), (QTranBase, "qtran_paper"), (QTranAlt, "coma_critic")]
)
def test_slopes_of_qtrans_joint_value(make, arch):
    mixer = small(make, qtran_arch=arch)
    states, hidden, actions = inputs((D,), (N, H), (N, A))
    hidden.requires_grad_(arch == "qtran_paper")
    assert torch.autograd.gradcheck(lambda s, h, a: mixer({"state": s}, h, a), (states, hidden, actions))

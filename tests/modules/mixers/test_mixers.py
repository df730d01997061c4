"""Every mixer keeps what its paper promises, and takes PyMARL2's calls."""

from types import SimpleNamespace

import pytest
import torch

from components.episode_buffer import EpisodeBatch
from components.transforms import OneHot
from envs import REGISTRY as environments
from modules.mixers.dmaq_general import DMAQer
from modules.mixers.nmix import Mixer
from modules.mixers.qatten import QattenMixer
from modules.mixers.qmix import QMixer
from modules.mixers.qtran import QTranAlt, QTranBase
from modules.mixers.team_value import REGISTRY, TeamValue
from modules.mixers.vdn import VDNMixer
from utils.errors import UserError

B, T, N, A, D = 4, 5, 3, 6, 12
UNITS = {"obs_shape": 9, "agent_features": ["health", "rel_x"]}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def args(**extra):
    defaults = {
        "n_agents": N,
        "n_actions": A,
        "state_shape": (D,),
        "mixing_embed_dim": 8,
        "hypernet_embed": 16,
        "adv_hypernet_embed": 16,
        "adv_hypernet_layers": 2,
        "num_kernel": 3,
        "weighted_head": True,
        "is_minus_one": True,
        "network_size": "small",
        "qtran_arch": "coma_critic",
        "rnn_hidden_dim": 7,
    }
    return SimpleNamespace(**{**defaults, **extra})


MONOTONIC = {
    "vdn": lambda: VDNMixer(),
    "qmix": lambda: QMixer(args()),
    "qmix, two layers": lambda: QMixer(args(hypernet_layers=2)),
    "nmix": lambda: Mixer(args()),
    "nmix, softplus": lambda: Mixer(args(qmix_pos_func="softplus", use_orthogonal=True)),
    "nmix, quadratic": lambda: Mixer(args(qmix_pos_func="quadratic")),
    "qatten": lambda: QattenMixer(args(env_info=UNITS)),
    "qatten, agents have no part of the state": lambda: QattenMixer(args()),
    "qatten, unweighted": lambda: QattenMixer(args(type="plain")),
}


@pytest.mark.parametrize("name", MONOTONIC)
def test_no_agents_value_can_lower_the_teams(name):
    mixer = MONOTONIC[name]()
    qs = torch.randn(B, T, N, requires_grad=True)
    total = mixer(qs, torch.randn(B, T, D))
    assert total.shape == (B, T, 1)
    total.sum().backward()
    assert (qs.grad >= 0).all()
    assert (qs.grad > 0).any()


def test_without_abs_weights_may_be_negative():
    qs = torch.randn(B, T, N, requires_grad=True)
    Mixer(args(), abs=False)(qs, torch.randn(B, T, D)).sum().backward()
    assert (qs.grad < 0).any()


@pytest.mark.parametrize("name", [name for name in MONOTONIC if name != "vdn"])
def test_rows_do_not_mix(name):
    mixer = MONOTONIC[name]()
    qs, states = torch.randn(B, T, N), torch.randn(B, T, D)
    whole = mixer(qs, states)
    assert torch.allclose(whole[2:3, 1:2], mixer(qs[2:3, 1:2], states[2:3, 1:2]), atol=1e-5)


def test_vdn_is_the_sum():
    qs = torch.randn(B, T, N)
    assert torch.equal(VDNMixer(args())(qs, torch.randn(B, T, D)), qs.sum(-1, keepdim=True))


def test_qatten_weighs_agents_by_an_attention_that_sums_to_one():
    mixer = QattenMixer(args(type="plain", n_attention_head=4))
    states = torch.randn(B, T, D)
    attention = mixer.attention(states.reshape(-1, D))
    assert attention.shape == (B * T, 4, N)
    assert torch.allclose(attention.sum(-1), torch.ones(B * T, 4))
    raised = mixer(torch.ones(B, T, N), states) - mixer(torch.zeros(B, T, N), states)
    assert torch.allclose(raised, torch.full((B, T, 1), 4.0), atol=1e-5)


@pytest.mark.parametrize(
    ("env", "env_args", "size"),
    [
        ("sc2", {"map_name": "3m", "engine": "skirmish"}, 4),  # health, cooldown, x, y
        ("sc2", {"map_name": "2s3z", "engine": "skirmish"}, 7),  # and shield, two types
        ("sc2", {"map_name": "3m", "engine": "skirmish", "obs_instead_of_state": True}, 30),
        ("matrix_game", {}, 0),
        ("predator_prey", {}, 0),
    ],
)
def test_qatten_knows_the_agents_own_parts_of_the_state(env, env_args, size):
    info = environments[env](**env_args).get_env_info()
    sizes = {key: info[key] for key in ("n_agents", "n_actions", "state_shape")}
    mixer = QattenMixer(args(env_info=info, **sizes))
    assert mixer.own_size == size
    assert mixer(torch.zeros(2, 1, info["n_agents"]), torch.zeros(2, 1, info["state_shape"])).shape == (2, 1, 1)


@torch.no_grad()
def test_qattens_attention_goes_by_the_agents_own_parts():
    """Two agents with the same part weigh the same; the part of the state behind theirs moves the queries alone."""
    mixer = QattenMixer(args(env_info=UNITS))
    states = torch.randn(20, D)
    states[:, 2:4] = states[:, 0:2]
    attention = mixer.attention(states)
    assert torch.equal(attention[..., 0], attention[..., 1])
    assert not torch.allclose(attention[..., 0], attention[..., 2])


def one_hot_actions():
    actions = torch.randint(A, (B, T, N, 1))
    return actions, torch.zeros(B, T, N, A).scatter_(3, actions, 1.0)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_qplex_values_the_greedy_joint_action_as_its_value_part_and_no_other_higher(layers):
    """Individual and joint maxima agree, which is QPLEX's promise."""
    mixer = DMAQer(args(adv_hypernet_layers=layers, is_minus_one=False))
    states, all_qs = torch.randn(B, T, D), torch.randn(B, T, N, A)
    maxima, best = all_qs.max(-1)
    best_onehot = torch.zeros(B, T, N, A).scatter_(3, best.unsqueeze(-1), 1.0)
    greedy_advantage = mixer(maxima, states, actions=best_onehot, max_q_i=maxima, is_v=False)
    assert greedy_advantage.abs().max() == 0
    actions, onehot = one_hot_actions()
    advantage = mixer(all_qs.gather(3, actions).squeeze(3), states, actions=onehot, max_q_i=maxima, is_v=False)
    assert (advantage <= 0).all()
    assert (advantage < 0).any()


def test_qplex_joint_value_is_that_of_its_equations():
    mixer = DMAQer(args())
    states, qs = torch.randn(B, T, D), torch.randn(B, T, N)
    maxima = qs + torch.rand(B, T, N)
    _, onehot = one_hot_actions()
    total = mixer(qs, states, is_v=True) + mixer(qs, states, actions=onehot, max_q_i=maxima, is_v=False)
    weight, bias = mixer.hyper_w_final(states).abs(), mixer.V(states)
    importance = mixer.si_weight(states, onehot).view(B, T, N)
    value = (weight * maxima + bias).sum(-1)
    advantage = (importance * weight * (qs - maxima)).sum(-1)
    assert torch.allclose(total.squeeze(-1), value + advantage, atol=1e-4)
    assert (importance > 0).all()


def test_qplex_says_what_it_lacks():
    with pytest.raises(ValueError, match="needs actions and max_q_i"):
        DMAQer(args())(torch.zeros(B, T, N), torch.zeros(B, T, D))


@pytest.fixture
def batch():
    scheme = {
        "state": {"vshape": D},
        "actions": {"vshape": (1,), "group": "agents", "dtype": torch.long},
    }
    made = EpisodeBatch(scheme, {"agents": N}, B, T, preprocess={"actions": ("actions_onehot", [OneHot(A)])})
    made.update({"state": torch.randn(B, T, D), "actions": torch.randint(A, (B, T, N, 1))})
    return made


@pytest.mark.parametrize("size", ["small", "big"])
@pytest.mark.parametrize("arch", ["coma_critic", "qtran_paper"])
def test_qtran_base_values_any_joint_action(batch, size, arch):
    mixer = QTranBase(args(qtran_arch=arch, network_size=size))
    hidden = torch.randn(B, T, N, 7)
    taken, value = mixer(batch, hidden)
    assert taken.shape == value.shape == (B * T, 1)
    same, same_value = mixer(batch, hidden, actions=batch["actions_onehot"])
    assert torch.equal(taken, same)
    other, other_value = mixer(batch, hidden, actions=batch["actions_onehot"].roll(1, dims=-1))
    assert not torch.allclose(taken, other)
    assert torch.equal(value, other_value)
    assert torch.equal(value, same_value)


def test_a_mixer_says_itself_that_it_reads_actions(monkeypatch):
    class Counting(torch.nn.Module):
        reads_actions = True

        def __init__(self, args):
            super().__init__()

        def forward(self, agent_qs, states, actions=None, max_q_i=None, is_v=False):
            return agent_qs.sum(2, keepdim=True) if is_v else actions[..., 0].sum(2, keepdim=True) + max_q_i.sum()

    monkeypatch.setitem(REGISTRY, "counting", Counting)
    team = TeamValue(args(mixer="counting"))
    assert team.reads_actions
    assert not TeamValue(args(mixer="vdn")).reads_actions
    qs, (_, onehot) = torch.randn(B, T, N), one_hot_actions()
    value = team(qs, torch.randn(B, T, D), onehot, torch.zeros(B, T, N))
    assert torch.equal(value, (qs.sum(2) + onehot[..., 0].sum(2)).unsqueeze(2))


def test_qtran_alt_values_an_agents_actions_given_the_others(batch):
    mixer = QTranAlt(args())
    q, v = mixer(batch)
    assert q.shape == (B, T, N, A)
    assert v.shape == (B, T, 1)
    changed = batch["actions_onehot"].clone()
    changed[:, :, 1] = changed[:, :, 1].roll(1, dims=-1)
    q_changed, _ = mixer(batch, actions=changed)
    assert torch.allclose(q[:, :, 1], q_changed[:, :, 1]), "its own action is no input of agent 1"
    assert not torch.allclose(q[:, :, 0], q_changed[:, :, 0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QMixer(args(hypernet_layers=3)), "hypernet_layers"),
        (lambda: Mixer(args(qmix_pos_func="relu")), "qmix_pos_func"),
        (lambda: QTranBase(args(qtran_arch="x")), "qtran_arch"),
        (lambda: QTranBase(args(network_size="huge")), "network_size"),
        (lambda: DMAQer(args(adv_hypernet_layers=4)), "adv_hypernet_layers"),
    ],
)
def test_wrong_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_misspelt_type_of_qatten_is_a_sentence():
    with pytest.raises(UserError, match=r'type="wieghted" is not one of weighted, plain. Did you mean "weighted"\?'):
        QattenMixer(args(type="wieghted"))

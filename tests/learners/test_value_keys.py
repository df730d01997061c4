"""The value-based overlays' keys: each has words and a range, reaches what it names, and some exclude others."""

import re

import pytest
import torch
from torch import nn
from value_games import make_learner

from configuration import CONFIG_DIR, compose, load_yaml, overlay, parse_updates
from run import assembly
from utils.errors import UserError

BUILT_ON = {
    "qmix_pymarl": [],
    "qmix": ["qmix_pymarl"],
    **{name: ["qmix", "qmix_pymarl"] for name in ("vdn", "iql", "qatten", "qplex", "qtran", "ow_qmix")},
    "cw_qmix": ["ow_qmix", "qmix", "qmix_pymarl"],
    **{name: ["qmix_pymarl"] for name in ("vdn_pymarl", "iql_pymarl")},
}


def file_of(name):
    return CONFIG_DIR / "algs" / f"{name}.yaml"


@pytest.mark.parametrize("name", BUILT_ON)
def test_every_key_is_explained_where_it_first_appears_and_every_number_has_a_range(name):
    explained = {"name", "extends"}.union(*(load_yaml(file_of(below)) for below in BUILT_ON[name]))
    text = file_of(name).read_text(encoding="utf-8")
    for key, value in load_yaml(file_of(name)).items():
        if key in explained:
            continue
        comment = re.search(rf"^{key}: *[^#\n]*(#.*)$", text, re.MULTILINE)
        assert comment, key
        if type(value) in (int, float):
            assert re.search(r"\(.*(\bto\b|\bor\b|as many as).*\)", comment[1]), key


def checked(name, *updates):
    config = compose(name, "matrix_game")
    return assembly.check_together(overlay(config, parse_updates(config, updates), "the command line"))


def test_two_kinds_of_returns_at_once_are_refused():
    with pytest.raises(UserError, match=r"n_step=3 and q_lambda=True are two kinds of returns\. Use n_step=0, or"):
        checked("qmix", "n_step=3", "q_lambda=True")
    checked("qmix", "n_step=3")
    checked("qmix", "q_lambda=True")
    checked("qmix", "n_step=3", "q_lambda=True", "evaluate=True")


def test_an_unknown_way_to_keep_weights_positive_is_refused():
    with pytest.raises(UserError, match="qmix_pos_func='relu' is not one of abs, softplus, quadratic"):
        checked("qmix", "qmix_pos_func=relu")


def test_pymarl2s_keys_reach_agent_and_mixer():
    plain = make_learner("qmix")
    assert isinstance(plain.mac.agent.layer_norm, nn.Identity)
    keys = {"use_layer_norm": True, "use_orthogonal": True, "gain": 0.5, "qmix_pos_func": "quadratic"}
    learner = make_learner("qmix", **keys)
    agent, mixer = learner.mac.agent, learner.networks["mixer"].mixer
    assert isinstance(agent.layer_norm, nn.LayerNorm)
    torch.testing.assert_close(agent.fc2.weight @ agent.fc2.weight.T, 0.25 * torch.eye(3))
    assert agent.fc2.bias.tolist() == [0.0] * 3
    assert mixer.pos_func(torch.tensor(-4.0)) == 8.0
    weight = mixer.hyper_w2[2].weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(len(weight)))

"""The small torch helpers."""

import torch
from torch import nn

from utils.th_utils import clip_by_tensor, get_parameters_num, init, orthogonal_init_


def test_parameters_are_counted_in_thousands():
    assert get_parameters_num(nn.Linear(99, 10).parameters()) == "1.0K"


def test_clip_by_tensor():
    t = torch.tensor([-2, 0, 5])
    assert clip_by_tensor(t, torch.tensor([-1, -1, -1]), torch.tensor([3, 3, 3])).tolist() == [-1.0, 0.0, 3.0]


def test_orthogonal_init():
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.GRUCell(4, 4))
    net.apply(lambda module: orthogonal_init_(module, gain=2.0))
    weight = net[0].weight
    assert torch.allclose(weight @ weight.T, 4 * torch.eye(4), atol=1e-5)
    assert not net[0].bias.any()
    assert not net[2].bias_ih.any()
    hidden = net[2].weight_hh
    assert torch.allclose(hidden.T @ hidden, torch.eye(4), atol=1e-5)


def test_init_takes_a_layer_without_bias():
    layer = init(nn.Linear(3, 3, bias=False), nn.init.orthogonal_, nn.init.zeros_, gain=1)
    assert torch.allclose(layer.weight @ layer.weight.T, torch.eye(3), atol=1e-5)

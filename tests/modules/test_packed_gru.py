"""The written-out GRU computes what nn.GRU computes, forwards and backwards."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from modules.packed_gru import packed_gru
from modules.recurrent_trunk import RecurrentTrunk

LENGTHS = [7, 5, 5, 2, 1]
BATCH_SIZES = [sum(length > t for length in LENGTHS) for t in range(LENGTHS[0])]


def packed_inputs(width):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(sum(LENGTHS), width, generator=generator, dtype=torch.double, requires_grad=True)
    hidden = torch.randn(len(LENGTHS), width, generator=generator, dtype=torch.double, requires_grad=True)
    return inputs, hidden


def both_ways(gru, inputs, hidden):
    theirs = gru(PackedSequence(inputs, torch.tensor(BATCH_SIZES)), hidden.unsqueeze(0))[0].data
    gates = F.linear(inputs, gru.weight_ih_l0, gru.bias_ih_l0)
    ours = packed_gru(gates, hidden, gru.weight_hh_l0, gru.bias_hh_l0, BATCH_SIZES)
    return theirs, ours


def test_outputs_equal_those_of_nn_gru():
    theirs, ours = both_ways(nn.GRU(4, 4).double(), *packed_inputs(4))
    torch.testing.assert_close(ours, theirs)


def test_gradients_equal_those_of_nn_gru():
    gru = nn.GRU(4, 4).double()
    inputs, hidden = packed_inputs(4)
    weights = torch.randn(sum(LENGTHS), 4, dtype=torch.double)
    sources = [inputs, hidden, *gru.parameters()]
    theirs, ours = (torch.autograd.grad((out * weights).sum(), sources) for out in both_ways(gru, inputs, hidden))
    for ours_of_one, theirs_of_one in zip(ours, theirs):
        torch.testing.assert_close(ours_of_one, theirs_of_one)


def test_gradient_by_finite_differences():
    gates = torch.randn(sum(LENGTHS), 6, dtype=torch.double, requires_grad=True)
    hidden = torch.randn(len(LENGTHS), 2, dtype=torch.double, requires_grad=True)
    weight = torch.randn(6, 2, dtype=torch.double, requires_grad=True)
    bias = torch.randn(6, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *args: packed_gru(*args, BATCH_SIZES), (gates, hidden, weight, bias))


def test_steps_sequences_and_packed_rows_of_the_trunk_agree():
    trunk = RecurrentTrunk(input_size=5, hidden_layers=[8], rnn_size=6)
    inputs = torch.randn(4, 3, 5)
    hidden = torch.zeros(3, 6)
    stepped = []
    for row in inputs:
        features, hidden = trunk.step(row, hidden)
        stepped.append(features)
    sequence, last = trunk.sequence(inputs)
    packed = trunk.packed(inputs.flatten(0, 1), [3] * 4)
    torch.testing.assert_close(sequence, torch.stack(stepped))
    torch.testing.assert_close(packed, sequence.flatten(0, 1))
    torch.testing.assert_close(last, hidden)


def test_a_trunk_without_memory_treats_each_step_alone():
    trunk = RecurrentTrunk(input_size=5, hidden_layers=[8], rnn_size=0)
    inputs = torch.randn(4, 3, 5)
    sequence, _ = trunk.sequence(inputs)
    torch.testing.assert_close(sequence[2], trunk.step(inputs[2], torch.zeros(3, 0))[0])

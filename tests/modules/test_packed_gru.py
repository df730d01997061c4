"""The written-out GRU computes what nn.GRU computes, forwards and backwards."""

import pytest
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


def test_the_gradients_derivative_by_that_of_the_outputs_by_finite_differences():
    shapes = [(sum(LENGTHS), 6), (len(LENGTHS), 2), (6, 2), (6,)]
    sources = [torch.randn(*shape, dtype=torch.double) for shape in shapes]
    outputs = packed_gru(*[source.requires_grad_() for source in sources], BATCH_SIZES)
    weights = torch.randn(sum(LENGTHS), 2, dtype=torch.double, requires_grad=True)
    backward = torch.autograd.grad(outputs, sources, weights, create_graph=True)
    moves = [torch.randn_like(source) for source in sources]
    (moved,) = torch.autograd.grad(backward, weights, moves)
    up, down = (
        packed_gru(*[source.detach() + step * move for source, move in zip(sources, moves)], BATCH_SIZES)
        for step in (1e-6, -1e-6)
    )
    torch.testing.assert_close(moved, (up - down) / 2e-6, rtol=1e-5, atol=1e-7)


def test_second_derivatives_are_refused():
    gates = torch.randn(3, 6, requires_grad=True)
    outputs = packed_gru(gates, torch.zeros(1, 2), torch.randn(6, 2), torch.zeros(6), [1, 1, 1])
    (slope,) = torch.autograd.grad(outputs.sum(), gates, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(slope.sum(), gates)


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

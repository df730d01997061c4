"""PyMARL's recurrent agents: single steps, whole sequences and packed ragged ones agree."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from modules.agents import REGISTRY

SIZE, HIDDEN, LENGTHS = 5, 8, [4, 4, 2]
BATCH_SIZES = [3, 3, 2, 2]


def make(name):
    torch.manual_seed(0)
    return REGISTRY[name](SIZE, SimpleNamespace(rnn_hidden_dim=HIDDEN, n_actions=3, use_layer_norm=True))


@torch.no_grad()
@pytest.mark.parametrize("name", ["rnn", "n_rnn"])
@pytest.mark.parametrize("fresh", [True, False])
def test_steps_sequences_and_packed_rows_agree(name, fresh):
    agent, inputs = make(name), torch.randn(1, 4, 3, SIZE)
    start = torch.zeros(1, 3, HIDDEN) if fresh else torch.randn(1, 3, HIDDEN)
    steps, hidden = [], start
    for t in range(4):
        output, hidden = agent(inputs[:, t], hidden)
        steps.append(output)
    outputs, last = agent.forward_sequence(inputs, None if fresh else start)
    torch.testing.assert_close(outputs, torch.stack(steps, 1))
    torch.testing.assert_close(last, hidden)
    rows = [(t, i) for t, n in enumerate(BATCH_SIZES) for i in range(n)]
    packed = torch.stack([inputs[0, t, i] for t, i in rows])
    ragged = agent.forward_packed(packed, BATCH_SIZES, None if fresh else start[0])
    torch.testing.assert_close(ragged, torch.stack([outputs[0, t, i] for t, i in rows]))


def test_the_cell_is_that_of_torch():
    agent, inputs = make("rnn"), torch.randn(sum(LENGTHS), SIZE)
    gru = nn.GRU(HIDDEN, HIDDEN)
    for name, parameter in agent.rnn.named_parameters():
        getattr(gru, f"{name}_l0").data.copy_(parameter.data)
    packed = nn.utils.rnn.PackedSequence(agent.embed(inputs), torch.tensor(BATCH_SIZES))
    torch.testing.assert_close(agent.forward_packed(inputs, BATCH_SIZES), agent.readout(gru(packed)[0].data))

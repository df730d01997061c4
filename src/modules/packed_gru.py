"""A GRU over ragged sequences whose gradient is written out, for training on the CPU.

torch's own CPU kernel differentiates every step apart, weight gradients included. Here all that does not depend on the
gradient flowing back through time is computed for all steps at once, and each weight gradient is one product over all
rows: about three times as fast at the sizes of multi-agent networks. On a GPU, cuDNN's `nn.GRU` is the better choice.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def packed_gru(gates: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor, batch_sizes: list[int]) -> Tensor:
    """Outputs [R, H] of a one-layer GRU with `nn.GRU`'s parameters and order of gates (reset, update, new).

    Args:
        gates: [R, 3H], the inputs' share of the gates (W_ih x + b_ih), packed time-major, longest sequence first.
        hidden: [S, H], where the sequences start.
        weight, bias: W_hh [3H, H] and b_hh [3H].
        batch_sizes: sequences still running at each step; falling, with sum R.
    """
    return _PackedGRU.apply(gates, hidden, weight, bias, batch_sizes)


def gru_rows(
    features: Tensor, hidden: Tensor, weights: Sequence[Tensor], batch_sizes: list[int], twice: bool = False
) -> Tensor:
    """Outputs [R, H] of a GRU over packed features [R, f]: by `packed_gru` on the CPU, by torch's kernel elsewhere.

    weights: W_ih, W_hh, b_ih and b_hh, as `nn.GRU` and `nn.GRUCell` have them; twice: by torch's kernel on the CPU,
    too, which has second derivatives; the rest as for `packed_gru`.
    """
    input_weight, hidden_weight, input_bias, hidden_bias = weights
    if features.device.type == "cpu" and not twice:
        return packed_gru(F.linear(features, input_weight, input_bias), hidden, hidden_weight, hidden_bias, batch_sizes)
    sizes, start = torch.tensor(batch_sizes), hidden.unsqueeze(0)
    outputs: Tensor = torch.gru(features, sizes, start, list(weights), True, 1, 0.0, torch.is_grad_enabled(), False)[0]
    return outputs


class _PackedGRU(Function):
    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor, batch_sizes: list[int]
    ) -> Tensor:
        size = hidden.shape[1]
        recurrent = torch.empty_like(gates)
        switches = gates[:, : 2 * size].clone()  # reset and update gate
        new = gates[:, 2 * size :].clone()
        outputs = torch.empty_like(new)
        steps = zip(
            recurrent.split(batch_sizes),
            recurrent[:, : 2 * size].split(batch_sizes),
            recurrent[:, 2 * size :].split(batch_sizes),
            switches.split(batch_sizes),
            switches[:, :size].split(batch_sizes),
            switches[:, size:].split(batch_sizes),
            new.split(batch_sizes),
            outputs.split(batch_sizes),
            batch_sizes,
        )
        weight_t = weight.t()
        state = hidden
        for from_hidden, to_switches, to_new, switch, reset, update, candidate, output, n in steps:
            state = state[:n]
            torch.addmm(bias, state, weight_t, out=from_hidden)
            switch.add_(to_switches).sigmoid_()
            candidate.addcmul_(reset, to_new).tanh_()
            state = torch.lerp(candidate, state, update, out=output)
        ctx.save_for_backward(recurrent, switches, new, outputs, hidden, weight)
        ctx.batch_sizes = batch_sizes
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        recurrent, switches, new, outputs, hidden, weight = ctx.saved_tensors
        batch_sizes: list[int] = ctx.batch_sizes
        size = new.shape[1]
        reset, update = switches[:, :size], switches[:, size:]
        # The hidden state that each step started from.
        past = zip(outputs.split(batch_sizes), batch_sizes[1:])
        before = torch.cat([hidden[: batch_sizes[0]], *(output[:n] for output, n in past)])
        # What a gradient of the output is multiplied by to become that of each gate's input; the new gate's share of
        # the hidden state is scaled by the reset gate besides.
        to_new = (1 - update) * (1 - new * new)
        to_update = (before - new).mul_(update).mul_(1 - update)
        to_reset = (1 - reset).mul_(reset).mul_(recurrent[:, 2 * size :]).mul_(to_new)
        to_scaled = to_new * reset
        grad_recurrent = torch.empty_like(recurrent)
        grad_hidden = grad_outputs.clone(memory_format=torch.contiguous_format)
        carried = torch.zeros_like(hidden)
        steps = zip(
            grad_hidden.split(batch_sizes),
            to_reset.split(batch_sizes),
            to_update.split(batch_sizes),
            to_scaled.split(batch_sizes),
            update.split(batch_sizes),
            grad_recurrent.split(batch_sizes),
            grad_recurrent[:, :size].split(batch_sizes),
            grad_recurrent[:, size : 2 * size].split(batch_sizes),
            grad_recurrent[:, 2 * size :].split(batch_sizes),
            batch_sizes,
        )
        for grad, by_reset, by_update, by_scaled, keep, into, into_reset, into_update, into_scaled, n in reversed(
            list(steps)
        ):
            back = carried[:n]
            grad.add_(back)
            torch.mul(grad, by_reset, out=into_reset)
            torch.mul(grad, by_update, out=into_update)
            torch.mul(grad, by_scaled, out=into_scaled)
            torch.mul(grad, keep, out=back).addmm_(into, weight)
        grad_weight, grad_bias = grad_recurrent.t() @ before, grad_recurrent.sum(dim=0)
        # The inputs' gates have the same gradient but for the new gate's, which no reset gate scales.
        torch.mul(grad_hidden, to_new, out=grad_recurrent[:, 2 * size :])
        return grad_recurrent, carried, grad_weight, grad_bias, None

"""A GRU over ragged sequences whose derivatives are written out, for training on the CPU.

torch's own CPU kernel differentiates every step apart, weight gradients included. Here all that does not depend on the
gradient flowing back through time is computed for all steps at once, and each weight gradient is one product over all
rows: about three times as fast at the sizes of multi-agent networks. On a GPU, cuDNN's `nn.GRU` is the better choice.
The gradient can be differentiated by the gradient of the outputs, which Jacobian-vector products need, and by no more.
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


def gru_rows(features: Tensor, hidden: Tensor, weights: Sequence[Tensor], batch_sizes: list[int]) -> Tensor:
    """Outputs [R, H] of a GRU over packed features [R, f]: by `packed_gru` on the CPU, by torch's kernel elsewhere.

    weights: W_ih, W_hh, b_ih and b_hh, as `nn.GRU` and `nn.GRUCell` have them; the rest as for `packed_gru`.
    """
    input_weight, hidden_weight, input_bias, hidden_bias = weights
    if features.device.type == "cpu":
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
    def backward(ctx: Any, grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        recurrent, switches, new, outputs, hidden, weight = ctx.saved_tensors
        if torch.is_grad_enabled():
            outputs = _NoSecondDerivative.apply(outputs)
        before = _before(outputs, hidden, ctx.batch_sizes)
        factors = _factors(recurrent, switches, new, before)
        update = switches[:, new.shape[1] :]
        return *_PackedGRUGradient.apply(grad_outputs, before, update, weight, *factors, ctx.batch_sizes), None


class _PackedGRUGradient(Function):
    """The gradients of gates, hidden, weight and bias, linear in that of the outputs. `factors`: see `_factors`."""

    @staticmethod
    def forward(
        ctx: Any,
        grad_outputs: Tensor,
        before: Tensor,
        update: Tensor,
        weight: Tensor,
        to_new: Tensor,
        to_reset: Tensor,
        to_update: Tensor,
        to_scaled: Tensor,
        batch_sizes: list[int],
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(before, update, weight, to_new, to_reset, to_update, to_scaled)
        ctx.batch_sizes = batch_sizes
        size = update.shape[1]
        grad_recurrent = grad_outputs.new_empty(len(update), 3 * size)
        grad_hidden = grad_outputs.clone(memory_format=torch.contiguous_format)
        carried = grad_outputs.new_zeros(batch_sizes[0], size)
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
        return grad_recurrent, carried, grad_weight, grad_bias

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gates: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor | None, ...]:
        """How the outputs move when gates, hidden, weight and bias move like this: the transpose of `forward`."""
        before, update, weight_now, to_new, *factors = ctx.saved_tensors
        batch_sizes: list[int] = ctx.batch_sizes
        size = update.shape[1]
        by_gate = torch.cat(factors, dim=1)
        # First as if the hidden state that each step starts from stayed; then with it.
        moved = torch.addmm(bias, before, weight.t())
        moved[:, : 2 * size] += gates[:, : 2 * size]
        outputs = moved.mul_(by_gate).view(-1, 3, size).sum(dim=1).addcmul_(to_new, gates[:, 2 * size :])
        weight_t, state = weight_now.t(), hidden
        steps = (rows.split(batch_sizes) for rows in (outputs, by_gate, update))
        for output, factor, keep, n in zip(*steps, batch_sizes, strict=True):
            state = state[:n]
            output.addcmul_(keep, state).add_((state @ weight_t).mul_(factor).view(n, 3, size).sum(dim=1))
            state = output
        return outputs, *[None] * 8


class _NoSecondDerivative(Function):
    """The same tensor, which nothing may be differentiated by."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        raise RuntimeError("packed_gru has no second derivatives; differentiate through torch.gru instead.")


def _before(outputs: Tensor, hidden: Tensor, batch_sizes: list[int]) -> Tensor:
    """The hidden state [R, H] that each step started from."""
    past = zip(outputs.split(batch_sizes), batch_sizes[1:])
    return torch.cat([hidden[: batch_sizes[0]], *(output[:n] for output, n in past)])


def _factors(recurrent: Tensor, switches: Tensor, new: Tensor, before: Tensor) -> tuple[Tensor, ...]:
    """Derivatives [R, H] of the output by what goes into its gates, and by the hidden state's share of the new one.

    In this order: new, reset, update, and the hidden state's share, which the reset gate scales.
    """
    size = new.shape[1]
    reset, update = switches[:, :size], switches[:, size:]
    to_new = (1 - update) * (1 - new * new)
    to_update = (before - new).mul_(update).mul_(1 - update)
    to_reset = (1 - reset).mul_(reset).mul_(recurrent[:, 2 * size :]).mul_(to_new)
    return to_new, to_reset, to_update, to_new * reset


"""One step of trust-region policy optimisation (Schulman et al. 2015, arXiv 1502.05477) on any objective and distance.

The step leads along the natural gradient, as far as the distance's second-order model allows, and is shortened until
the true distance and a share of the promised gain are kept. `kl_curvature` is that model for the distance of policies.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel


@dataclass(frozen=True)
class TrustRegion:
    """How far and how carefully to go; config/algs/hatrpo.yaml says what the values mean and which are sensible."""

    max_kl: float
    cg_steps: int
    cg_damping: float
    line_search_steps: int
    line_search_shrink: float
    accept_ratio: float

    @classmethod
    def from_args(cls, args: SimpleNamespace) -> "TrustRegion":
        """Read the keys of the same names; ValueError for one out of range."""
        region = cls(**{name: getattr(args, name) for name in cls.__dataclass_fields__})
        if region.max_kl <= 0:
            raise ValueError(f"max_kl must be positive, not {region.max_kl}")
        if not 0 < region.line_search_shrink < 1:
            raise ValueError(f"line_search_shrink must be between 0 and 1, not {region.line_search_shrink}")
        return region


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], target: Tensor, steps: int, tolerance: float = 1e-10
) -> Tensor:
    """Approximate x [d] with product(x) = target [d], for the product with a symmetric positive matrix.

    Ends after so many steps, or when the squared residual is below the tolerance.
    """
    x = torch.zeros_like(target)
    residual, direction = target.clone(), target.clone()
    square = residual @ residual
    for _ in range(steps):
        if square < tolerance:
            break
        image = product(direction)
        length = square / (direction @ image)
        x = x + length * direction
        residual = residual - length * image
        before, square = square, residual @ residual
        direction = residual + square / before * direction
    return x


def kl_curvature(
    parameters: Sequence[nn.Parameter], log_probs: Callable[[], Tensor], weights: Tensor
) -> Callable[[Tensor], Tensor]:
    """Products [d] with the Hessian, where the parameters are now, of the sum of `weights` [R] times KL(now, then).

    Args:
        parameters: those that move, d numbers in all.
        log_probs: log-probabilities [R, A] under the parameters' present values; -inf for illegal actions.

    Where a divergence is 0 its Hessian is J'PJ, with J the Jacobian of the log-probabilities and P the weighted
    probabilities on a diagonal. A backward pass gives J'u, which is linear in u: its derivative by u, along v, is Jv.
    """
    # cuDNN's recurrent kernels and fused attention cannot be differentiated by u.
    with torch.backends.cudnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
        now = log_probs()
        u = torch.zeros_like(now, requires_grad=True)
        backward = _flat(torch.autograd.grad(now, parameters, u, create_graph=True))
    diagonal = now.detach().exp() * weights.unsqueeze(1)

    def product(vector: Tensor) -> Tensor:
        (change,) = torch.autograd.grad(backward @ vector, u, retain_graph=True)
        return _flat(torch.autograd.grad(now, parameters, diagonal * change, retain_graph=True))

    return product


def trust_region_step(
    parameters: Sequence[nn.Parameter],
    objective: Callable[[], Tensor],
    distance: Callable[[], Tensor],
    curvature: Callable[[Tensor], Tensor],
    region: TrustRegion,
) -> dict[str, float]:
    """Move the parameters to raise `objective()`; it and `distance()` are of the parameters' present values.

    curvature: products of vectors [d] with the distance's Hessian where the parameters are now; distance and slope are
    0 there.
    Returns `kl` (the true distance of the step), `improvement` and `step_share` (0: no step was good enough).
    """
    before = objective()
    gradient = _flat(torch.autograd.grad(before, parameters))

    def damped(vector: Tensor) -> Tensor:
        return curvature(vector) + region.cg_damping * vector

    direction = conjugate_gradient(damped, gradient, region.cg_steps)
    model = 0.5 * direction @ damped(direction)
    if not model > 0:
        return {"kl": 0.0, "improvement": 0.0, "step_share": 0.0}
    step = direction * (region.max_kl / model).sqrt()
    promised = float(gradient @ step)
    start, share = _flat([p.detach() for p in parameters]), 1.0
    with torch.no_grad():
        for _ in range(region.line_search_steps):
            _assign(parameters, start + share * step)
            gain, moved = float(objective() - before), float(distance())
            if moved < region.max_kl and gain > 0 and gain > region.accept_ratio * share * promised:
                return {"kl": moved, "improvement": gain, "step_share": share}
            share *= region.line_search_shrink
        _assign(parameters, start)
    return {"kl": 0.0, "improvement": 0.0, "step_share": 0.0}


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _assign(parameters: Sequence[nn.Parameter], vector: Tensor) -> None:
    """In place: where in memory a parameter lies can change the last bit of what is computed with it."""
    for parameter, part in zip(parameters, vector.split([p.numel() for p in parameters]), strict=True):
        parameter.copy_(part.view_as(parameter))

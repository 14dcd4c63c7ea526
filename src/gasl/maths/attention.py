"""The attention term: what becomes small when the groups of a layer differ in size. Five readings of 1/Psi (Eq. 1).

With m and v the mean and population variance of a layer's M elements V_j, and w = sqrt(M) (or 1, not normalised)::

    total         1 / Psi,  Psi = sum over layers of v / w         the paper, Eqs. 1 and 3
    per_layer     sum over layers of  w / v                        the inverse of each layer's term
    log           sum over layers of -w log v
    cv            sum over layers of  w m^2 / v                    scale-free: the coefficient of variation
    standardised  sum over layers of -w sqrt(v)                    force -z_j / sqrt(M): bounded, sums to zero

z_j = (V_j - m) / sqrt(v). The force of "standardised" is that of -log v times sqrt(v)/2, its spread; it is the
gradient of -sqrt(v), which is therefore its value (not normalised it is -M sqrt(v), so that the force is -z_j).

``eps`` is a relative guard for forms that explode: v becomes v + eps m^2, with m held fixed. A layer whose variance
counts as zero (one group, all groups equal, all zero; see :func:`gasl.maths.variance.moments`) has no attention:
value 0, force 0.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from gasl.errors import unknown_name
from gasl.maths.norms import check_layers
from gasl.maths.variance import moments

__all__ = ["Inverse", "Values", "attention", "attention_force", "elements", "elements_slope", "partials"]

Inverse = Literal["total", "per_layer", "log", "cv", "standardised"]
Values = Literal["norms", "squared"]
_Function = Callable[[Tensor, Tensor], Tensor]


class _Form(NamedTuple):
    """A layer's term as a function of the mean m and the guarded variance u, with its partial derivatives."""

    value: _Function
    by_mean: _Function
    by_variance: _Function


def _zero(m: Tensor, _u: Tensor) -> Tensor:
    return torch.zeros_like(m)


_FORMS: dict[str, _Form] = {
    "per_layer": _Form(lambda _m, u: 1 / u, _zero, lambda _m, u: -1 / u.square()),
    "log": _Form(lambda _m, u: -u.log(), _zero, lambda _m, u: -1 / u),
    "cv": _Form(lambda m, u: m.square() / u, lambda m, u: 2 * m / u, lambda m, u: -(m / u).square()),
    "standardised": _Form(lambda _m, u: -u.sqrt(), _zero, lambda _m, u: -0.5 / u.sqrt()),
}


def elements(norms: Tensor, values: Values) -> Tensor:
    """V of Section 4 from the group norms: the norms themselves, or their squares.

    Args:
        norms: Group norms n_j.
        values: "norms" or "squared".

    Returns:
        V_j, differentiable.

    Example:
        >>> elements(torch.tensor([3.0, 1.0]), "squared")
        tensor([9., 1.])
    """
    return norms.square() if values == "squared" else norms


def elements_slope(norms: Tensor, values: Values) -> Tensor:
    """dV_j / dn_j of :func:`elements`: 1 or 2 n_j.

    Args:
        norms: Group norms n_j.
        values: "norms" or "squared".

    Returns:
        The ``(M,)`` slopes.

    Example:
        >>> elements_slope(torch.tensor([3.0, 1.0]), "squared")
        tensor([6., 2.])
    """
    return 2 * norms if values == "squared" else torch.ones_like(norms)


def attention(values: Sequence[Tensor], inverse: Inverse, *, normalise: bool = True, eps: float = 0.0) -> Tensor:
    """The attention term as a value.

    Args:
        values: One ``(M,)`` tensor of elements V_j per layer.
        inverse: Which reading of 1/Psi; see the module.
        normalise: Whether Eq. 3's sqrt(M) is used.
        eps: Relative guard: v becomes v + eps m^2.

    Returns:
        A 0-dim tensor, differentiable, finite; 0 when no layer has any variance.

    Raises:
        InputError: If there is no layer, one is not a non-empty vector, or the reading is unknown.

    Example:
        >>> attention([torch.tensor([5.0, 0.0])], "cv", normalise=False)  # 2.5^2 / 6.25
        tensor(1.)
    """
    terms = []
    for v, (m, u, alive, weight) in zip(values, _layers("attention", values, inverse, normalise, eps), strict=True):
        term = u / weight if inverse == "total" else _FORMS[inverse].value(m, u) * weight
        terms.append(torch.where(alive, term, v.new_zeros(())))
    total = torch.stack(terms).sum()
    if inverse == "total":
        return torch.where(total > 0, 1 / torch.where(total > 0, total, 1.0), 0.0)
    return total


def attention_force(
    values: Sequence[Tensor], inverse: Inverse, *, normalise: bool = True, eps: float = 0.0
) -> list[Tensor]:
    """Derivative of :func:`attention` with respect to each element, in closed form and without a graph.

    Args:
        values: One ``(M,)`` tensor of elements V_j per layer.
        inverse: Which reading of 1/Psi; see the module.
        normalise: Whether Eq. 3's sqrt(M) is used.
        eps: Relative guard: v becomes v + eps m^2.

    Returns:
        One ``(M,)`` tensor per layer; negative where an element is pushed up.

    Raises:
        InputError: If there is no layer, one is not a non-empty vector, or the reading is unknown.

    Example:
        >>> attention_force([torch.tensor([5.0, 0.0])], "standardised", normalise=False)  # -z
        [tensor([-1.,  1.])]
    """
    values = [v.detach() for v in values]
    layers = _layers("attention_force", values, inverse, normalise, eps)
    psi = torch.ones(())
    if inverse == "total":
        psi = torch.stack([torch.where(alive, u / weight, 0.0) for _, u, alive, weight in layers]).sum()
    forces = []
    for v, (m, u, alive, weight) in zip(values, layers, strict=True):
        by_mean, by_variance = partials(inverse, m, u, weight, psi)
        force = (by_mean + by_variance * 2 * (v - m)) / v.numel()
        forces.append(torch.where(alive, force, 0.0))
    return forces


def partials(inverse: Inverse, m: Tensor, u: Tensor, weight: Tensor | float, psi: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of :func:`attention` with respect to the mean and the variance of a layer, or of several at once.

    Args:
        inverse: Which reading of 1/Psi; see the module.
        m: The mean.
        u: The variance, guarded, > 0.
        weight: w, the root of the number of elements (or 1, or that number).
        psi: Psi of all layers, which "total" divides by.

    Returns:
        Two tensors like ``m``.

    Example:
        >>> partials("cv", torch.tensor(2.0), torch.tensor(4.0), 1.0, torch.tensor(1.0))  # 2 m / u, -m^2 / u^2
        (tensor(1.), tensor(-0.2500))
    """
    if inverse == "total":
        return torch.zeros_like(m), -1 / (psi.square() * weight)
    form = _FORMS[inverse]
    return form.by_mean(m, u) * weight, form.by_variance(m, u) * weight


def _layers(
    function: str, values: Sequence[Tensor], inverse: Inverse, normalise: bool, eps: float
) -> list[tuple[Tensor, Tensor, Tensor, float]]:
    # Per layer: mean, guarded variance (1 where it counts as zero, so that nothing divides by it), alive, weight.
    check_layers(function, values)
    if inverse not in get_args(Inverse):
        raise unknown_name("inverse", inverse, get_args(Inverse))
    layers = []
    for v in values:
        mean, variance, alive = moments(v)
        guarded = torch.where(alive, variance + eps * mean.detach().square(), 1.0)
        bare = v.numel() if inverse == "standardised" else 1
        layers.append((mean, guarded, alive, float(v.numel() ** 0.5 if normalise else bare)))
    return layers

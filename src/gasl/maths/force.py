"""The force of the attention term on all layers at once: what attention.py and guidance.py say layer by layer.

With m the mean of a layer's M elements V, P what subtracts a mean, and M = c I in Eq. 4, of which mean Vhat = m::

    Vhat - m = P V + c P (beta V)        where Var[beta V] > Var[V], else P V         Algorithm 1, centred
    g        = (F_m + 2 F_u (Vhat - m)) / M                                           F(m, u): attention.py
    force    = (g + c beta P g) dV/dn                                                 guide_pullback
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gasl.maths.attention import Inverse, Values, elements, elements_slope, partials
from gasl.maths.rows import Rows
from gasl.maths.variance import varies

__all__ = ["guided_force"]


@torch.no_grad()
def guided_force(
    rows: Rows,
    norms: Sequence[Tensor],
    beta: Sequence[Tensor] | None,
    inverse: Inverse,
    values: Values = "norms",
    *,
    normalise: bool = True,
    eps: float = 0.0,
    mixing: float = 1.0,
    conditional: bool = True,
    detach: bool = False,
) -> Tensor:
    """Derivative of the guided attention term with respect to each norm, in closed form and without a graph.

    Args:
        rows: Where the norms of each layer lie.
        norms: One ``(M,)`` tensor of group norms per layer.
        beta: One random factor per group, or None for the term without guidance.
        inverse: Reading of 1/Psi; see :mod:`gasl.maths.attention`.
        values: V: the group norms or their squares.
        normalise: Whether Eq. 3's sqrt(M) is used.
        eps: Relative guard of the variance.
        mixing: c of M = c I in Eq. 4.
        conditional: Whether Algorithm 1 branches on the variances.
        detach: Whether V^r counts as a constant for the gradient.

    Returns:
        A layer in each row; see :meth:`~gasl.maths.rows.Rows.vectors`.

    Example:
        >>> norms = [torch.tensor([5.0, 0.0])]
        >>> guided_force(Rows([2], norms[0]), norms, None, "standardised", normalise=False)  # -z
        tensor([[-1.,  1.]])
    """
    n = rows.matrix(norms)
    v = elements(n, values)
    mean = rows.mean(v)
    spread = rows.inside * (v - mean)
    variance = rows.mean(spread * spread)
    if beta is not None:
        b = rows.matrix(beta)
        random = rows.inside * torch.addcmul(rows.minus_mean(b * v), b, v)
        more = (rows.mean(random * random) > variance).to(v.dtype) if conditional else torch.ones_like(mean)
        c = more if mixing == 1 else mixing * more
        spread = torch.addcmul(spread, random, c)
        variance = rows.mean(spread * spread)
    alive = varies(mean, variance)
    u = torch.where(alive, variance + eps * mean.square() if eps else variance, 1.0)
    weight = rows.roots if normalise else rows.counts if inverse == "standardised" else 1.0
    psi = torch.where(alive, u / weight, 0.0).sum() if inverse == "total" else mean
    slopes = (torch.where(alive, slope, 0.0) / rows.counts for slope in partials(inverse, mean, u, weight, psi))
    by_mean, by_variance = slopes
    force = torch.addcmul(by_mean, by_variance, spread, value=2)
    if beta is not None and not detach:
        force = rows.inside * force
        force = force + b * c * (force - rows.mean(force))
    return force * elements_slope(n, values) if values == "squared" else force

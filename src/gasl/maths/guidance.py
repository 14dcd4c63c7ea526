"""Guided attention, Section 4 of the paper: additive random vectors (Eq. 4) and when they are added (Algorithm 1).

::

    V^r  = beta * V                        element by element, beta from a skewed distribution
    Vhat = V + M (V^r - E V^r)             Eq. 4
    use Vhat if Var[V^r] > Var[V], else V  Algorithm 1

E is the mean over the layer's groups. With M = c I (c = 1 in the paper) the mean of Vhat is then that of V exactly,
and Var[Vhat] = Var[(1 + c beta) V]. For a diagonal M with unequal entries, or a dense M whose columns have unequal
sums, the mean over the groups moves; only its expectation over beta, with E V^r = E[beta] V, is kept by every M.
"""

import torch
from torch import Tensor

from gasl.errors import InputError

__all__ = [
    "Mixing",
    "expected_group_variance",
    "expected_trace",
    "guide",
    "guide_pullback",
    "guided_vector",
    "rank_match",
]

Mixing = Tensor | float | None


def guided_vector(
    values: Tensor, random_values: Tensor, mixing: Mixing = None, expectation: Tensor | None = None
) -> Tensor:
    """Eq. 4: Vhat = V + M (V^r - E V^r).

    Args:
        values: V, the ``(n,)`` elements of one layer.
        random_values: V^r, as many.
        mixing: M: None for the identity, a number c for c I, ``(n,)`` for a diagonal, ``(n, n)`` for a matrix.
        expectation: E V^r; None takes the mean of ``random_values``, which keeps the mean of V for M = c I.

    Returns:
        Vhat, differentiable in both vectors.

    Raises:
        InputError: If the shapes do not fit.

    Example:
        >>> guided_vector(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 4.0]))  # mean stays 2
        tensor([-1.,  5.])
    """
    _check(values, random_values, mixing)
    centre = random_values.mean() if expectation is None else expectation
    return values + _mix(mixing, random_values - centre)


def guide(
    values: Tensor, beta: Tensor, mixing: Mixing = None, conditional: bool = True, detach: bool = False
) -> Tensor:
    """Algorithm 1: Vhat of Eq. 4 with V^r = beta * V if that is the more variable vector, else V bit for bit.

    Args:
        values: V, the ``(n,)`` elements of one layer.
        beta: One random factor per element.
        mixing: M, as in :func:`guided_vector`.
        conditional: Whether to branch on the variances; False always gives Vhat.
        detach: Whether V^r counts as a constant for the gradient.

    Returns:
        Vhat or V, differentiable in ``values``; the branch is decided on detached values, without a device sync.

    Raises:
        InputError: If the shapes do not fit.

    Example:
        >>> guide(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0]))  # V^r = (0, 6)
        tensor([-2.,  6.])
        >>> guide(torch.tensor([1.0, 3.0]), torch.tensor([3.0, 1.0]))  # V^r = (3, 3) does not vary
        tensor([1., 3.])
    """
    random_values = beta * (values.detach() if detach else values)
    guided = guided_vector(values, random_values, mixing)
    return torch.where(_is_guided(values, beta, conditional), guided, values)


def guide_pullback(
    force: Tensor,
    values: Tensor,
    beta: Tensor,
    mixing: Mixing = None,
    conditional: bool = True,
    detach: bool = False,
) -> Tensor:
    """Derivative with respect to V of a function of Vhat, in closed form: the transposed Jacobian of :func:`guide`.

    With g the function's derivative with respect to Vhat, it is g + beta * P M^T g, where P subtracts the mean.

    Args:
        force: g, the ``(n,)`` derivative with respect to Vhat.
        values: V, as given to :func:`guide`.
        beta: As given to :func:`guide`.
        mixing: As given to :func:`guide`.
        conditional: As given to :func:`guide`.
        detach: As given to :func:`guide`; the result is then g itself.

    Returns:
        The ``(n,)`` derivative with respect to V.

    Raises:
        InputError: If the shapes do not fit.

    Example:
        >>> guide_pullback(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0]))
        tensor([ 1., -1.])
    """
    _check(values, beta, mixing)
    if detach:
        return force
    mixed = _mix(mixing, force, transpose=True)
    pulled = force + beta * (mixed - mixed.mean())
    return torch.where(_is_guided(values, beta, conditional), pulled, force)


def rank_match(beta: Tensor, values: Tensor) -> Tensor:
    """Permute ``beta`` so that the largest stands with the largest of ``values``, and so on down.

    Args:
        beta: Random factors, one per element.
        values: The elements; of equal ones the later gets the larger factor.

    Returns:
        The same factors, reordered.

    Example:
        >>> rank_match(torch.tensor([3.0, 1.0, 2.0]), torch.tensor([0.1, 0.9, 0.5]))
        tensor([1., 3., 2.])
    """
    order = values.detach().argsort(stable=True)
    return torch.empty_like(beta).scatter_(0, order, beta.sort().values)


def expected_group_variance(values: Tensor, beta_mean: float, beta_variance: float) -> Tensor:
    """E over independent beta of Var[Vhat], M = I: (1 + mean)^2 v + variance (1 - 1/n) mean_j V_j^2.

    The second term, which the guided vector adds, is positive even when all elements are equal.

    Args:
        values: V, the ``(n,)`` elements of one layer.
        beta_mean: Mean of the factors.
        beta_variance: Their variance.

    Returns:
        A 0-dim tensor, differentiable.

    Example:
        >>> expected_group_variance(torch.tensor([1.0, 3.0]), beta_mean=1.0, beta_variance=2.0)  # 4*1 + 2*0.5*5
        tensor(9.)
    """
    n = values.numel()
    spread = beta_variance * (1 - 1 / n) * values.square().mean()
    return (1 + beta_mean) ** 2 * values.var(correction=0) + spread


def expected_trace(value_cov: Tensor, random_cov: Tensor, cross_cov: Tensor, mixing: Mixing = None) -> Tensor:
    """Eq. 5: Tr(Var[V] + Y + Y^T + M Var[V^r] M^T) with Y = M Cov[V^r, V], the summed variance of Vhat.

    E V^r counts as a constant here. With the mean over the groups in its place, use M P for M, where P = I - 1/n
    subtracts that mean.

    Args:
        value_cov: Var[V], ``(n, n)``.
        random_cov: Var[V^r], ``(n, n)``.
        cross_cov: Cov[V^r, V], ``(n, n)``, rows for V^r.
        mixing: M, as in :func:`guided_vector`.

    Returns:
        A 0-dim tensor.

    Raises:
        InputError: If a covariance is not a square matrix like the others, or M does not fit.

    Example:
        >>> expected_trace(torch.eye(2), 2 * torch.eye(2), torch.zeros(2, 2), mixing=3.0)  # 2 + 9 * 4
        tensor(38.)
    """
    n = value_cov.shape[0]
    shapes = [tuple(c.shape) for c in (value_cov, random_cov, cross_cov)]
    if any(shape != (n, n) for shape in shapes):
        raise InputError(f"expected_trace needs three square covariances of one size, got shapes {shapes}")
    _check(value_cov[0], value_cov[0], mixing)
    cross = _mix(mixing, cross_cov)
    spread = _mix(mixing, _mix(mixing, random_cov).T)  # (M (M Var)^T) = M Var M^T, Var being symmetric
    return (value_cov + cross + cross.T + spread).trace()


def _is_guided(values: Tensor, beta: Tensor, conditional: bool) -> Tensor:
    if not conditional:
        return torch.ones((), dtype=torch.bool, device=values.device)
    values = values.detach()
    return (beta * values).var(correction=0) > values.var(correction=0)


def _mix(mixing: Mixing, vector: Tensor, transpose: bool = False) -> Tensor:
    # M times a vector, or times each column of a matrix.
    if mixing is None:
        return vector
    if not isinstance(mixing, Tensor) or mixing.ndim == 0:
        return mixing * vector
    if mixing.ndim == 1:
        return mixing.view(-1, *[1] * (vector.ndim - 1)) * vector
    return (mixing.T if transpose else mixing) @ vector


def _check(values: Tensor, other: Tensor, mixing: Mixing) -> None:
    n = values.numel()
    if values.ndim != 1 or other.shape != values.shape:
        raise InputError(
            f"guidance needs two vectors of one length, got {tuple(values.shape)} and {tuple(other.shape)}"
        )
    if isinstance(mixing, Tensor) and tuple(mixing.shape) not in {(), (n,), (n, n)}:
        raise InputError(f"mixing must be a number, ({n},) or ({n}, {n}) for {n} elements, got {tuple(mixing.shape)}")

"""Hard concrete gates of L0 regularisation (Louizos 2017b): a continuous variable that is exactly 0 or 1 at times.

One gate has a single parameter, log alpha; u is uniform on (0, 1)::

    s = sigmoid((log u - log(1 - u) + log alpha) / beta)        binary concrete, on (0, 1)
    z = min(1, max(0, s (zeta - gamma) + gamma))                stretched to (gamma, zeta) and cut
    P(z > 0) = sigmoid(log alpha - beta log(-gamma / zeta))     what the L0 penalty counts

With the paper's beta = 2/3, gamma = -0.1, zeta = 1.1 the gate that is used without noise is exactly 0 from
log alpha = -log 11 = -2.398 down, and exactly 1 from log 11 up.
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from gasl.errors import InputError, unknown_name

__all__ = [
    "BETA",
    "GAMMA",
    "ZETA",
    "GateRule",
    "hard_concrete_active",
    "hard_concrete_mean",
    "hard_concrete_sample",
    "hard_concrete_test",
]

GateRule = Literal["paper", "median"]

BETA = 2 / 3
GAMMA = -0.1
ZETA = 1.1


def hard_concrete_sample(
    log_alpha: Tensor, u: Tensor, beta: float = BETA, gamma: float = GAMMA, zeta: float = ZETA
) -> Tensor:
    """Gates z = min(1, max(0, sigmoid((logit u + log alpha) / beta) (zeta - gamma) + gamma)).

    Args:
        log_alpha: Log alpha of each gate.
        u: Uniform numbers in [0, 1], like ``log_alpha``; 0 and 1 are the limits, gates 0 and 1.
        beta: Temperature, > 0.
        gamma: Lower end of the stretched interval, < 0.
        zeta: Upper end, > 1.

    Returns:
        Gates in [0, 1] like ``log_alpha``, differentiable in it; the gradient is 0 where the gate was cut.

    Raises:
        InputError: If a constant is out of its range.

    Example:
        >>> import torch
        >>> hard_concrete_sample(torch.zeros(4), torch.tensor([0.1, 0.5, 0.6, 0.9]))
        tensor([0.0000, 0.5000, 0.6770, 1.0000])
    """
    _check(beta, gamma, zeta)
    return _cut((u.logit() + log_alpha).div(beta).sigmoid(), gamma, zeta)


def hard_concrete_active(log_alpha: Tensor, beta: float = BETA, gamma: float = GAMMA, zeta: float = ZETA) -> Tensor:
    """P(z > 0) = sigmoid(log alpha - beta log(-gamma / zeta)): the expected L0 norm of a gate.

    Args:
        log_alpha: Log alpha of each gate.
        beta: Temperature, > 0.
        gamma: Lower end of the stretched interval, < 0.
        zeta: Upper end, > 1.

    Returns:
        Probabilities like ``log_alpha``, differentiable.

    Raises:
        InputError: If a constant is out of its range.

    Example:
        >>> import torch
        >>> hard_concrete_active(torch.tensor([-2.398, 0.0, 2.398]))
        tensor([0.3102, 0.8318, 0.9820])
    """
    _check(beta, gamma, zeta)
    return (log_alpha - beta * math.log(-gamma / zeta)).sigmoid()


def hard_concrete_mean(log_alpha: Tensor, beta: float = BETA, gamma: float = GAMMA, zeta: float = ZETA) -> Tensor:
    """E z = integral over t in [0, 1] of P(z > t) = sigmoid(log alpha - beta log((t - gamma) / (zeta - t))).

    It has no closed form; Simpson's rule with 100 intervals is right to 1e-7 at the paper's constants.

    Args:
        log_alpha: Log alpha of each gate.
        beta: Temperature, > 0.
        gamma: Lower end of the stretched interval, < 0.
        zeta: Upper end, > 1.

    Returns:
        Means in (0, 1) like ``log_alpha``, differentiable.

    Raises:
        InputError: If a constant is out of its range.

    Example:
        >>> import torch
        >>> hard_concrete_mean(torch.tensor([-2.398, 0.0, 2.398]))
        tensor([0.1027, 0.5000, 0.8973])
    """
    _check(beta, gamma, zeta)
    t = torch.linspace(0, 1, 101, dtype=log_alpha.dtype, device=log_alpha.device)
    weights = torch.where(torch.arange(101, device=t.device) % 2 == 1, 4 / 300, 2 / 300).to(t)
    weights[[0, -1]] = 1 / 300
    above = (log_alpha[..., None] - beta * ((t - gamma) / (zeta - t)).log()).sigmoid()
    return (above * weights).sum(-1)


def hard_concrete_test(
    log_alpha: Tensor, beta: float = BETA, gamma: float = GAMMA, zeta: float = ZETA, *, rule: GateRule = "paper"
) -> Tensor:
    """The gate without noise: min(1, max(0, s (zeta - gamma) + gamma)).

    ::

        paper     s = sigmoid(log alpha)           0 up to log alpha = -log 11, where still P(z > 0) = 0.31
        median    s = sigmoid(log alpha / beta)    0 up to -beta log 11 = -1.599, where P(z > 0) = 1/2

    The median is the gate at u = 1/2: it prunes earlier, and half of all draws lie on either side of it (constrained
    L0, Gallego-Posada 2022).

    Args:
        log_alpha: Log alpha of each gate.
        beta: Temperature, > 0.
        gamma: Lower end of the stretched interval, < 0.
        zeta: Upper end, > 1.
        rule: "paper" or "median".

    Returns:
        Gates in [0, 1] like ``log_alpha``.

    Raises:
        InputError: If a constant is out of its range, or the rule is neither.

    Example:
        >>> import torch
        >>> log_alpha = torch.tensor([-2.4, -2.0, 0.0, 2.4])
        >>> hard_concrete_test(log_alpha)
        tensor([0.0000, 0.0430, 0.5000, 1.0000])
        >>> hard_concrete_test(log_alpha, rule="median")
        tensor([0.0000, 0.0000, 0.5000, 1.0000])
    """
    _check(beta, gamma, zeta)
    if rule not in get_args(GateRule):
        raise unknown_name("rule", rule, get_args(GateRule))
    return _cut((log_alpha / beta if rule == "median" else log_alpha).sigmoid(), gamma, zeta)


def _cut(s: Tensor, gamma: float, zeta: float) -> Tensor:
    return (s * (zeta - gamma) + gamma).clamp(0, 1)


def _check(beta: float, gamma: float, zeta: float) -> None:
    if not (0 < beta < math.inf and -math.inf < gamma < 0 and 1 < zeta < math.inf):
        raise InputError(
            f"a hard concrete gate needs beta > 0, gamma < 0 and zeta > 1, got {beta}, {gamma} and {zeta}; "
            f"the paper has {BETA:.4f}, {GAMMA} and {ZETA}"
        )

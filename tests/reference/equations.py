"""The paper's equations once more, as slow loops over plain numbers, written from its Sections 3 and 4 alone.

A layer is a list of groups, a group a list of weights; nothing here imports gasl or torch.
"""

import math

Layer = list[list[float]]


def norms(layer: Layer) -> list[float]:
    out = []
    for group in layer:
        total = 0.0
        for w in group:
            total += w * w
        out.append(math.sqrt(total))
    return out


def mean(xs: list[float]) -> float:
    total = 0.0
    for x in xs:
        total += x
    return total / len(xs)


def variance(xs: list[float]) -> float:
    m = mean(xs)
    total = 0.0
    for x in xs:
        total += (x - m) ** 2
    return total / len(xs)


def theta(layers: list[Layer]) -> float:
    """Eq. 2."""
    total = 0.0
    for layer in layers:
        inner = 0.0
        for n in norms(layer):
            inner += n
        total += inner / math.sqrt(len(layer))
    return total


def psi(layers: list[Layer]) -> float:
    """Eq. 3."""
    total = 0.0
    for layer in layers:
        total += variance(norms(layer)) / math.sqrt(len(layer))
    return total


def attention(values: list[list[float]], inverse: str, normalise: bool) -> float:
    """Every reading of 1/Psi, on the elements V of each layer; no layer here is without variance."""
    if inverse == "total":
        total = 0.0
        for v in values:
            total += variance(v) / (math.sqrt(len(v)) if normalise else 1.0)
        return 1.0 / total
    total = 0.0
    for v in values:
        weight = math.sqrt(len(v)) if normalise else 1.0
        if inverse == "per_layer":
            total += weight / variance(v)
        elif inverse == "log":
            total -= weight * math.log(variance(v))
        elif inverse == "cv":
            total += weight * mean(v) ** 2 / variance(v)
        elif inverse == "standardised":
            total -= (weight if normalise else len(v)) * math.sqrt(variance(v))
    return total


def standardised_rates(values: list[float], strength: float, alpha: float) -> list[float]:
    """strength / sqrt(M) * max(0, 1 - alpha z_j)."""
    m, s = mean(values), math.sqrt(variance(values))
    rates = []
    for v in values:
        z = (v - m) / s if s > 0 else 0.0
        rates.append(strength / math.sqrt(len(values)) * max(0.0, 1.0 - alpha * z))
    return rates


def matrix(mixing: object, n: int) -> list[list[float]]:
    """M of Eq. 4 written out: from nothing, a number, a diagonal or a matrix."""
    out = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(n):
            if isinstance(mixing, list) and isinstance(mixing[0], list):
                out[i][j] = mixing[i][j]
            elif i == j:
                out[i][j] = mixing[i] if isinstance(mixing, list) else 1.0 if mixing is None else float(mixing)
    return out


def guided_vector(v: list[float], v_r: list[float], mixing: object = None) -> list[float]:
    """Eq. 4 with E as the mean over the elements."""
    big_m, centre = matrix(mixing, len(v)), mean(v_r)
    out = []
    for i in range(len(v)):
        added = 0.0
        for j in range(len(v)):
            added += big_m[i][j] * (v_r[j] - centre)
        out.append(v[i] + added)
    return out


def algorithm_1(v: list[float], beta: list[float], mixing: object = None) -> list[float]:
    v_r = [beta[k] * v[k] for k in range(len(v))]
    if variance(v_r) > variance(v):
        return guided_vector(v, v_r, mixing)
    return v


def trace_of_eq_5(var_v: list[list[float]], var_r: list[list[float]], cov: list[list[float]], mixing: object) -> float:
    """Tr(Var[V] + Y + Y^T + M Var[V^r] M^T), Y = M Cov[V^r, V]."""
    n = len(var_v)
    big_m = matrix(mixing, n)
    trace = 0.0
    for i in range(n):
        trace += var_v[i][i]
        for j in range(n):
            trace += 2 * big_m[i][j] * cov[j][i]
            for k in range(n):
                trace += big_m[i][j] * var_r[j][k] * big_m[i][k]
    return trace


def prox(w: list[float], threshold: float) -> list[float]:
    """argmin_x 1/2 ||x - w||^2 + threshold ||x|| for two weights, by a grid that closes in; the function is convex."""

    def cost(x: float, y: float) -> float:
        return 0.5 * ((x - w[0]) ** 2 + (y - w[1]) ** 2) + threshold * math.hypot(x, y)

    best, width = (0.0, 0.0), 2 * math.hypot(*w) + 1.0
    while width > 1e-9:
        points = [(best[0] + i * width / 8, best[1] + j * width / 8) for i in range(-8, 9) for j in range(-8, 9)]
        best = min(points, key=lambda p: cost(*p))
        width *= 0.7
    return [best[0], best[1]]

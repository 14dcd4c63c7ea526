"""What the papers print for MNIST, as data: beside our own runs on the method cards.

Only numbers that could be read in a source other than our own notes are here; each names where. Numbers that are
published for 784-300-100 alone are left out, because the network of the comparison is 784-500-300.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["OTHERS", "PRINTED", "PUBLISHED", "Printed", "Published", "macs"]


@dataclass(frozen=True)
class Published:
    """One row of a paper.

    Args:
        error: Test error in percent.
        source: Where it was read.
        widths: Units left; of lenet5 conv1, conv2, the inputs of fc1, fc1, of mlp the inputs, fc1, fc2.
        weights: For methods that remove single weights, the percent of each layer's weights that are left.
    """

    error: float
    source: str
    widths: tuple[int, ...] | None = None
    weights: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Printed:
    """A row of the GASL paper's Table 1.

    Args:
        error: Test error in percent.
        sparsity: Percent of units removed, in the order of :attr:`Published.widths`.
        speedup: As printed; the paper does not say on what.
    """

    error: float
    sparsity: tuple[int, ...]
    speedup: float


_SBP = "table in the README of its authors' code, github.com/necludov/group-sparsity-sbp"
_SVD = "table in the README of its authors' code, github.com/bayesgroup/variational-dropout-sparsifies-dnn"
_FLOPS = "Tang, Adhikari, Lin 2018, FLOPs as a Direct Optimization Objective, where the paper's row is quoted"

PUBLISHED: Mapping[str, tuple[Published, ...]] = {
    "lenet5/baseline": (Published(0.80, _SBP, (20, 50, 800, 500)),),
    "lenet5/magnitude_pruning": (Published(0.77, f"Han 2015 in the {_SVD}", weights=(66.0, 12.0, 8.0, 19.0)),),
    "lenet5/bayesian_compression": (Published(1.0, f"normal-Jeffreys; {_FLOPS}", (8, 13, 88, 13)),),
    "lenet5/bayesian_compression_horseshoe": (Published(1.0, f"horseshoe; {_FLOPS}", (5, 10, 76, 16)),),
    "lenet5/structured_bp": (Published(0.86, _SBP, (3, 18, 284, 283)),),
    "lenet5/group_lasso": (Published(1.00, _SBP, (3, 12, 800, 500)),),
    "lenet5/sparse_vd": (
        Published(0.75, _SBP, (17, 32, 329, 75)),
        Published(0.75, _SVD, weights=(33.0, 2.0, 0.2, 5.0)),
    ),
    "lenet5/l0": (Published(0.9, _FLOPS, (20, 25, 45, 462)),),
    "lenet5/l0_separate": (Published(1.0, f"a strength for each layer; {_FLOPS}", (9, 18, 65, 25)),),
    "mlp/baseline": (Published(1.54, _SBP, (784, 500, 300)),),
    "mlp/structured_bp": (Published(1.55, _SBP, (245, 160, 55)),),
    "mlp/group_lasso": (
        Published(1.49, _SBP, (434, 174, 78)),
        Published(1.53, "the same widths in Table 3 of Liu et al. 2017, Network Slimming", (434, 174, 78)),
    ),
    "mlp/sparse_vd": (Published(1.57, _SBP, (537, 217, 130)),),
}

# Of methods that are not built here, for the picture of error against multiply-accumulates.
OTHERS: Mapping[str, Published] = {
    "lenet5/generalized_dropout": Published(1.1, f"generalized dropout; {_FLOPS}", (7, 13, 208, 16)),
}

PRINTED: Mapping[str, Printed] = {
    "lenet5/baseline": Printed(0.8, (0, 0, 0, 0), 1.00),
    "lenet5/l1": Printed(2.44, (15, 31, 37, 53), 1.07),
    "lenet5/magnitude_pruning": Printed(1.21, (61, 58, 80, 67), 1.17),
    "lenet5/bayesian_compression": Printed(0.9, (60, 74, 89, 97), 2.31),
    "lenet5/structured_bp": Printed(0.86, (85, 62, 64, 43), 2.03),
    "lenet5/group_lasso": Printed(1.00, (71, 58, 61, 34), 1.83),
    "lenet5/sparse_vd": Printed(0.75, (66, 36, 59, 75), 1.43),
    "lenet5/l0": Printed(1.02, (8, 62, 96, 17), 1.31),
    "lenet5/structured_attention": Printed(1.05, (78, 62, 72, 50), 1.91),
    "lenet5/gasl": Printed(0.92, (76, 88, 86, 95), 2.41),
    "mlp/baseline": Printed(1.54, (0, 0, 0), 1.00),
    "mlp/l1": Printed(3.26, (21, 23, 15), 1.01),
    "mlp/magnitude_pruning": Printed(1.71, (20, 32, 69), 1.03),
    "mlp/bayesian_compression": Printed(1.8, (71, 81, 94), 1.18),
    "mlp/structured_bp": Printed(1.55, (68, 77, 89), 1.28),
    "mlp/group_lasso": Printed(1.49, (52, 61, 74), 1.12),
    "mlp/sparse_vd": Printed(1.57, (31, 56, 57), 1.05),
    "mlp/l0": Printed(1.41, (32, 34, 37), 1.07),
    "mlp/structured_attention": Printed(1.56, (22, 31, 62), 1.04),
    "mlp/gasl": Printed(1.53, (64, 80, 95), 1.23),
}

SIZES: Mapping[str, tuple[int, ...]] = {"lenet5": (20, 50, 800, 500), "mlp": (784, 500, 300)}


def macs(network: str, widths: Sequence[int]) -> int:
    """Multiply-accumulates of a network of these widths for one image.

    Widths of a table need not be those of a network that can be built: two maps have 32 features, whatever the table
    says. As many inputs of fc1 are counted as there can be.

    Args:
        network: lenet5 or mlp.
        widths: As in :attr:`Published.widths`.

    Returns:
        The count, without biases.

    Example:
        >>> macs("lenet5", (20, 50, 800, 500)), macs("lenet5", (5, 6, 112, 25)) == macs("lenet5", (5, 6, 96, 25))
        (2293000, True)
        >>> macs("mlp", (784, 500, 300))
        545000
    """
    if network == "lenet5":
        conv1, conv2, inputs, fc1 = widths
        return conv1 * 25 * 24**2 + conv1 * conv2 * 25 * 8**2 + min(inputs, 16 * conv2) * fc1 + fc1 * 10
    pixels, fc1, fc2 = widths
    return pixels * fc1 + fc1 * fc2 + fc2 * 10


def printed_widths(network: str, printed: Printed) -> tuple[int, ...]:
    """The widths that printed percentages mean.

    Args:
        network: lenet5 or mlp.
        printed: A row of the paper's Table 1.

    Returns:
        Units left, rounded.

    Example:
        >>> printed_widths("lenet5", PRINTED["lenet5/gasl"])
        (5, 6, 112, 25)
    """
    return tuple(round(size * (1 - s / 100)) for size, s in zip(SIZES[network], printed.sparsity, strict=True))

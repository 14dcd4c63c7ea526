"""What the GASL paper prints for CIFAR, Tables 2 to 4, and what other papers do, as data: beside our own runs.

Only numbers that could be read in a source other than our own notes are here; each names where.
"""

from collections.abc import Mapping

from gasl.report.published import Printed, Published

__all__ = ["PRINTED_CIFAR", "PRINTED_RISE", "PUBLISHED_CIFAR"]

PRINTED_CIFAR: Mapping[str, Printed] = {
    "cifar10/baseline": Printed(8.75, (0,), 1.00),
    "cifar10/l1": Printed(11.43, (22,), 1.36),
    "cifar10/magnitude_pruning": Printed(10.76, (32,), 1.54),
    "cifar10/bayesian_compression": Printed(8.42, (82,), 3.16),
    "cifar10/structured_bp": Printed(8.62, (46,), 2.86),
    "cifar10/group_lasso": Printed(9.12, (74,), 3.31),
    "cifar10/sparse_vd": Printed(7.79, (61,), 2.14),
    "cifar10/l0": Printed(8.83, (52,), 2.41),
    "cifar10/structured_attention": Printed(8.62, (48,), 2.80),
    "cifar10/gasl": Printed(8.32, (76,), 3.06),
    "cifar100/baseline": Printed(27.41, (0,), 1.00),
    "cifar100/l1": Printed(31.75, (17,), 1.35),
    "cifar100/magnitude_pruning": Printed(28.46, (22,), 1.46),
    "cifar100/bayesian_compression": Printed(25.72, (41,), 2.02),
    "cifar100/structured_bp": Printed(25.47, (29,), 2.45),
    "cifar100/group_lasso": Printed(26.42, (46,), 2.43),
    "cifar100/sparse_vd": Printed(24.91, (42,), 2.11),
    "cifar100/l0": Printed(26.73, (38,), 1.92),
    "cifar100/structured_attention": Printed(25.76, (32,), 2.37),
    "cifar100/gasl": Printed(25.41, (48,), 2.91),
}

_BC = "table in the README of its authors' code, github.com/KarenUllrich/Tutorial_BayesianCompressionForDL, VGG"
PUBLISHED_CIFAR: Mapping[str, tuple[Published, ...]] = {
    "cifar10/bayesian_compression": (
        Published(8.6, f"normal-Jeffreys, 14x fewer weights; {_BC}", weights=(7.1,)),
        Published(9.0, f"horseshoe, 18x fewer weights; {_BC}", weights=(5.6,)),
    ),
}

# Points of error above the baseline at 60, 70 and 80 % of sparsity, CIFAR-100. "Louizos et al." stands where Table 2
# has l0 regularisation, and is read as that.
PRINTED_RISE: Mapping[str, tuple[float, ...]] = {
    "rise/l1": (1.51, 3.46, 4.21),
    "rise/structured_bp": (0.67, 1.79, 2.68),
    "rise/group_lasso": (0.74, 1.89, 2.64),
    "rise/sparse_vd": (0.59, 1.81, 2.73),
    "rise/l0": (0.61, 1.74, 2.81),
    "rise/gasl": (0.71, 1.68, 2.23),
    "alpha/0.01": (2.1, 3.46, 4.21),
    "alpha/0.1": (0.86, 1.91, 2.51),
    "alpha/1": (0.71, 1.68, 2.13),
    "alpha/10": (0.67, 1.79, 2.09),
    "alpha/100": (1.61, 3.21, 4.41),
}

"""gasl: train any network to be small, and get back a smaller, faster network with the same outputs.

Start at :class:`Sparsifier`; :func:`trace`, :func:`shrink`, :func:`measure`, :func:`save`, :func:`load` and
:func:`export` stand on their own. Training, data, reports and the command line live in sub-packages with extras.
"""

from gasl.errors import FileError, GaslError, InputError, MissingExtraError, RemovalError
from gasl.files import export, load, save
from gasl.measure import Comparison, Measurement, compare, measure
from gasl.methods import (
    GASL,
    L0,
    L1,
    METHODS,
    Attention,
    BayesianCompression,
    DepGraphNorm,
    GroupLasso,
    MagnitudePruning,
    Method,
    NetworkSlimming,
    SparseVD,
    StructuredAttention,
    StructuredBP,
)
from gasl.removal import AxisSparsity, Removal, shrink, shrink_
from gasl.sparsifier import Sparsifier, Target
from gasl.structure import Axis, Structure, trace

__version__ = "0.1.0"

__all__ = [
    "GASL",
    "L0",
    "L1",
    "METHODS",
    "Attention",
    "Axis",
    "AxisSparsity",
    "BayesianCompression",
    "Comparison",
    "DepGraphNorm",
    "FileError",
    "GaslError",
    "GroupLasso",
    "InputError",
    "MagnitudePruning",
    "Measurement",
    "Method",
    "MissingExtraError",
    "NetworkSlimming",
    "Removal",
    "RemovalError",
    "SparseVD",
    "Sparsifier",
    "Structure",
    "StructuredAttention",
    "StructuredBP",
    "Target",
    "__version__",
    "compare",
    "export",
    "load",
    "measure",
    "save",
    "shrink",
    "shrink_",
    "trace",
]

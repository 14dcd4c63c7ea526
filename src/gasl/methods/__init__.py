"""Sparsity methods: frozen dataclasses whose fields are the hyper-parameters.

To read the paper's whole idea: base, penalty, group_lasso, attention_term, structured_attention, gasl.
"""

from collections.abc import Mapping

from gasl.methods.attention import Attention
from gasl.methods.base import Groups, Method, State
from gasl.methods.bayesian_compression import BayesianCompression
from gasl.methods.depgraph_norm import DepGraphNorm
from gasl.methods.gasl import GASL
from gasl.methods.group_lasso import GroupLasso
from gasl.methods.l0 import L0
from gasl.methods.l1 import L1
from gasl.methods.magnitude_pruning import MagnitudePruning
from gasl.methods.network_slimming import NetworkSlimming
from gasl.methods.penalty import Penalty
from gasl.methods.sparse_vd import SparseVD
from gasl.methods.structured_attention import StructuredAttention
from gasl.methods.structured_bp import StructuredBP

__all__ = [
    "GASL",
    "L0",
    "L1",
    "METHODS",
    "Attention",
    "BayesianCompression",
    "DepGraphNorm",
    "GroupLasso",
    "Groups",
    "MagnitudePruning",
    "Method",
    "NetworkSlimming",
    "Penalty",
    "SparseVD",
    "State",
    "StructuredAttention",
    "StructuredBP",
]

METHODS: Mapping[str, type[Method]] = {
    "attention": Attention,
    "bayesian_compression": BayesianCompression,
    "depgraph_norm": DepGraphNorm,
    "gasl": GASL,
    "group_lasso": GroupLasso,
    "l0": L0,
    "l1": L1,
    "magnitude_pruning": MagnitudePruning,
    "network_slimming": NetworkSlimming,
    "sparse_vd": SparseVD,
    "structured_attention": StructuredAttention,
    "structured_bp": StructuredBP,
}

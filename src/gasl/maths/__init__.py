"""The paper's equations as pure functions: tensors in, tensors out, no hyper-parameter held anywhere."""

from gasl.maths.norms import group_norms, linear_dim
from gasl.maths.proximal import prox_group_lasso, shrink_factors

__all__ = ["group_norms", "linear_dim", "prox_group_lasso", "shrink_factors"]

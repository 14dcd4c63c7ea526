"""The paper's equations as pure functions: tensors in, tensors out, no hyper-parameter held anywhere."""

from gasl.maths.attention import attention, attention_force, elements, elements_slope
from gasl.maths.guidance import (
    expected_group_variance,
    expected_trace,
    guide,
    guide_pullback,
    guided_vector,
    rank_match,
)
from gasl.maths.hard_concrete import hard_concrete_active, hard_concrete_sample, hard_concrete_test
from gasl.maths.lasso import group_lasso, group_lasso_rates
from gasl.maths.norms import group_norms, linear_dim
from gasl.maths.proximal import prox_group_lasso, shrink_factors
from gasl.maths.sampling import LogNormal, Sampler, draw
from gasl.maths.variance import group_variance, moments

__all__ = [
    "LogNormal",
    "Sampler",
    "attention",
    "attention_force",
    "draw",
    "elements",
    "elements_slope",
    "expected_group_variance",
    "expected_trace",
    "group_lasso",
    "group_lasso_rates",
    "group_norms",
    "group_variance",
    "guide",
    "guide_pullback",
    "guided_vector",
    "hard_concrete_active",
    "hard_concrete_sample",
    "hard_concrete_test",
    "linear_dim",
    "moments",
    "prox_group_lasso",
    "rank_match",
    "shrink_factors",
]

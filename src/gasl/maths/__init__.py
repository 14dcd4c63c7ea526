"""The paper's equations as pure functions: tensors in, tensors out, no hyper-parameter held anywhere."""

from gasl.maths.attention import attention, attention_force, elements, elements_slope
from gasl.maths.gaussian import gaussian_kl, local_sample, local_variance, product_variance, total_gaussian_kl
from gasl.maths.guidance import (
    expected_group_variance,
    expected_trace,
    guide,
    guide_pullback,
    guided_vector,
    rank_match,
)
from gasl.maths.hard_concrete import hard_concrete_active, hard_concrete_mean, hard_concrete_sample, hard_concrete_test
from gasl.maths.horseshoe import (
    log_normal_gamma_kl,
    log_normal_inverse_gamma_kl,
    log_normal_mean,
    log_normal_mode,
    root_of_product,
)
from gasl.maths.lasso import group_lasso, group_lasso_rates
from gasl.maths.log_uniform import bounded_variance, log_alpha, log_uniform_kl, total_log_uniform_kl
from gasl.maths.magnitude import below_deviation, outside_pattern
from gasl.maths.norms import group_norms, linear_dim
from gasl.maths.proximal import prox_group_lasso, shrink_factors
from gasl.maths.ranking import smallest, smallest_of_all
from gasl.maths.ridge import growing_ridge, growing_ridge_rates, growing_weights, relative
from gasl.maths.sampling import LogNormal, Sampler, draw
from gasl.maths.truncated_log_normal import (
    truncated_log_normal_kl,
    truncated_log_normal_mean,
    truncated_log_normal_sample,
    truncated_log_normal_snr,
)
from gasl.maths.variance import group_variance, moments

__all__ = [
    "LogNormal",
    "Sampler",
    "attention",
    "attention_force",
    "below_deviation",
    "bounded_variance",
    "draw",
    "elements",
    "elements_slope",
    "expected_group_variance",
    "expected_trace",
    "gaussian_kl",
    "group_lasso",
    "group_lasso_rates",
    "group_norms",
    "group_variance",
    "growing_ridge",
    "growing_ridge_rates",
    "growing_weights",
    "guide",
    "guide_pullback",
    "guided_vector",
    "hard_concrete_active",
    "hard_concrete_mean",
    "hard_concrete_sample",
    "hard_concrete_test",
    "linear_dim",
    "local_sample",
    "local_variance",
    "log_alpha",
    "log_normal_gamma_kl",
    "log_normal_inverse_gamma_kl",
    "log_normal_mean",
    "log_normal_mode",
    "log_uniform_kl",
    "moments",
    "outside_pattern",
    "product_variance",
    "prox_group_lasso",
    "rank_match",
    "relative",
    "root_of_product",
    "shrink_factors",
    "smallest",
    "smallest_of_all",
    "total_gaussian_kl",
    "total_log_uniform_kl",
    "truncated_log_normal_kl",
    "truncated_log_normal_mean",
    "truncated_log_normal_sample",
    "truncated_log_normal_snr",
]

"""The rule table: what each family of ATen ops does to labels. One row an op family.

A rule is called after the op has run. It labels the results, ties the classes of elements that must live or die
together, notes affine calls, and protects what it cannot follow. An op without a row is pointwise if torch tags it
so, else unknown: the units that enter it are protected, with the op's name as the reason.
"""

from typing import TYPE_CHECKING, Any

import torch

from gasl.structure.rules.call import Call, Rule
from gasl.structure.rules.combining import pad, pointwise, pool, reduce, unknown
from gasl.structure.rules.layers import batch_norm, convolution, feature_norm, linear
from gasl.structure.rules.moving import join, like, move, part, roll, same, select

if TYPE_CHECKING:
    from gasl.structure.tracer import Tracer

__all__ = ["RULES", "Call", "Rule", "apply_rule"]

_FAMILIES: tuple[tuple[Rule, str], ...] = (
    (same, "clone detach alias contiguous _to_copy lift_fresh"),
    (like, "zeros_like ones_like empty_like full_like rand_like randn_like"),
    (move, "view _unsafe_view reshape permute transpose t numpy_T squeeze unsqueeze expand flip"),
    (roll, "roll"),
    (move, "pixel_shuffle pixel_unshuffle"),
    (part, "slice select split split_with_sizes unbind"),
    (select, "index_select"),
    (join, "cat stack"),
    (pointwise, "copy_ fill_ zero_ _prelu_kernel"),
    (pool, "max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool2d adaptive_max_pool3d"),
    (pool, "avg_pool1d avg_pool2d avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d"),
    (pool, "upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_bilinear2d upsample_bicubic2d"),
    (reduce, "mean sum amax amin"),
    (pad, "constant_pad_nd reflection_pad2d replication_pad2d"),
    (batch_norm, "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm"),
    (feature_norm, "native_layer_norm native_group_norm"),
    (convolution, "convolution"),
    (linear, "mm addmm"),
)

RULES: dict[Any, Rule] = {getattr(torch.ops.aten, name): rule for rule, names in _FAMILIES for name in names.split()}


def apply_rule(tracer: "Tracer", call: Call) -> None:
    """Look an op up and follow its rule."""
    rule = RULES.get(call.func.overloadpacket)
    if rule is None:
        rule = pointwise if call.results and torch.Tag.pointwise in call.func.tags else unknown
    rule(tracer, call)

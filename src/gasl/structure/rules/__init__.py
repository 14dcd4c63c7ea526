"""The rule table: what each family of ATen ops does to labels. One row an op family.

A rule is called after the op has run. It labels the results, ties the classes of elements that must live or die
together, notes affine calls, and protects what it cannot follow. An op without a row is pointwise if torch tags it
so, else unknown: the units that enter it are protected, with the op's name as the reason.
"""

from collections.abc import Callable
from typing import Any

import torch

from gasl.structure.calls import Call
from gasl.structure.ledger import Ledger
from gasl.structure.rules.combining import pad, pointwise, pool, reduce, softmax, unknown
from gasl.structure.rules.contracting import attention, batched_product, bilinear, linear
from gasl.structure.rules.cutting import index, part, select
from gasl.structure.rules.layers import convolution, embedding
from gasl.structure.rules.making import make
from gasl.structure.rules.moving import (
    expand,
    gate,
    join,
    like,
    move,
    repeat,
    roll,
    same,
    shuffle_channels,
    shuffle_pixels,
)
from gasl.structure.rules.norms import batch_norm, group_norm, layer_norm

__all__ = ["RULES", "Call", "Rule", "apply_rule"]

Rule = Callable[[Ledger, Call], None]

_FAMILIES: tuple[tuple[Rule, str], ...] = (
    (same, "clone detach alias contiguous _to_copy lift_fresh"),
    (like, "zeros_like ones_like empty_like full_like rand_like randn_like"),
    (make, "zeros ones empty full new_zeros new_ones new_empty new_full"),
    (move, "view _unsafe_view reshape permute transpose transpose_ t numpy_T squeeze unsqueeze flip"),
    (expand, "expand"),
    (repeat, "repeat"),
    (roll, "roll"),
    (shuffle_pixels, "pixel_shuffle"),
    (shuffle_channels, "channel_shuffle native_channel_shuffle"),
    (gate, "glu"),
    (move, "pixel_unshuffle"),
    (part, "slice select split split_with_sizes unsafe_split unsafe_split_with_sizes unbind"),
    (select, "index_select"),
    (index, "index"),
    (join, "cat stack"),
    (pointwise, "copy_ fill_ zero_ _prelu_kernel hardswish hardswish_ hardsigmoid hardsigmoid_ softplus mish rrelu"),
    (pool, "max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool2d adaptive_max_pool3d"),
    (pool, "avg_pool1d avg_pool2d avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d"),
    (pool, "upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_bilinear2d upsample_bicubic2d"),
    (pool, "upsample_linear1d upsample_trilinear3d"),
    (reduce, "mean sum amax amin linalg_vector_norm var std"),
    (softmax, "_softmax _log_softmax _safe_softmax"),
    (pad, "constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d replication_pad3d"),
    (batch_norm, "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm"),
    (layer_norm, "native_layer_norm"),
    (group_norm, "native_group_norm"),
    (convolution, "convolution"),
    (linear, "mm addmm"),
    (batched_product, "bmm baddbmm"),
    (bilinear, "_trilinear"),
    (attention, "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_efficient_attention"),
    (embedding, "embedding"),
)

RULES: dict[Any, Rule] = {getattr(torch.ops.aten, name): rule for rule, names in _FAMILIES for name in names.split()}


def apply_rule(ledger: Ledger, call: Call) -> None:
    """Look an op up and follow its rule."""
    rule = RULES.get(call.func.overloadpacket)
    if rule is None:
        rule = pointwise if call.results and torch.Tag.pointwise in call.func.tags else unknown
    try:
        rule(ledger, call)
    except (RuntimeError, ValueError, IndexError) as error:  # a form of the op that the rule was not written for
        for tensor in call.tensors:
            ledger.protect(tensor, f"no rule for this form of {call.name} ({str(error).partition(chr(10))[0]})")

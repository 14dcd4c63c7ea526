"""Multiply-accumulates of one forward pass for one example.

Convention (the one behind the figures that papers print): a multiply-accumulate is a product of a weight, or of two
activations in an attention, with its addition. Bias, normalisation, activation and pooling count nothing; causal
attention counts in full. A gather, which is what removing single input features leaves in front of a linear layer,
counts one for each element that it moves, so that removal cannot hide its cost.

The ops are those that really run (``torch.utils.flop_counter``). An op that takes a weight, has no formula, and is not
in the list of cheap ones below is returned by its name: nothing with a weight is counted 0 in silence.
"""

import warnings
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from gasl.measure.example import Example, tensors_in
from gasl.structure.running import eager, undisturbed

__all__ = ["Macs", "count_macs"]

Shape = Sequence[int]


@dataclass(frozen=True)
class Macs:
    """A count and what is missing from it.

    Attributes:
        total: Multiply-accumulates of one example.
        uncounted: Names of the ops that take weights and have no formula; the total is too low when there is one.

    Example:
        >>> Macs(total=12, uncounted=())
        Macs(total=12, uncounted=())
    """

    total: int
    uncounted: tuple[str, ...]


def count_macs(model: nn.Module, example_inputs: object) -> Macs:
    """Multiply-accumulates of one forward pass, for one example.

    The network runs once at batch size 1, in eval mode and without gradients; training flags, buffers, the random
    generators and the setting of PyTorch's attention fast path are afterwards as they were.

    Args:
        model: Any network.
        example_inputs: A tensor, a tuple of arguments or a dict of named arguments; dimension 0 is the batch.

    Returns:
        The count, and the ops it lacks.

    Raises:
        InputError: If the example inputs hold no batch, or the network cannot be run as it is.

    Example:
        >>> count_macs(nn.Sequential(nn.Linear(784, 500), nn.ReLU(), nn.Linear(500, 10)), torch.zeros(2, 784))
        Macs(total=397000, uncounted=())
    """
    example = Example.of(example_inputs).at(1).on(model)
    counter = FlopCounterMode(display=False, custom_mapping=_FORMULAS)
    watch = _Watch(counter.flop_registry, model.parameters())
    with undisturbed(model), eager(), warnings.catch_warnings(), counter, watch:
        warnings.filterwarnings("ignore", "Using `torch.compile.module.` when there are global hooks")  # the counter's
        example.run(model)
    return Macs(counter.get_total_flops() // 2, tuple(sorted(watch.uncounted)))


class _Watch(TorchDispatchMode):
    """Names the ops that take a weight, or are an attention, and that no formula counts.

    A weight is a parameter, a view of one, or what cheap ops made of parameters alone (a weight norm, say).
    """

    supports_higher_order_operators = True

    def __init__(self, known: Container[Any], parameters: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch has no annotation here
        self.known = known
        self.weights = {_storage(p): p for p in parameters if p.numel() > 0}  # holds the tensors: addresses stay taken
        self.uncounted: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        inputs = list(tensors_in((args, kwargs)))
        from_weights = [_storage(t) in self.weights for t in inputs]
        packet = func.overloadpacket if isinstance(func, torch._ops.OpOverload) else func
        if packet not in self.known:
            name = str(packet)
            space, _, op = name.partition(".")
            cheap = space in ("aten", "prim", "prims") and (op in _CHEAP or op.removesuffix("_") in _CHEAP)
            if not cheap and (any(from_weights) or "attention" in name):
                self.uncounted.add(name)
        if inputs and all(from_weights):
            self.weights.update({_storage(t): t for t in tensors_in(out) if t.numel() > 0})
        return out


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


# Formulas in FLOPs (2 per multiply-accumulate) from shapes, for what flop_counter lacks. Arguments are the op's own.


def _attention(query: Shape, key: Shape, value: Shape, *args: Any, **kwargs: Any) -> int:
    return 2 * prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _lstm_on_cpu(x: Shape, weight_ih: Shape, weight_hh: Shape, *args: Any, **kwargs: Any) -> int:
    return 2 * prod(x[:-1]) * (prod(weight_ih) + prod(weight_hh))


def _rnn_on_cuda(x: Shape, weights: Sequence[Shape], *args: Any, **kwargs: Any) -> int:
    return 2 * prod(x[:-1]) * sum(prod(w) for w in weights if len(w) == 2)


def _gather(*args: Any, out_shape: Shape, **kwargs: Any) -> int:
    return 2 * prod(out_shape)


def _matrix_vector(matrix: Shape, vector: Shape, **kwargs: Any) -> int:
    return 2 * prod(matrix)


def _bias_matrix_vector(bias: Shape, matrix: Shape, vector: Shape, **kwargs: Any) -> int:
    return 2 * prod(matrix)


def _linear(x: Shape, weight: Shape, *args: Any, **kwargs: Any) -> int:
    return 2 * prod(x) * weight[0]


def _bias_matrix_matrix(bias: Shape, a: Shape, b: Shape, **kwargs: Any) -> int:
    return 2 * prod(a) * b[-1]


def _bias_batch_matrix_matrix(bias: Shape, a: Shape, b: Shape, **kwargs: Any) -> int:
    return 2 * prod(a) * b[-1]


def _three_factors(a: Shape, b: Shape, c: Shape, *spread: Any, **kwargs: Any) -> int:
    """One for each product of all three, which share dimensions; ``spread`` says where each lacks some."""
    full: list[list[int]] = []
    for shape, missing in zip((a, b, c), spread, strict=False):
        sizes = list(shape)
        for dim in missing:
            sizes.insert(dim, 1)
        full.append(sizes)
    shared: list[int] = [max(sizes) for sizes in zip(*full, strict=True)]
    return 2 * prod(shared)


_aten = torch.ops.aten
_FORMULAS: dict[Any, Callable[..., int]] = {
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    _aten._scaled_dot_product_fused_attention_overrideable: _attention,
    _aten.mkldnn_rnn_layer: _lstm_on_cpu,
    _aten._cudnn_rnn: _rnn_on_cuda,
    _aten.index_select: _gather,
    _aten.mv: _matrix_vector,
    _aten.dot: _matrix_vector,
    _aten.vdot: _matrix_vector,
    _aten.addmv: _bias_matrix_vector,
    _aten.linear: _linear,
    _aten._addmm_activation: _bias_matrix_matrix,
    _aten.addbmm: _bias_batch_matrix_matrix,
    _aten._trilinear: _three_factors,
}

# Ops that may take a weight and still count nothing. In-place forms (``add_``) go with their plain form.
_MOVES = """
_embedding_bag _embedding_bag_forward_only _reshape_alias _to_copy _unsafe_view alias as_strided cat clone
constant_pad_nd copy detach device diagonal embedding empty_like expand flip full_like gather index lift_fresh narrow
new_empty new_full new_ones new_zeros ones_like permute repeat resize roll select slice split split_with_sizes squeeze
stack t transpose tril triu unbind unfold unsafe_split unsqueeze view zeros_like
"""
_POINTWISE = """
_prelu_kernel abs add addcdiv addcmul bitwise_and bitwise_not clamp clamp_max clamp_min cos div elu eq erf exp ge gelu
gt hardsigmoid hardswish hardtanh le leaky_relu lerp log log1p logical_and logical_not lt masked_fill maximum minimum
mul ne neg pow reciprocal relu round rsqrt rsub sigmoid sign silu sin softplus sqrt square sub tanh where
"""
_NORMS_AND_MEANS = """
_fused_rms_norm _local_scalar_dense _log_softmax _native_batch_norm_legit _native_batch_norm_legit_no_training
_softmax _weight_norm_interface all amax amin any argmax batch_norm cudnn_batch_norm cumsum linalg_vector_norm max
mean min native_batch_norm native_group_norm native_layer_norm norm sum std upsample_bicubic2d upsample_bilinear2d
upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_trilinear3d var var_mean
"""
_CHEAP = frozenset(f"{_MOVES} {_POINTWISE} {_NORMS_AND_MEANS}".split())

"""Products of matrices: linear layers, batched products, attention."""

from functools import partial

import torch
from torch import Tensor

from gasl.structure.calls import Call
from gasl.structure.labels import distinct, distinct_rows, varying_dims
from gasl.structure.ledger import Ledger
from gasl.structure.rules.combining import unknown
from gasl.structure.rules.layers import affine, columns, read_by
from gasl.structure.views import WeightView

__all__ = ["attention", "batched_product", "bilinear", "linear"]

aten = torch.ops.aten


def linear(ledger: Ledger, call: Call) -> None:
    """``input @ weight (+ bias)`` as mm and addmm; two activations are a batched product of one."""
    bias, source, weight = (None, *call.args) if call.func.overloadpacket is aten.mm else call.args
    scaled = any(call.argument(name) not in (None, 1) for name in ("beta", "alpha"))
    if scaled or ledger.weight(source) is not None or (ledger.name(source) is not None):
        unknown(ledger, call)
        return
    if not _by_weight(ledger, call, source, weight, bias):
        if bias is not None:
            unknown(ledger, call)
            return
        product = _product(
            ledger, call, _wide(ledger, source)[None], _wide(ledger, weight)[None], source[None], weight[None]
        )
        ledger.set_labels(call.results[0], None if product is None else product[0])


def _by_weight(ledger: Ledger, call: Call, source: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """A product with a parameter: (..., K) @ (K, N). False if the right side is none."""
    view = ledger.weight(weight)
    if view is None:
        return False
    below, rows = (_atoms(ledger, view, dim) for dim in (-2, -1))
    read = columns(ledger, call, source, -1)
    read_by(ledger, below, read)
    for dim in view.dims[-1]:
        ledger.set_role(view.name, dim, "producer")
    for dim in view.dims[-2]:
        ledger.set_role(view.name, dim, "consumer")
    positions = source.detach().reshape(-1, source.shape[-1])
    plain = view.dims == ((1,), (0,)) and view.whole
    affine(ledger, call, view.name, bias, rows, read, positions, matrix=view.matrix, plain=plain)
    ledger.set_labels(call.results[0], rows.expand(call.results[0].shape))
    return True


def bilinear(ledger: Ledger, call: Call) -> None:
    """``sum_ij left_i weight_oij right_j``: each input is read through the weight, and multiplied by the other.

    So no constant of one can go into a bias (the calls are not ``plain``), unless it is 0.
    """
    left, weight, right, *dims = call.args[:7]
    view = ledger.weight(weight)
    summed_as_by_a_layer = [list(d) for d in dims] == [[1, 3], [0], [1, 2], [2, 3]]
    if view is None or view.dims != ((0,), (1,), (2,)) or not view.whole or not summed_as_by_a_layer:
        unknown(ledger, call)
        return
    rows = _atoms(ledger, view, 0)
    ledger.set_role(view.name, 0, "producer")
    for side, source in enumerate((left, right)):
        read = columns(ledger, call, source, 1)
        read_by(ledger, _atoms(ledger, view, 1 + side), read)
        ledger.set_role(view.name, 1 + side, "consumer")
        matrix = partial(torch.any, dim=2 - side)
        affine(ledger, call, view.name, None, rows, read, source.detach(), matrix=matrix, plain=False, side=side)
    ledger.set_labels(call.results[0], rows.expand(call.results[0].shape))


def _atoms(ledger: Ledger, view: WeightView, dim: int) -> Tensor:
    atoms, own = view.atoms[dim], view.dims[dim]
    if atoms is not None:
        return atoms
    return ledger.atoms(view.name, own[0], 1) if own else ledger.classes.fresh(1)


def batched_product(ledger: Ledger, call: Call) -> None:
    """``a @ b`` for every matrix of a batch."""
    bias, left, right = (None, *call.args) if call.func.overloadpacket is aten.bmm else call.args
    if call.argument("beta") == 0:
        bias = None
    if bias is None and ledger.weight(left) is None and _by_weight(ledger, call, left, right, None):
        return
    if ledger.weight(left) is not None or ledger.weight(right) is not None or bias is not None:
        unknown(ledger, call)
        return
    labels = _product(ledger, call, _wide(ledger, left), _wide(ledger, right), left, right)
    ledger.set_labels(call.results[0], labels)


def _wide(ledger: Ledger, tensor: Tensor) -> Tensor:
    labels = ledger.labels(tensor)
    return torch.zeros(1, dtype=torch.int64).expand(tensor.shape) if labels is None else labels.expand(tensor.shape)


def _product(
    ledger: Ledger, call: Call, left: Tensor, right: Tensor, a: Tensor | None = None, b: Tensor | None = None
) -> Tensor | None:
    """Labels of ``(N, L, K) @ (N, K, S)``: units that are contracted are tied, others go on."""
    shape = (left.shape[0], left.shape[1], right.shape[2])
    wide_left, wide_right = set(varying_dims(left)), set(varying_dims(right))
    known = [bool((side > 0).any()) for side in (left, right)]
    if not any(known):
        return None
    if 2 in wide_left or 1 in wide_right or not (known[0] or known[1]):
        return _contracted(ledger, call, left, right, shape, a, b)
    keeps, gives = (right, left) if len(wide_right) >= len(wide_left) else (left, right)
    if keeps is right:
        merged = keeps.narrow(1, 0, 1).expand(shape)
        other = gives.narrow(2, 0, 1).expand(shape)
    else:
        merged = keeps.narrow(2, 0, 1).expand(shape)
        other = gives.narrow(1, 0, 1).expand(shape)
    values = b if keeps is right else a
    if values is None:
        ledger.notes.mixed.append(merged)
    else:
        ledger.notes.scale(keeps, values)
    if bool((other > 0).any()):
        ledger.notes.meet(merged, other, call.name)
        ledger.notes.flow(other, merged, additive=False)
    return merged


def _contracted(
    ledger: Ledger,
    call: Call,
    left: Tensor,
    right: Tensor,
    shape: tuple[int, ...],
    a: Tensor | None,
    b: Tensor | None,
) -> Tensor | None:
    """A sum over units: the same units on both sides. Each matrix of the batch becomes a unit of its own kind."""
    if 1 in varying_dims(left) or 2 in varying_dims(right) or bool((left <= 0).any()) or bool((right <= 0).any()):
        for labels in (left, right):
            ledger.classes.protect(labels, f"{call.name} sums over units of one side only")
        return None
    first, second = left[:, 0, :], right[:, :, 0]
    ledger.classes.tie(first, second)
    roots = ledger.classes.roots(first)
    patterns, where = distinct_rows(roots)
    if patterns.shape[0] == 1:
        for labels, tensor in ((left, a), (right, b)):
            if tensor is not None:
                ledger.notes.sink(labels, tensor)
            else:
                ledger.classes.protect(labels, f"{call.name} without heads")
        return None
    for labels, tensor in ((left, a), (right, b)):
        if tensor is not None:
            ledger.notes.scale(labels, tensor)  # a constant on both sides counts in every product
    virtual = ledger.classes.fresh(patterns.shape[0])
    ledger.notes.grid(patterns, headers={0: virtual})
    ledger.notes.flow(patterns, virtual[:, None], additive=False)
    return virtual[where][:, None, None].expand(shape)


def attention(ledger: Ledger, call: Call) -> None:
    """``softmax(q k^T / scale + mask) v`` as one op."""
    query, key, value = call.args[:3]
    mask = call.argument("attn_mask")
    mask = call.argument("attn_bias") if mask is None else mask
    if call.argument("scale") is None and 3 in ledger.varying(query):
        ledger.notes.fix(_wide(ledger, query), 3, f"{call.name}: its scale follows the head width")
    sides = [_wide(ledger, tensor) for tensor in (query, key, value)]
    if any(set(varying_dims(side)) - {1, 3} for side in sides):
        for side in sides:
            ledger.classes.protect(side, f"{call.name} over several units")
        return
    q, k, v = (_heads(side, query.shape[1]) for side in sides)
    batch = query.shape[0]
    sizes = [tensor.detach().abs().amax((0, 2))[:, None] for tensor in (query, key)]
    sizes[1] = sizes[1].repeat_interleave(query.shape[1] // key.shape[1], dim=0).transpose(1, 2)
    scores = _product(ledger, call, q, k.transpose(1, 2), *sizes)
    if mask is not None and ledger.weight(mask) is not None:
        ledger.protect(mask, f"{call.name} with a parameter as its mask")
        for side in sides:
            ledger.classes.protect(side, f"{call.name} with a parameter as its mask")
    elif mask is not None and (labels := ledger.labels(mask)) is not None and bool((distinct(labels) > 0).any()):
        if scores is None:
            ledger.classes.protect(labels, f"{call.name} without heads")
        else:
            shape = (scores.shape[0], *mask.shape[-2:])
            ledger.notes.meet(scores.narrow(1, 0, 1).narrow(2, 0, 1).expand(shape), labels[0].expand(shape), call.name)
    lengths = torch.zeros(1, dtype=torch.int64).expand(q.shape[0], 1, k.shape[1])
    weights = lengths if scores is None else scores[:, :1, :1].expand(-1, 1, k.shape[1])
    largest = value.detach().abs().amax((0, 2))[:, None].repeat_interleave(query.shape[1] // value.shape[1], dim=0)
    out = _product(ledger, call, weights, v, None, largest)
    if out is not None:
        result = call.results[0]
        ledger.set_labels(result, out.expand(-1, result.shape[2], -1)[None].expand(batch, -1, -1, -1))


def _heads(labels: Tensor, heads: int) -> Tensor:
    """One example's labels as (heads, 1, width); shared key and value heads are repeated."""
    one = labels[0, :, :1]
    return one.repeat_interleave(heads // one.shape[0], dim=0)

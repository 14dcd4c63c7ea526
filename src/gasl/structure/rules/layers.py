"""Ops that take a layer's parameters: convolutions, linear maps and norms."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gasl.structure.axes import Affine
from gasl.structure.labels import varying_dims
from gasl.structure.rules.call import Call
from gasl.structure.rules.combining import unknown

if TYPE_CHECKING:
    from gasl.structure.tracer import Tracer

__all__ = ["batch_norm", "convolution", "feature_norm", "linear"]

aten = torch.ops.aten


def convolution(tracer: "Tracer", call: Call) -> None:
    """Rows of the weight write units, columns read them."""
    source, weight, bias, _stride, padding, _dilation, transposed, _output_padding, groups = call.args
    view = tracer.matrix(weight)
    if view is None or view.order != tuple(range(weight.ndim)) or transposed or groups != 1:
        kind = (
            "transposed convolution" if transposed else f"convolution in {groups} groups" if groups != 1 else "weight"
        )
        for tensor in call.tensors:
            tracer.protect(tensor, f"no rule for this {kind}")
        return
    positions = source.detach().movedim(1, -1).reshape(-1, source.shape[1])
    rows = _affine(tracer, call, source, view.name, bias, positions, any(p != 0 for p in padding))
    result = call.results[0]
    tracer.set_labels(result, rows.reshape([-1 if d == 1 else 1 for d in range(result.ndim)]).expand(result.shape))


def linear(tracer: "Tracer", call: Call) -> None:
    """``input @ weight.T (+ bias)`` as mm and addmm."""
    bias, source, weight = (None, *call.args) if call.func.overloadpacket is aten.mm else call.args
    view = tracer.matrix(weight)
    scaled = any(call.argument(name) not in (None, 1) for name in ("beta", "alpha"))
    if view is None or view.order != (1, 0) or tracer.matrix(source) is not None or scaled:
        unknown(tracer, call)
        return
    rows = _affine(tracer, call, source, view.name, bias, source.detach(), padded=False)
    tracer.set_labels(call.results[0], rows.expand(call.results[0].shape))


def _affine(
    tracer: "Tracer", call: Call, source: Tensor, weight: str, bias: Tensor | None, positions: Tensor, padded: bool
) -> Tensor:
    """Note the call; returns the atoms of its rows. ``positions`` is the input as (positions, columns)."""
    count = positions.shape[1]
    rows, columns = tracer.atoms(weight, 0, call.results[0].shape[1]), tracer.atoms(weight, 1, count)
    read = torch.zeros(count, dtype=torch.int64)
    labels = tracer.labels(source)
    if labels is not None and any(d != 1 for d in varying_dims(labels)):
        tracer.protect(source, f"{call.name} reads several units through one weight")
        tracer.classes.protect(columns, f"{call.name} reads several units through one weight")
    elif labels is not None:
        read = labels.movedim(1, -1).reshape(-1, count)[0].clone()
        tracer.classes.tie(columns[read > 0], read[read > 0])
    tracer.classes.protect(columns[read <= 0], "reads what no layer of the network makes")
    name = None if bias is None else tracer.name(bias)
    if bias is not None:
        own = None if name is None else tracer.vector(bias, "bias")
        if own is None:
            tracer.protect(bias, "a computed bias")
            tracer.classes.protect(rows, "its bias is computed")
        else:
            tracer.classes.tie(rows, own)
    gathered = tracer.gathered(weight)
    affine = Affine(
        weight=weight,
        bias=name,
        module=None,
        conv=call.func.overloadpacket is aten.convolution,
        rows=rows,
        columns=columns,
        labels=read,
        padded=padded,
        value=positions[0].cpu().clone(),
        spread=(positions.amax(0) - positions.amin(0)).cpu(),
        source=read if gathered is None else gathered[0],
        index=None if gathered is None else gathered[1].cpu(),
    )
    tracer.write(call.results[0], affine)
    return rows


def batch_norm(tracer: "Tracer", call: Call) -> None:
    """A norm over batch and space keeps each unit apart; scale, shift and statistics belong to the unit."""
    source = call.tensors[0]
    labels = tracer.labels(source)
    if labels is None or any(d != 1 for d in varying_dims(labels)):
        for tensor in call.tensors:
            tracer.protect(tensor, f"{call.name} over several units")
        return
    unit = labels.movedim(1, -1).reshape(-1, source.shape[1])[0]
    for position, tensor in enumerate(call.args[1:5]):
        if not isinstance(tensor, Tensor):
            continue
        own = tracer.vector(tensor, "norm" if position < 2 else "statistic")
        if own is None:
            tracer.protect(source, f"{call.name} with a computed scale, shift or statistic")
            continue
        tracer.classes.tie(unit, own)
        if position == 0 and (name := tracer.name(tensor)) is not None:
            tracer.gate(source, name)
    tracer.set_labels(call.results[0], labels)


def feature_norm(tracer: "Tracer", call: Call) -> None:
    """A norm over the units themselves: its mean and variance see a unit that is zero."""
    for tensor in call.tensors:
        tracer.protect(tensor, f"{call.name}: the norm's mean and variance see a zero unit")

"""Ops that take a layer's parameters: convolutions, linear maps and tables."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gasl.structure.affine import Affine, flat_kernel
from gasl.structure.labels import along, spread, varying_dims
from gasl.structure.rules.call import Call
from gasl.structure.views import WeightView

if TYPE_CHECKING:
    from gasl.structure.tracer import Tracer

__all__ = ["affine", "columns", "convolution", "embedding", "read_by"]


def convolution(tracer: "Tracer", call: Call) -> None:
    """Rows of the weight write units, columns read them; groups do so side by side."""
    source, weight, bias, _stride, padding, _dilation, transposed, _output_padding, groups = call.args
    result = call.results[0]
    name = tracer.name(weight)
    if name is None and (view := tracer.weight(weight)) is not None and _in_order(view):
        name = view.name
    if name is None:
        for tensor in call.tensors:
            tracer.protect(tensor, "a convolution with a computed weight")
        return
    outs, ins = result.shape[1], source.shape[1]
    write, read = (1, 0) if transposed else (0, 1)
    positions = source.detach().movedim(1, -1).reshape(-1, ins)
    units = columns(tracer, call, source, 1)
    if groups == 1:
        rows = tracer.atoms(name, write, outs)
        read_by(tracer, tracer.atoms(name, read, ins), units)
        matrix: Callable[[Tensor], Tensor] = _transposed if transposed else flat_kernel
    else:
        rows = _grouped(tracer, call, name, units, outs, groups, transposed)
        matrix = _blocks(groups, transposed)
    tracer.set_role(name, write, "producer")
    tracer.set_role(name, read, "consumer")
    padded = bool(transposed) or any(p != 0 for p in padding)
    plain = groups == 1 and not transposed
    affine(tracer, call, name, bias, rows, units, positions, padded=padded, conv=True, matrix=matrix, plain=plain)
    tracer.set_labels(result, spread(rows, 1, result.shape))


def columns(tracer: "Tracer", call: Call, source: Tensor, dim: int) -> Tensor:
    """What each column of a weight reads along ``dim``; where that differs from place to place it is protected."""
    count = source.shape[dim]
    labels = tracer.labels(source)
    if labels is None:
        return torch.zeros(count, dtype=torch.int64)
    if any(d != dim % source.ndim for d in varying_dims(labels)):
        tracer.protect(source, f"{call.name} reads several units through one weight")
        return torch.zeros(count, dtype=torch.int64)
    return along(labels, dim).clone()


def _in_order(view: WeightView) -> bool:
    """Whether a view only gives a kernel more dimensions."""
    repeated = any(atoms is None and n > 1 for atoms, n in zip(view.atoms, view.shape, strict=True))
    return not repeated and all(own in ((), (d,)) for d, own in enumerate(view.dims))


def _transposed(mask: Tensor) -> Tensor:
    return flat_kernel(mask).t()


def _blocks(groups: int, transposed: bool) -> Callable[[Tensor], Tensor]:
    """From a grouped convolution's weight to the full matrix, which is zero between groups."""

    def matrix(mask: Tensor) -> Tensor:
        flat = flat_kernel(mask)
        parts = flat.reshape(groups, flat.shape[0] // groups, flat.shape[1])
        full: Tensor = torch.block_diag(*(part.t() if transposed else part for part in parts))
        return full.bool()

    return matrix


def _grouped(
    tracer: "Tracer", call: Call, name: str, units: Tensor, outs: int, groups: int, transposed: bool
) -> Tensor:
    """The rows of a grouped convolution: a group goes whole, or the same place in every group."""
    inside_in, inside_out = units.numel() // groups, outs // groups
    number = tracer.sizes.attribute(groups, "groups")
    header = tracer.classes.fresh(groups)
    tracer.notes.size(header, 0, number, call.name)
    if transposed:  # (in, out / groups): rows of the matrix lie in both dimensions
        rows = tracer.classes.fresh(outs)
        places = tracer.atoms(name, 1, inside_out) if inside_out > 1 else None
        own = tracer.atoms(name, 0, units.numel())
    else:
        rows = tracer.atoms(name, 0, outs)
        places = tracer.atoms(name, 1, inside_in) if inside_in > 1 else None
        own = None
    if bool((units <= 0).any()):
        for atoms in (rows, units, header, places, own):
            if atoms is not None:
                tracer.classes.protect(atoms, "reads what no layer of the network makes")
        return rows
    if own is not None:
        tracer.classes.tie(own, units)
    for cells, heads in (
        (units.reshape(groups, inside_in), places if not transposed else None),
        (rows.reshape(groups, inside_out), places if transposed else None),
    ):
        if cells.shape[1] == 1:
            tracer.classes.tie(cells[:, 0], header)
        else:
            tracer.notes.grid(cells, headers={0: header} | ({} if heads is None else {1: heads}))
    return rows


def read_by(tracer: "Tracer", atoms: Tensor, units: Tensor) -> None:
    """The columns of a weight, by their atoms, read these units; a column that reads none stays."""
    made = units > 0
    if bool(made.all()):
        tracer.classes.tie(atoms, units)
        return
    tracer.classes.tie(atoms[made], units[made])
    tracer.classes.protect(atoms[~made], "reads what no layer of the network makes")


def affine(
    tracer: "Tracer",
    call: Call,
    weight: str,
    bias: Tensor | None,
    rows: Tensor,
    read: Tensor,
    positions: Tensor,
    *,
    padded: bool = False,
    conv: bool = False,
    matrix: Callable[[Tensor], Tensor] = flat_kernel,
    plain: bool = True,
    side: int = 0,
) -> None:
    """Note the call. ``positions`` is the input as (positions, columns)."""
    name = None if bias is None else tracer.name(bias)
    if bias is not None:
        own = tracer.vector(bias, "bias")
        if own is None and not tracer.derived(bias):
            own = tracer.labels(bias)
        if own is None or own.numel() != rows.numel():
            tracer.protect(bias, "a computed bias")
            tracer.classes.protect(rows, "its bias is computed")
        else:
            tracer.classes.tie(rows, own.flatten())
        plain = plain and name is not None
    gathered = tracer.gathered(weight)
    noted = Affine(
        weight=weight,
        bias=name,
        module=None,
        conv=conv,
        rows=rows,
        labels=read,
        padded=padded,
        value=positions[0].cpu().clone(),
        spread=(positions.amax(0) - positions.amin(0)).cpu(),
        source=read if gathered is None else gathered[0],
        index=None if gathered is None else gathered[1].cpu(),
        matrix=matrix,
        plain=plain,
        side=side,
    )
    tracer.write(call.results[0], noted)


def embedding(tracer: "Tracer", call: Call) -> None:
    """A table: each column is a unit, written by the rows that are looked up."""
    view, result = tracer.weight(call.args[0]), call.results[0]
    if view is None or view.dims != ((0,), (1,)):
        tracer.protect(call.args[0], "a computed table")
        return
    atoms = tracer.atoms(view.name, 1, result.shape[-1])
    tracer.set_role(view.name, 1, "producer")
    tracer.notes.tables.append((view.name, 1))
    tracer.set_labels(result, atoms.expand(result.shape))

"""Ops that take a layer's parameters: convolutions, linear maps and tables."""

from collections.abc import Callable

import torch
from torch import Tensor

from gasl.structure.affine import Affine, flat_kernel
from gasl.structure.calls import Call
from gasl.structure.labels import along, spread, varying_dims
from gasl.structure.ledger import Ledger
from gasl.structure.views import WeightView

__all__ = ["affine", "columns", "convolution", "embedding", "read_by"]


def convolution(ledger: Ledger, call: Call) -> None:
    """Rows of the weight write units, columns read them; groups do so side by side."""
    source, weight, bias, _stride, padding, _dilation, transposed, _output_padding, groups = call.args
    result = call.results[0]
    name = ledger.name(weight)
    if name is None and (view := ledger.weight(weight)) is not None and _in_order(view):
        name = view.name
    if name is None:
        for tensor in call.tensors:
            ledger.protect(tensor, "a convolution with a computed weight")
        return
    outs, ins = result.shape[1], source.shape[1]
    write, read = (1, 0) if transposed else (0, 1)
    positions = source.detach().movedim(1, -1).reshape(-1, ins)
    units = columns(ledger, call, source, 1)
    if groups == 1:
        rows = ledger.atoms(name, write, outs)
        read_by(ledger, ledger.atoms(name, read, ins), units)
        matrix: Callable[[Tensor], Tensor] = _transposed if transposed else flat_kernel
    else:
        rows = _grouped(ledger, call, name, units, outs, groups, transposed)
        matrix = _blocks(groups, transposed)
    ledger.set_role(name, write, "producer")
    ledger.set_role(name, read, "consumer")
    padded = bool(transposed) or any(p != 0 for p in padding)
    plain = groups == 1 and not transposed
    affine(ledger, call, name, bias, rows, units, positions, padded=padded, conv=True, matrix=matrix, plain=plain)
    ledger.set_labels(result, spread(rows, 1, result.shape))


def columns(ledger: Ledger, call: Call, source: Tensor, dim: int) -> Tensor:
    """What each column of a weight reads along ``dim``; where that differs from place to place it is protected."""
    count = source.shape[dim]
    labels = ledger.labels(source)
    if labels is None:
        return torch.zeros(count, dtype=torch.int64)
    if any(d != dim % source.ndim for d in varying_dims(labels)):
        ledger.protect(source, f"{call.name} reads several units through one weight")
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


def _grouped(ledger: Ledger, call: Call, name: str, units: Tensor, outs: int, groups: int, transposed: bool) -> Tensor:
    """The rows of a grouped convolution: a group goes whole, or the same place in every group."""
    inside_in, inside_out = units.numel() // groups, outs // groups
    number = ledger.sizes.attribute(groups, "groups")
    header = ledger.classes.fresh(groups)
    ledger.notes.size(header, 0, number, call.name)
    if transposed:  # (in, out / groups): rows of the matrix lie in both dimensions
        rows = ledger.classes.fresh(outs)
        places = ledger.atoms(name, 1, inside_out) if inside_out > 1 else None
        own = ledger.atoms(name, 0, units.numel())
    else:
        rows = ledger.atoms(name, 0, outs)
        places = ledger.atoms(name, 1, inside_in) if inside_in > 1 else None
        own = None
    if bool((units <= 0).any()):
        for atoms in (rows, units, header, places, own):
            if atoms is not None:
                ledger.classes.protect(atoms, "reads what no layer of the network makes")
        return rows
    if own is not None:
        ledger.classes.tie(own, units)
    for cells, heads in (
        (units.reshape(groups, inside_in), places if not transposed else None),
        (rows.reshape(groups, inside_out), places if transposed else None),
    ):
        if cells.shape[1] == 1:
            ledger.classes.tie(cells[:, 0], header)
        else:
            ledger.notes.grid(cells, headers={0: header} | ({} if heads is None else {1: heads}))
    return rows


def read_by(ledger: Ledger, atoms: Tensor, units: Tensor) -> None:
    """The columns of a weight, by their atoms, read these units; a column that reads none stays."""
    made = units > 0
    if bool(made.all()):
        ledger.classes.tie(atoms, units)
        return
    ledger.classes.tie(atoms[made], units[made])
    ledger.classes.protect(atoms[~made], "reads what no layer of the network makes")


def affine(
    ledger: Ledger,
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
    name = None if bias is None else ledger.name(bias)
    if bias is not None:
        own = ledger.vector(bias, "bias")
        if own is None and not ledger.derived(bias):
            own = ledger.labels(bias)
        if own is None or own.numel() != rows.numel():
            ledger.protect(bias, "a computed bias")
            ledger.classes.protect(rows, "its bias is computed")
        else:
            ledger.classes.tie(rows, own.flatten())
        plain = plain and name is not None
    gathered = ledger.gathered(weight)
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
    ledger.write(call.results[0], noted)


def embedding(ledger: Ledger, call: Call) -> None:
    """A table: each column is a unit, written by the rows that are looked up."""
    view, result = ledger.weight(call.args[0]), call.results[0]
    if view is None or view.dims != ((0,), (1,)):
        ledger.protect(call.args[0], "a computed table")
        return
    atoms = ledger.atoms(view.name, 1, result.shape[-1])
    ledger.set_role(view.name, 1, "producer")
    ledger.notes.tables.append((view.name, 1))
    ledger.set_labels(result, atoms.expand(result.shape))

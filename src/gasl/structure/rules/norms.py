"""Norms: over batch and space, over groups of channels, over the width itself."""

from torch import Tensor

from gasl.structure.calls import Call
from gasl.structure.labels import along, varying_dims
from gasl.structure.ledger import Ledger
from gasl.structure.rules.combining import one_each

__all__ = ["batch_norm", "group_norm", "layer_norm"]


def batch_norm(ledger: Ledger, call: Call) -> None:
    """A norm over batch and space keeps each unit apart; scale, shift and statistics belong to the unit."""
    source = call.tensors[0]
    unit = _units(ledger, call)
    if unit is None:
        return
    for position, tensor in enumerate(call.args[1:5]):
        if not isinstance(tensor, Tensor):
            continue
        own = ledger.vector(tensor, "norm" if position < 2 else "statistic")
        own = ledger.labels(tensor) if own is None else own
        if own is None:
            ledger.protect(source, f"{call.name} with a computed scale, shift or statistic")
            continue
        ledger.classes.tie(unit, own)
        if position == 0 and (name := ledger.name(tensor)) is not None:
            ledger.gate(source, name)
    if not ledger.hand_on(source, call.results[0]):
        ledger.set_labels(call.results[0], ledger.labels(source))


def group_norm(ledger: Ledger, call: Call) -> None:
    """Channels of a group share mean and variance: a group goes whole, and the layer then has fewer groups."""
    source, scale, shift = call.args[:3]
    groups = int(call.argument("group"))
    unit = _units(ledger, call)
    if unit is None:
        return
    for tensor in (scale, shift):
        own = None if tensor is None else ledger.vector(tensor, "norm")
        if own is not None:
            ledger.classes.tie(unit, own)
        elif tensor is not None:
            ledger.protect(source, f"{call.name} with a computed scale or shift")
    cells = unit.reshape(groups, -1)
    header = ledger.classes.fresh(groups)
    if groups == 1:
        ledger.classes.protect(unit, f"{call.name}: the mean and variance of its one group see a zero unit")
    elif cells.shape[1] == 1:
        ledger.classes.tie(unit, header)
    else:
        inside = f"{call.name}: the mean and variance of a group see a zero unit"
        ledger.notes.grid(cells, headers={0: header}, fixed={1: inside})
        ledger.notes.flow(cells, header[:, None], additive=True)
        ledger.notes.flow(header[:, None], cells, additive=True)
    ledger.notes.size(header, 0, ledger.sizes.attribute(groups, "num_groups"), call.name)
    ledger.set_labels(call.results[0], ledger.labels(source))


def layer_norm(ledger: Ledger, call: Call) -> None:
    """A norm over the units themselves sees a unit that is zero; inside heads, the heads can still go."""
    source, normalised, *parameters = call.args[:4]
    labels = ledger.labels(source)
    over = set(range(source.ndim - len(normalised), source.ndim))
    wide = set() if labels is None else set(varying_dims(labels))
    reason = f"{call.name}: the norm's mean and variance see a zero unit"
    if labels is not None and len(wide - over) == 1 and over & wide == {source.ndim - 1} and len(over) == 1:
        beside, dim = (wide - over).pop(), source.ndim - 1
        ledger.notes.fix(labels, dim, reason)
        for tensor in parameters:
            if tensor is not None and (own := ledger.vector(tensor, "norm")) is not None:
                ledger.notes.link(labels, dim, own)
        ledger.notes.flow(one_each(ledger, labels, beside), labels, additive=True)
    else:
        for tensor in call.tensors if over & wide or labels is None else call.tensors[1:]:
            ledger.protect(tensor, reason)
    ledger.set_labels(call.results[0], labels)


def _units(ledger: Ledger, call: Call) -> Tensor | None:
    """The class of each channel; None, and everything protected, where channels are not the units."""
    source = call.tensors[0]
    labels = ledger.labels(source)
    if labels is None or any(d != 1 for d in varying_dims(labels)):
        for tensor in call.tensors:
            ledger.protect(tensor, f"{call.name} over several units")
        return None
    return along(labels, 1)

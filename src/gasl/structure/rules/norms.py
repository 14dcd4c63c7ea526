"""Norms: over batch and space, over groups of channels, over the width itself."""

from typing import TYPE_CHECKING

from torch import Tensor

from gasl.structure.labels import along, varying_dims
from gasl.structure.rules.call import Call
from gasl.structure.rules.combining import one_each

if TYPE_CHECKING:
    from gasl.structure.tracer import Tracer

__all__ = ["batch_norm", "group_norm", "layer_norm"]


def batch_norm(tracer: "Tracer", call: Call) -> None:
    """A norm over batch and space keeps each unit apart; scale, shift and statistics belong to the unit."""
    source = call.tensors[0]
    unit = _units(tracer, call)
    if unit is None:
        return
    for position, tensor in enumerate(call.args[1:5]):
        if not isinstance(tensor, Tensor):
            continue
        own = tracer.vector(tensor, "norm" if position < 2 else "statistic")
        own = tracer.labels(tensor) if own is None else own
        if own is None:
            tracer.protect(source, f"{call.name} with a computed scale, shift or statistic")
            continue
        tracer.classes.tie(unit, own)
        if position == 0 and (name := tracer.name(tensor)) is not None:
            tracer.gate(source, name)
    if not tracer.hand_on(source, call.results[0]):
        tracer.set_labels(call.results[0], tracer.labels(source))


def group_norm(tracer: "Tracer", call: Call) -> None:
    """Channels of a group share mean and variance: a group goes whole, and the layer then has fewer groups."""
    source, scale, shift = call.args[:3]
    groups = int(call.argument("group"))
    unit = _units(tracer, call)
    if unit is None:
        return
    for tensor in (scale, shift):
        own = None if tensor is None else tracer.vector(tensor, "norm")
        if own is not None:
            tracer.classes.tie(unit, own)
        elif tensor is not None:
            tracer.protect(source, f"{call.name} with a computed scale or shift")
    cells = unit.reshape(groups, -1)
    header = tracer.classes.fresh(groups)
    if groups == 1:
        tracer.classes.protect(unit, f"{call.name}: the mean and variance of its one group see a zero unit")
    elif cells.shape[1] == 1:
        tracer.classes.tie(unit, header)
    else:
        inside = f"{call.name}: the mean and variance of a group see a zero unit"
        tracer.notes.grid(cells, headers={0: header}, fixed={1: inside})
        tracer.notes.flow(cells, header[:, None], additive=True)
        tracer.notes.flow(header[:, None], cells, additive=True)
    tracer.notes.size(header, 0, tracer.sizes.attribute(groups, "num_groups"), call.name)
    tracer.set_labels(call.results[0], tracer.labels(source))


def layer_norm(tracer: "Tracer", call: Call) -> None:
    """A norm over the units themselves sees a unit that is zero; inside heads, the heads can still go."""
    source, normalised, *parameters = call.args[:4]
    labels = tracer.labels(source)
    over = set(range(source.ndim - len(normalised), source.ndim))
    wide = set() if labels is None else set(varying_dims(labels))
    reason = f"{call.name}: the norm's mean and variance see a zero unit"
    if labels is not None and len(wide - over) == 1 and over & wide == {source.ndim - 1} and len(over) == 1:
        beside, dim = (wide - over).pop(), source.ndim - 1
        tracer.notes.fix(labels, dim, reason)
        for tensor in parameters:
            if tensor is not None and (own := tracer.vector(tensor, "norm")) is not None:
                tracer.notes.link(labels, dim, own)
        tracer.notes.flow(one_each(tracer, labels, beside), labels, additive=True)
    else:
        for tensor in call.tensors if over & wide or labels is None else call.tensors[1:]:
            tracer.protect(tensor, reason)
    tracer.set_labels(call.results[0], labels)


def _units(tracer: "Tracer", call: Call) -> Tensor | None:
    """The class of each channel; None, and everything protected, where channels are not the units."""
    source = call.tensors[0]
    labels = tracer.labels(source)
    if labels is None or any(d != 1 for d in varying_dims(labels)):
        for tensor in call.tensors:
            tracer.protect(tensor, f"{call.name} over several units")
        return None
    return along(labels, 1)

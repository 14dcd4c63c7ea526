"""Root mean square norms written out: which ops, one after the other, make one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gasl.structure.calls import Call
from gasl.structure.labels import varying_dims
from gasl.structure.notes import Notes
from gasl.structure.relations import RootMeanSquare

__all__ = ["RmsChains"]

aten = torch.ops.aten


@dataclass(frozen=True, eq=False)
class _Link:
    """One tensor of a chain: how far the norm is, the labels of what is normed, and epsilon."""

    stage: str
    labels: Tensor
    eps: float = 0.0


class RmsChains:
    """Follows ``x -> x^2 -> mean -> + eps -> rsqrt -> * x -> * gamma``.

    Whoever else reads a tensor between the mean and the scale sees the width's size: then the width is protected.

    Args:
        modules: The network's modules by path, asked which attribute holds an epsilon.
        notes: Where a sum over units is noted.

    Attributes:
        norms: The norms found.
        narrows: Whether a float64 was cast to a narrower type.
    """

    def __init__(self, modules: Mapping[str, nn.Module], notes: Notes) -> None:
        self.norms: list[RootMeanSquare] = []
        self.narrows = False
        self._modules = modules
        self._notes = notes
        self._links: dict[int, _Link] = {}

    def follow(self, call: Call, labels: Any, name: Any) -> list[Tensor] | None:
        """Take in an op.

        Args:
            call: The op.
            labels: From a tensor to its labels.
            name: From a tensor to a parameter's name.

        Returns:
            The labels of widths that must be protected, because the op reads a chain in another way; None if it goes on
            with one.
        """
        packet, result = call.func.overloadpacket, call.results[0] if call.results else None
        if packet is aten._to_copy and result is not None and call.tensors:
            self.narrows |= call.tensors[0].dtype is torch.float64 and result.dtype in _NARROW
        links = [self._links.get(id(tensor)) for tensor in call.tensors]
        if result is None or (not any(links) and packet not in (aten.pow, aten.mul, aten.square)):
            return []
        if (link := self._next(call, packet, links, labels, name)) is not None:
            self._links[id(result)] = link
            return None if link.stage != "square" else []
        if any(link is not None and link.stage == "done" for link in links):
            return None
        return [link.labels for link in links if link is not None and link.stage not in ("square", "done")]

    def _next(self, call: Call, packet: Any, links: list[_Link | None], labels: Any, name: Any) -> _Link | None:
        first = links[0]
        if not any(links):
            own = labels(call.tensors[0])
            squared = packet is aten.square or (call.func is aten.pow.Tensor_Scalar and call.args[1] == 2)
            squared |= packet is aten.mul and len(call.tensors) == 2 and call.tensors[0] is call.tensors[1]
            wide = squared and own is not None and varying_dims(own) == (own.ndim - 1,) and bool((own > 0).all())
            return _Link("square", own) if wide else None
        if packet in (aten._to_copy, aten.clone, aten.detach) and first is not None and first.stage != "square":
            return first
        if first is not None and first.stage == "square":
            dim = call.argument("dim")
            last = (
                packet is aten.mean
                and dim is not None
                and [d % first.labels.ndim for d in dim] == [first.labels.ndim - 1]
            )
            return _Link("mean", first.labels) if last and call.argument("keepdim") else None
        if packet in (aten.add, aten.add_) and first is not None and first.stage == "mean" and len(call.tensors) == 1:
            return _Link("sum", first.labels, float(call.args[1]))
        if packet is aten.rsqrt and first is not None and first.stage in ("mean", "sum"):
            return _Link("root", first.labels, first.eps)
        if packet is aten.mul and len(call.tensors) == 2:
            return self._product(call, links, labels, name)
        return None

    def _product(self, call: Call, links: list[_Link | None], labels: Any, name: Any) -> _Link | None:
        for link, other in zip(links, reversed(call.tensors), strict=True):
            own = labels(other)
            if link is None or own is None:
                continue
            if link.stage == "root" and own.shape == link.labels.shape:
                self._notes.sink(own, other)
                return _Link("normed", own, link.eps)
            if link.stage == "normed" and (gamma := name(other)) is not None and own.numel() == own.shape[-1]:
                found, path = self._epsilon(gamma, link.eps)
                if found:
                    classes = link.labels.reshape(-1, link.labels.shape[-1])[0].clone()
                    self.norms.append(RootMeanSquare(classes, gamma, link.eps, path))
                    return _Link("done", link.labels)
        return None

    def _epsilon(self, gamma: str, eps: float) -> tuple[bool, str | None]:
        if eps == 0.0:
            return True, None
        owner = gamma.rpartition(".")[0]
        for name, value in vars(self._modules[owner]).items():
            standard = value is None and name == "eps" and isinstance(self._modules[owner], nn.RMSNorm)
            near = isinstance(value, float) and math.isclose(value, eps, rel_tol=1e-6)  # as a float32 it is rounded
            if near or standard:
                return True, f"{owner}.{name}".lstrip(".")
        return False, None


_NARROW = (torch.float32, torch.float16, torch.bfloat16)

"""Watch one forward pass and note which classes every affine layer writes and reads.

Below autograd a ``TorchDispatchMode`` sees the ATen ops that really run, with the very ``Parameter`` objects of the
model. Each op is looked up in the rule table (:mod:`gasl.structure.rules`); what no rule knows protects the units it
touches and says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gasl.structure.axes import Affine, Role
from gasl.structure.choices import Choices
from gasl.structure.labels import Classes, canonical, varying_dims
from gasl.structure.rules import Call, apply_rule

__all__ = ["MatrixView", "Tracer"]


@dataclass(frozen=True)
class MatrixView:
    """A parameter of two or more dimensions, possibly transposed: dimension i is the parameter's ``order[i]``."""

    name: str
    order: tuple[int, ...]

    def permuted(self, dims: Sequence[int]) -> "MatrixView":
        """The view whose dimension i is this one's ``dims[i]``."""
        return MatrixView(self.name, tuple(self.order[d] for d in dims))


class Tracer(TorchDispatchMode):
    """Label tensors, the classes of their units and the affine calls of one forward pass.

    Args:
        leaves: Every parameter and buffer by name.
        gathers: For the index buffer of each layer that gathers features, the name of that layer's weight.
    """

    def __init__(self, leaves: Mapping[str, Tensor], gathers: Mapping[str, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch has no annotation here
        self.classes = Classes()
        self.affines: list[Affine] = []
        self.dims: dict[tuple[str, int], Tensor] = {}
        self.roles: dict[str, Role] = {}
        self.mixed: list[Tensor] = []
        self._names = {id(tensor): name for name, tensor in leaves.items()}
        self._leaves = leaves
        self._gathers = gathers
        self._labels: dict[int, Tensor] = {}
        self._matrices: dict[int, MatrixView] = {}
        self._written: dict[int, Affine] = {}
        self._gathered: dict[str, tuple[Tensor, Tensor]] = {}
        self._gates: list[tuple[Affine, int, str]] = []
        self._reads: dict[int, int] = {}
        self._constants = set(self._names)
        self._tainted: set[int] = set()
        self._choices = Choices()
        self._alive: list[object] = [leaves]  # an id is only a name while its object lives

    # -- the model's boundary ------------------------------------------------------------------------------------

    def enter_inputs(self, inputs: object) -> None:
        """Give every element of one example a label of its own."""
        offset = 0
        self._alive.append(inputs)
        self._choices.enter(tensor for tensor in tree_leaves(inputs) if isinstance(tensor, Tensor))
        for tensor in tree_leaves(inputs):
            if isinstance(tensor, Tensor) and tensor.ndim > 1 and tensor.is_floating_point() and tensor.numel() > 0:
                example = -1 - offset - torch.arange(tensor[0].numel()).reshape(tensor.shape[1:])
                self.set_labels(tensor, example.unsqueeze(0).expand(tensor.shape))
                offset += example.numel()

    def leave_outputs(self, outputs: Sequence[Tensor]) -> None:
        """Protect what the model returns; settle which norm scales gate a producer, which weights serve one call."""
        for tensor in outputs:
            self.protect(tensor, "model output")
            self._count(tensor)
        if self._choices.reason is not None:
            for atoms in self.dims.values():
                self.classes.protect(atoms, self._choices.reason)
        for affine, key, gamma in self._gates:
            if self._reads[key] == 1:
                affine.gammas.append(gamma)
        for affine in self.affines:
            calls = sum(other.weight == affine.weight for other in self.affines)
            used = [affine.weight] if affine.bias is None else [affine.weight, affine.bias]
            affine.sole = calls == 1 and all(self._reads[id(self._leaves[name])] == 1 for name in used)

    # -- labels and names ----------------------------------------------------------------------------------------

    def labels(self, tensor: Tensor) -> Tensor | None:
        """The labels of a tensor, or None if it has none. A vector parameter or buffer gets atoms on first use."""
        found = self._labels.get(id(tensor))
        return self.vector(tensor, "elementwise") if found is None else found

    def set_labels(self, tensor: Tensor, labels: Tensor | None) -> None:
        """Remember the labels of a tensor."""
        if labels is not None and tensor.numel() > 0:
            self._labels[id(tensor)] = canonical(labels)

    def vector(self, tensor: Tensor, role: Role) -> Tensor | None:
        """The labels of a parameter or buffer that varies along one dimension only; None for any other tensor."""
        name = self.name(tensor)
        if name is None or tensor.ndim == 0 or tensor.numel() != max(tensor.shape):
            return None
        self.roles[name] = self.roles.get(name, role) if role == "elementwise" else role
        if id(tensor) not in self._labels:
            dim = tensor.shape.index(tensor.numel())
            self._labels[id(tensor)] = self.atoms(name, dim, tensor.numel()).reshape(tensor.shape)
        return self._labels[id(tensor)]

    def varying(self, tensor: Tensor) -> tuple[int, ...]:
        """The dimensions along which a tensor's labels vary."""
        labels = self.labels(tensor)
        return () if labels is None else varying_dims(labels)

    def name(self, tensor: object) -> str | None:
        """The name of a parameter or buffer, or None."""
        return self._names.get(id(tensor))

    def atoms(self, name: str, dim: int, size: int) -> Tensor:
        """The atoms of one dimension of a parameter, made on first use."""
        if (name, dim) not in self.dims:
            self.dims[name, dim] = self.classes.fresh(size)
        return self.dims[name, dim]

    def matrix(self, tensor: Tensor) -> MatrixView | None:
        """The parameter behind a weight, with the order of its dimensions, or None."""
        name = self.name(tensor)
        if name is not None and tensor.ndim > 1:
            return MatrixView(name, tuple(range(tensor.ndim)))
        return self._matrices.get(id(tensor))

    def set_matrix(self, tensor: Tensor, view: MatrixView) -> None:
        """Remember that a tensor is a transposed parameter."""
        self._matrices[id(tensor)] = view

    def derived(self, tensor: Tensor) -> bool:
        """Whether a tensor may change with the input (or by chance): it was not computed from parameters alone."""
        return id(tensor) not in self._constants or _storage(tensor) in self._tainted

    # -- what rules note -----------------------------------------------------------------------------------------

    def write(self, tensor: Tensor, affine: Affine) -> None:
        """Note an affine call and that it computed this tensor."""
        self.affines.append(affine)
        self._written[id(tensor)] = affine

    def gate(self, tensor: Tensor, gamma: str) -> None:
        """Note that a norm scale multiplies this tensor."""
        if (affine := self._written.get(id(tensor))) is not None:
            self._gates.append((affine, id(tensor), gamma))

    def is_gather(self, index: Tensor) -> bool:
        """Whether this is the index buffer of a layer that gathers features."""
        return self.name(index) in self._gathers

    def gather(self, source: Tensor, index: Tensor) -> None:
        """Note from which labels a gathering layer selects what its weight reads next."""
        self._gathered[self._gathers[self._names[id(index)]]] = (source, index)

    def gathered(self, weight: str) -> tuple[Tensor, Tensor] | None:
        """The labels and indices that a gathering layer of this weight selected from."""
        return self._gathered.get(weight)

    def protect(self, tensor: Tensor, reason: str) -> None:
        """Protect every unit that a tensor carries; for a weight, all its dimensions."""
        if (view := self.matrix(tensor)) is not None:
            for dim, size in zip(view.order, tensor.shape, strict=True):
                self.classes.protect(self.atoms(view.name, dim, size), reason)
        if (labels := self.labels(tensor)) is not None:
            self.classes.protect(labels, reason)

    # -- the dispatch --------------------------------------------------------------------------------------------

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        results = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        self._alive.append((tensors, results))
        for tensor in tensors:
            self._count(tensor)
        call = Call(func, args, kwargs or {}, tensors, results)
        derived = torch.Tag.nondeterministic_seeded in func.tags or any(self.derived(t) for t in tensors)
        self._choices.see(call, derived)
        if derived:  # also for whoever looks at the same memory: a buffer that was written in parts
            self._tainted.update(map(_storage, results + (tensors[:1] if call.in_place else [])))
        else:
            self._constants.update(map(id, results))
        if derived or any(id(t) in known for t in tensors for known in (self._names, self._labels, self._matrices)):
            apply_rule(self, call)
        return out

    def _count(self, tensor: Tensor) -> None:
        self._reads[id(tensor)] = self._reads.get(id(tensor), 0) + 1


def _storage(tensor: Tensor) -> int:
    """What tells one piece of memory from another; for a tensor without any, the tensor itself."""
    return tensor.untyped_storage()._cdata if tensor.layout is torch.strided else id(tensor)

"""What one forward pass has shown: the labels of tensors, the classes of units, affine calls, and what is protected.

The tracer (:mod:`gasl.structure.tracer`) hands it each op; the rules (:mod:`gasl.structure.rules`) read and write it;
:func:`gasl.structure.assemble.assemble` makes the structure of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from gasl.structure.affine import Affine
from gasl.structure.axes import OUTPUT, Role
from gasl.structure.classes import Classes
from gasl.structure.labels import canonical, distinct, varying_dims
from gasl.structure.notes import Notes
from gasl.structure.rms import RmsChains
from gasl.structure.sizes import Sizes
from gasl.structure.standard import standard_atoms
from gasl.structure.views import WeightView

__all__ = ["Ledger"]


class Ledger:
    """Labels of tensors, the classes of their units and the affine calls of one forward pass.

    Args:
        leaves: Every parameter and buffer by name.
        gathers: For the index buffer of each layer that gathers features, the name of that layer's weight.
        modules: The network's modules by path.
    """

    def __init__(
        self, leaves: Mapping[str, Tensor], gathers: Mapping[str, str], modules: Mapping[str, nn.Module]
    ) -> None:
        self.classes = Classes()
        self.notes = Notes(self.classes)
        self.rms = RmsChains(modules, self.notes)
        self.sizes = Sizes(self.extent)
        self.affines: list[Affine] = []
        self.dims: dict[tuple[str, int], Tensor] = {}
        self.roles: dict[tuple[str, int], Role] = {}
        self.looking = False  # what looks at labels is no op of the model
        self._names = {id(tensor): name for name, tensor in leaves.items()}
        self._leaves = leaves
        self._modules = modules
        self._gathers = gathers
        self._labels: dict[int, Tensor] = {}
        self._views: dict[int, WeightView] = {}
        self._written: dict[int, Affine] = {}
        self._calls: dict[str, list[Affine]] = {}
        self._gathered: dict[str, tuple[Tensor, Tensor]] = {}
        self._gates: list[tuple[Affine, int, str]] = []
        self._reads: dict[int, int] = {}
        self._lossy: dict[int, tuple[Tensor, str]] = {}
        self._constants = set(self._names)
        self._tainted: set[int] = set()
        self._alive: list[object] = [leaves]  # an id is only a name while its object lives

    def keep(self, *tensors: object) -> None:
        """Keep objects alive as long as what is known of them."""
        self._alive.append(tensors)

    def close(self, outputs: Sequence[Tensor], choice: str | None) -> None:
        """Settle, after the pass, which norm scales gate a producer and which weights serve one call.

        Args:
            outputs: What the model returned, which is protected.
            choice: Why everything is to be protected: the model chose what it did by its input.
        """
        for tensor in outputs:
            self.protect(tensor, OUTPUT)
            self.count(tensor)
        if choice is not None:
            for atoms in self.dims.values():
                self.classes.protect(atoms, choice)
        self.notes.settle(self.sizes.floats, standard_atoms(self._modules, self.dims))
        for affine, key, gamma in self._gates:
            if self._reads[key] == 1:
                affine.gammas.append(gamma)
        for affine in self.affines:
            used = [affine.weight] if affine.bias is None else [affine.weight, affine.bias]
            affine.sole &= len(self._calls[affine.weight]) == 1 and all(
                self._reads[id(self._leaves[name])] == 1 for name in used
            )

    # -- labels and names ----------------------------------------------------------------------------------------

    def labels(self, tensor: Tensor) -> Tensor | None:
        """The labels of a tensor, or None if it has none. A vector parameter or buffer gets atoms on first use."""
        found = self._labels.get(id(tensor))
        if found is None and (view := self._views.get(id(tensor))) is not None:
            return view.labels()
        return self.vector(tensor, "elementwise") if found is None else found

    def set_labels(self, tensor: Tensor, labels: Tensor | None) -> None:
        """Remember the labels of a tensor."""
        if labels is not None and tensor.numel() > 0:
            self._labels[id(tensor)] = canonical(labels)

    def hand_on(self, source: Tensor, result: Tensor) -> bool:
        """Give a result the labels of what it was made of, place by place; False where that has none yet."""
        labels = self._labels.get(id(source))
        if labels is None or result.shape != source.shape:
            return False
        self._labels[id(result)] = labels
        return True

    def vector(self, tensor: Tensor, role: Role) -> Tensor | None:
        """The labels of a parameter or buffer that varies along one dimension only; None for any other tensor."""
        name = self.name(tensor)
        if name is None or tensor.ndim == 0 or tensor.numel() != max(tensor.shape):
            return None
        dim = tensor.shape.index(tensor.numel())
        self.set_role(name, dim, role)
        if id(tensor) not in self._labels:
            self._labels[id(tensor)] = self.atoms(name, dim, tensor.numel()).reshape(tensor.shape)
        return self._labels[id(tensor)]

    def set_role(self, name: str, dim: int, role: Role) -> None:
        """Note what a dimension of a tensor does to its units; what is told first stays, but for ``elementwise``."""
        if role != "elementwise" and self.roles.get((name, dim), "elementwise") in ("elementwise", "consumer"):
            self.roles[name, dim] = role
        self.roles.setdefault((name, dim), role)

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

    def weight(self, tensor: Tensor) -> WeightView | None:
        """The parameter of several dimensions that a tensor is, or is a view of; else None."""
        name = self.name(tensor)
        if name is not None and id(tensor) not in self._views and tensor.ndim > 1 and tensor.is_floating_point():
            atoms = [None if n == 1 else self.atoms(name, d, n) for d, n in enumerate(tensor.shape)]
            self._views[id(tensor)] = WeightView(
                name, tuple(tensor.shape), tuple(atoms), tuple((d,) for d in range(tensor.ndim))
            )
        return self._views.get(id(tensor))

    def set_weight(self, tensor: Tensor, view: WeightView) -> None:
        """Remember that a tensor is a view of a parameter."""
        self._views[id(tensor)] = view

    def extent(self, tensor: Tensor, dim: int) -> tuple[Tensor, int] | None:
        """The labels behind the size of one dimension, and where they vary; None if nothing can be removed along it."""
        with self._look():
            if (view := self.weight(tensor)) is not None:
                atoms = view.atoms[dim]
                return None if atoms is None else (atoms, 0)
            labels = self.labels(tensor)
            known = labels is not None and dim in varying_dims(labels) and bool((distinct(labels) > 0).any())
            return (labels, dim) if labels is not None and known else None

    def count_channels(self, path: str, tensor: Tensor, size: int) -> None:
        """Note that an attribute names the number of channels of a tensor, though no op is given it."""
        with self._look():
            if (labels := self.labels(tensor)) is not None and tensor.ndim > 1:
                self.notes.link(labels, 1, self.notes.counted(path, size))

    @contextmanager
    def _look(self) -> Iterator[None]:
        self.looking = True
        try:
            yield
        finally:
            self.looking = False

    def derived(self, tensor: Tensor) -> bool:
        """Whether a tensor may change with the input (or by chance): it was not computed from parameters alone."""
        return id(tensor) not in self._constants or _storage(tensor) in self._tainted

    # -- what rules note -----------------------------------------------------------------------------------------

    def write(self, tensor: Tensor, affine: Affine) -> None:
        """Note an affine call and that it computed this tensor; a repeated call (a recurrence) is noted once."""
        for known in self._calls.setdefault(affine.weight, []):
            if known.same_call(affine):
                known.join(affine)
                return
        self._calls[affine.weight].append(affine)
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
        if (view := self.weight(tensor)) is not None:
            for dim, atoms in zip(view.dims, view.atoms, strict=True):
                if atoms is not None:
                    self.classes.protect(atoms, reason)
                elif dim:
                    self.classes.protect(self.atoms(view.name, dim[0], 1), reason)
        elif (labels := self.labels(tensor)) is not None:
            self.classes.protect(labels, reason)

    def lossy(self, tensor: Tensor, labels: Tensor, reason: str) -> None:
        """Note a result that would change with the units: they are protected as soon as anybody reads it."""
        self._lossy[id(tensor)] = (labels, reason)

    # -- what the dispatch notes ---------------------------------------------------------------------------------

    def knows(self, tensor: Tensor) -> bool:
        """Whether a tensor is a parameter or buffer, or has labels."""
        return any(id(tensor) in known for known in (self._names, self._labels, self._views))

    def count(self, tensor: Tensor, followed: bool = False) -> None:
        """Note that an op reads a tensor; ``followed`` if it is one that the loss of its units does not harm."""
        self._reads[id(tensor)] = self._reads.get(id(tensor), 0) + 1
        if not followed and (lost := self._lossy.pop(id(tensor), None)) is not None:
            self.classes.protect(*lost)

    def computed(self, results: Sequence[Tensor], derived: bool) -> None:
        """Note whether results may change with the input, and with them whoever looks at the same memory."""
        if derived:
            self._tainted.update(map(_storage, results))
        else:
            self._constants.update(map(id, results))


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()

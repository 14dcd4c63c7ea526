"""``gasl.Sparsifier``: one method on one network, driven from the user's own training loop."""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from gasl.errors import InputError, unknown_name
from gasl.methods.base import Method, State
from gasl.methods.penalty import Penalty
from gasl.removal.liveness import liveness
from gasl.removal.shrink import AxisSparsity, Removal, shrink, sparsity
from gasl.structure.axes import Axis, Structure
from gasl.structure.groups import UnitGroups, WeightGroups, group_members
from gasl.structure.trace import ExampleInputs, plain, trace

__all__ = ["Sparsifier"]

CALIBRATION = 0.2  # share of the penalty in the first loss when no strength is given (PruneTrain's rule and value)


class Sparsifier:
    """Drives a network to exact zeros while the user trains it, and hands back the smaller network.

    The user keeps model, optimizer, loss and loop; the method's terms enter in one line, its step in another::

        loss = cross_entropy(model(x), y) + sparsifier.penalty()
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        sparsifier.step(optimizer)

    Instead of the last line, ``sparsifier.attach(optimizer)`` once lets the optimizer's own hooks do it; this is
    right where steps can be skipped (``GradScaler``) or are taken by a trainer. The network is changed only by
    setting weights; everything that lives during training is in :meth:`state_dict`.

    Args:
        model: The network; a ``torch.compile`` or DDP wrapper is looked through.
        method: What to do, e.g. ``gasl.GASL(strength=0.3)``.
        example_inputs: What :func:`gasl.trace` takes.
        protect: Axes (or modules whose axes) to leave whole; shell patterns are allowed.
        min_units: Units that stay in each axis at least: one number, or one by axis name (others 1).
        seed: Seed of the method's own random numbers; the same on every rank.

    Raises:
        InputError: If the network has nothing to remove, or a name or number does not fit it.

    Example:
        >>> import gasl
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> sparsifier = Sparsifier(model, gasl.GroupLasso(strength=1.0), torch.zeros(2, 4))
        >>> optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.1)
        >>> for _ in range(200):
        ...     loss = model(torch.randn(16, 4)).square().mean() + sparsifier.penalty()
        ...     optimizer.zero_grad(); loss.backward(); optimizer.step()
        ...     sparsifier.step(optimizer)
        >>> small = sparsifier.finish()
        >>> sparsifier.removal.widths["0"]
        (8, 1)
    """

    def __init__(
        self,
        model: nn.Module,
        method: Method,
        example_inputs: ExampleInputs,
        *,
        protect: Sequence[str] = (),
        min_units: int | Mapping[str, int] = 1,
        seed: int = 0,
    ) -> None:
        model = model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
        self.model = plain(model)
        self.method = method
        self.structure = trace(self.model, example_inputs)
        self.removal: Removal | None = None
        self._example_inputs = example_inputs
        self._protect = _matching(protect, self.structure, self.model)
        self.groups = self._group(_floors(min_units, self.structure))
        strength = float("nan") if method.strength is None else method.strength
        self.state = State(strength=strength, generator=torch.Generator().manual_seed(seed))
        self._ready = False
        self._frozen: list[Tensor] | None = None
        self._pending: dict[int, bool] = {}
        self._attached: set[int] = set()
        self._handles: list[RemovableHandle] = []

    def _group(self, floors: dict[str, int]) -> UnitGroups | WeightGroups:
        parameters = dict(self.model.named_parameters())
        trainable = {name: p for name, p in parameters.items() if p.requires_grad}
        if self.method.granularity == "weight":
            shielded = {m.tensor for axis in self.structure.axes if axis.name in self._protect for m in axis.members}
            weights = {a.weight: trainable[a.weight] for a in self.structure.affines if a.weight in trainable}
            return WeightGroups({name: p for name, p in weights.items() if name not in shielded})
        axes = [axis for axis in self.structure.axes if axis.name not in self._protect and self._free(axis, trainable)]
        if not axes:
            why = [f"{p.name}: {p.reason}" for p in self.structure.protected]
            why += [f"{axis.name}: protected or frozen" for axis in self.structure.axes]
            raise InputError(f"there is nothing to make sparse in this network ({'; '.join(why) or 'no layer ran'})")
        silenced = frozenset(axis.name for axis in axes if axis.normed or self._padded(axis))
        scope, linear = self.method.scope, self.method.linear
        return UnitGroups(parameters, axes, scope, linear, [floors[axis.name] for axis in axes], silenced)

    def _free(self, axis: Axis, trainable: Mapping[str, Tensor]) -> bool:
        members = group_members(axis, self.method.scope, self.method.linear)
        return bool(members) and all(m.tensor in trainable for m in members)

    def _padded(self, axis: Axis) -> bool:
        read = {m.tensor for m in axis.members if m.role == "consumer"}
        return any(affine.padded for affine in self.structure.affines if affine.weight in read)

    # -- the loop ------------------------------------------------------------------------------------------------

    @property
    def strength(self) -> float:
        """The live weight of the penalty; NaN until it is calibrated."""
        return self.state.strength

    @strength.setter
    def strength(self, value: float) -> None:
        if not value >= 0:
            raise InputError(f"strength must be >= 0, got {value}")
        self.state.strength = float(value)

    def param_groups(self) -> list[dict[str, Any]]:
        """Parameter groups for the optimizer: every trainable parameter of the model."""
        return [{"params": [p for p in self.model.parameters() if p.requires_grad]}]

    def penalty(self, loss: Tensor | None = None) -> Tensor:
        """The method's term of the loss: 0-dim; a zero for methods that act after the step.

        Args:
            loss: The task loss; needed once, when the method has no strength: it is then set so that the group
                lasso is a fifth of the first total loss.

        Returns:
            What to add to the task loss.

        Raises:
            InputError: If there is no strength and no loss to calibrate it with.
        """
        self._prepare(loss)
        return self.groups.zero() if self._frozen is not None else self.method.penalty(self.groups, self.state)

    def step(self, optimizer: Optimizer) -> None:
        """Act after an optimizer's step: once per step that was really taken, however often it is called."""
        key = id(optimizer)
        if key in self._attached:
            return
        if key not in self._pending:
            self._watch(optimizer, lambda: self._pending.__setitem__(key, True))
        elif not self._pending[key]:
            return
        self._pending[key] = False
        self._apply(optimizer)

    def attach(self, optimizer: Optimizer) -> None:
        """Let the optimizer's own step hooks call :meth:`step`; once per optimizer."""
        if id(optimizer) not in self._attached:
            self._attached.add(id(optimizer))
            self._watch(optimizer, lambda: self._apply(optimizer))

    def _watch(self, optimizer: Optimizer, after: Callable[[], None]) -> None:
        self._handles.append(optimizer.register_step_pre_hook(lambda *_: self._prepare(None)))
        self._handles.append(optimizer.register_step_post_hook(lambda *_: after()))

    def _prepare(self, loss: Tensor | None) -> None:
        if self.state.strength != self.state.strength:  # NaN: not calibrated
            self._calibrate(loss)
        if not self._ready and self._frozen is None:
            self.method.before_step(self.groups, self.state)
            self._ready = True

    @torch.no_grad()
    def _calibrate(self, loss: Tensor | None) -> None:
        if loss is None:
            raise InputError("the method has no strength: give it one, or call penalty(loss) with the task loss")
        if not isinstance(self.method, Penalty):
            raise InputError(f"{type(self.method).__name__} needs a strength: there is no penalty to calibrate")
        theta = float(self.method.sparsity(self.groups.norms()))
        self.strength = CALIBRATION * float(loss) / ((1 - CALIBRATION) * theta) if theta > 0 else 0.0

    def _apply(self, optimizer: Optimizer) -> None:
        if self._frozen is not None:
            self.groups.clear_(self._frozen)
        else:
            self._prepare(None)
            self.method.after_step(self.groups, self.state, self._rates(optimizer))
        self._ready = False
        self.state.step += 1

    def _rates(self, optimizer: Optimizer) -> Callable[[Tensor], float]:
        lrs = {id(p): float(group["lr"]) for group in optimizer.param_groups for p in group["params"]}
        names = {id(p): name for name, p in self.model.named_parameters()}

        def lr(tensor: Tensor) -> float:
            if id(tensor) not in lrs:
                raise InputError(
                    f"parameter {names.get(id(tensor))!r} is made sparse but is in no param group of this optimizer; "
                    "build the optimizer from sparsifier.param_groups(), or protect its axis"
                )
            return lrs[id(tensor)]

        return lr

    # -- what has come of it -------------------------------------------------------------------------------------

    def sparsity(self) -> list[AxisSparsity]:
        """Own and propagated sparsity of every axis as the network stands (one forward pass)."""
        structure = trace(self.model, self._example_inputs)
        tensors = dict(self.model.named_parameters()) | dict(self.model.named_buffers())
        return list(sparsity(tensors, structure, liveness(tensors, structure, self._protect)))

    def freeze(self) -> None:
        """From now on what is dead stays exactly zero, and nothing is penalised: fine-tuning of what is left."""
        with torch.no_grad():
            self._frozen = [norms == 0 for norms in self.groups.norms()]
        self._ready = False

    def finish(self) -> nn.Module:
        """Remove what died. The network itself is not touched.

        Returns:
            A new, smaller network with the same outputs; :attr:`removal` says what went and how exactly they agree.

        Raises:
            RemovalError: If an output would have changed.
        """
        small, self.removal = shrink(self.model, self._example_inputs, protect=self._protect)
        self.detach()
        return small

    def detach(self) -> None:
        """Let go of every optimizer; the network keeps the weights that it has."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._attached.clear()
        self._pending.clear()

    def state_dict(self) -> dict[str, Any]:
        """Everything that lives: strength, step count, generator, random factors, frozen units."""
        return {
            "axes": list(self.groups.names),
            "strength": self.state.strength,
            "step": self.state.step,
            "generator": self.state.generator.get_state(),
            "beta": None if self.state.beta is None else [b.clone() for b in self.state.beta],
            "rates": None if self.state.rates is None else [r.clone() for r in self.state.rates],
            "ready": self._ready,
            "frozen": None if self._frozen is None else [f.clone() for f in self._frozen],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken.

        Raises:
            InputError: If the state belongs to other axes.
        """
        if list(state["axes"]) != list(self.groups.names):
            raise InputError(f"this state is of axes {list(state['axes'])}, the network has {list(self.groups.names)}")
        self.state.strength, self.state.step = float(state["strength"]), int(state["step"])
        self.state.generator.set_state(state["generator"].cpu())
        self.state.beta, self.state.rates = state["beta"], state["rates"]
        self._ready, self._frozen = bool(state["ready"]), state["frozen"]


def _matching(protect: Sequence[str], structure: Structure, model: nn.Module) -> frozenset[str]:
    if isinstance(protect, str):
        raise InputError(f"protect takes a list of names, got the string {protect!r}; write protect=[{protect!r}]")
    axes = [axis.name for axis in structure.axes]
    known = {*axes, *(p.name for p in structure.protected), *(name for name, _ in model.named_modules() if name)}
    chosen: set[str] = set()
    for pattern in protect:
        hits = {name for name in axes if fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")}
        if not hits and not any(fnmatchcase(name, pattern) for name in known):
            raise unknown_name("axis or module", pattern, known)
        chosen |= hits
    return frozenset(chosen)


def _floors(min_units: int | Mapping[str, int], structure: Structure) -> dict[str, int]:
    sizes = {axis.name: axis.size for axis in structure.axes}
    given = dict(min_units) if isinstance(min_units, Mapping) else {}
    for name, count in given.items():
        if name not in sizes:
            raise unknown_name("axis", name, sizes)
        if not 1 <= count <= sizes[name]:
            raise InputError(f"min_units of {name!r} must lie in 1..{sizes[name]}, got {count}")
    if not isinstance(min_units, Mapping) and min_units < 1:
        raise InputError(f"min_units must be at least 1, got {min_units}; an axis without units cannot run")
    default = 1 if isinstance(min_units, Mapping) else min_units
    return {name: given.get(name, min(default, size)) for name, size in sizes.items()}

"""``gasl.Sparsifier``: one method on one network, driven from the user's own training loop."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from gasl.errors import InputError
from gasl.methods.base import Method, check_number
from gasl.removal.result import AxisSparsity, Removal, sparsity
from gasl.removal.rounding import check_round_to
from gasl.removal.shrink import shrink
from gasl.sparsifier.hosting import folded
from gasl.sparsifier.look import Look
from gasl.sparsifier.memory import check_saved, copies, remember, restore_state, sizes_of
from gasl.sparsifier.reached import Reached
from gasl.sparsifier.setup import set_up
from gasl.sparsifier.steering import controller_of
from gasl.sparsifier.stepping import Stepping
from gasl.sparsifier.target import Target
from gasl.structure.inputs import ExampleInputs
from gasl.structure.replaced import restore
from gasl.structure.running import named_tensors, unwrapped

__all__ = ["Sparsifier"]


class Sparsifier:
    """Drives a network to exact zeros while the user trains it, and hands back the smaller network.

    The user keeps model, optimizer, loss and loop; the method's terms enter in one line, its step in another::

        loss = cross_entropy(model(x), y) + sparsifier.penalty()
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        sparsifier.step(optimizer)

    Instead of the last line, ``sparsifier.attach(optimizer)`` once lets the optimizer's own hooks do it, as where a
    trainer takes the steps. The network is changed by setting weights, and by a method with parameters of its own
    (gates, posteriors): until :meth:`finish` or :meth:`detach` these are the network's last child and in its
    ``state_dict``. Everything else that lives during training is in :meth:`state_dict`. An axis of which any weight
    that would be set is frozen (``requires_grad=False``) is not penalised; so freeze layers, load weights and move the
    network before.

    Args:
        model: The network; a ``torch.compile`` or DDP wrapper is looked through.
        method: What to do, e.g. ``gasl.GASL(strength=0.3)``.
        example_inputs: What :func:`gasl.trace` takes.
        protect: Axes (or modules whose axes) to leave whole; shell patterns are allowed.
        min_units: Units that the method leaves alive in each axis at least: one number, or one by axis name (others 1).
            Methods that take single weights, columns or whole layers refuse more than 1, but for ``SparseVD``.
        round_to: Keep each width of the smaller network at a multiple of this, or whole, as in :func:`gasl.shrink`. A
            target counts what is left then, and where it lies between two multiples the next smaller network meets it.
        target: How small it is to become. The strength is then found while it trains, from the method's own or usual
            one on; once the target is met the structure is frozen, and training goes on with what is left.
        seed: Seed of the method's own random numbers; the same on every rank.

    Raises:
        InputError: If the network has nothing to remove, or a name or number does not fit it.

    Example:
        >>> import gasl, torch
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
        round_to: int | None = None,
        target: Target | None = None,
        seed: int = 0,
    ) -> None:
        self.model = unwrapped(model)
        self._over = False  # what the method had added to the network is gone
        self.method = method
        made = set_up(model, method, example_inputs, protect, min_units, seed)
        self.structure, self.groups, self.state, self.posterior, floors, self._protect = made
        self.removal: Removal | None = None
        self._example_inputs = example_inputs
        self._protect_names = tuple(protect)
        self._round_to = check_round_to(round_to)
        seen = (self._plain, example_inputs, floors, self._protect, self._round_to)
        self.controller = controller_of(target, method, self.groups, self.state, *seen)
        self._stepping = Stepping(self.model, method, self.groups, self.state, self.controller)
        self._reached: Reached | None = None

    @property
    def strength(self) -> float:
        """The live weight of the penalty; NaN until it is calibrated."""
        return self.state.strength

    @strength.setter
    def strength(self, value: float) -> None:
        check_number("strength", value)
        self.state.strength = float(value)

    def param_groups(self) -> list[dict[str, Any]]:
        """Parameter groups for the optimizer: the model's trainable parameters; the method's own, without decay."""
        own = [] if self.posterior is None else list(self.posterior.parameters())
        known = {id(p) for p in own}
        groups: list[dict[str, Any]] = [
            {"params": [p for p in self.model.parameters() if p.requires_grad and id(p) not in known]}
        ]
        return [*groups, {"params": own, "weight_decay": 0.0}] if own else groups

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
        self._check_not_over()
        self._stepping.prepare(loss)
        frozen = self._stepping.frozen is not None
        return self.groups.zero() if frozen else self.method.penalty(self.groups, self.state)

    def step(self, optimizer: Optimizer) -> None:
        """Act after an optimizer's step: once per step that was really taken, however often it is called.

        Rates are read at the weights before the step: in :meth:`penalty` or, from the second step on, in a hook that
        this leaves with the optimizer. A loop that never calls :meth:`penalty` should :meth:`attach` instead.

        Args:
            optimizer: The optimizer that holds every weight that is made sparse.

        Raises:
            InputError: If a weight is in none of its parameter groups.
        """
        self._stepping.step(optimizer)

    def attach(self, optimizer: Optimizer) -> None:
        """Let the optimizer's own step hooks call :meth:`step`."""
        self._stepping.add(optimizer, driving=True)

    def sparsity(self) -> list[AxisSparsity]:
        """Own and propagated sparsity of every axis as the network stands (one forward pass)."""
        look = Look.now(self._plain(), self._example_inputs, self._protect)
        return list(sparsity(named_tensors(look.model), look.structure, look.live))

    @property
    def reached(self) -> Reached | None:
        """What came of the target: of the smaller network after :meth:`finish`, else of what is left now.

        None without a target. It costs a pass through the network; for a latency, both networks are timed.
        """
        if self._reached is None and self.controller is not None:
            return self.controller.reached(self.groups, self.state)
        return self._reached

    def freeze(self) -> None:
        """From now on what is dead stays exactly zero, and nothing is penalised: fine-tuning of what is left."""
        self._stepping.freeze()

    def folded(self) -> nn.Module:
        """A copy of the network as it is in test mode, at full size and with nothing of the method left in it.

        Returns:
            The copy: dead units are zero, survivors multiplied as the method says.
        """
        return folded(self.model)

    def _check_not_over(self) -> None:
        if self._over:
            raise InputError(
                f"what {type(self.method).__name__} had added to the network is gone since finish() or detach(); "
                "look with folded() or sparsity() before, and make a new Sparsifier to go on"
            )

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise InputError(
            "a sparsifier is bound to its network; make another one of the copy, with this one's state_dict()"
        )

    def _plain(self) -> nn.Module:
        self._check_not_over()
        return self.model if self.posterior is None else self.folded()

    def finish(self) -> nn.Module:
        """Remove what died. The network's own weights are not touched; what the method added to it goes.

        Returns:
            A new, smaller network with the same outputs; :attr:`removal` says what went and how exactly they agree.

        Raises:
            RemovalError: If an output would have changed.
            InputError: If the method's gates or noise are gone, since this was called before.
        """
        protect, round_to = self._protect_names, self._round_to
        small, self.removal = shrink(self._plain(), self._example_inputs, protect=protect, round_to=round_to)
        if self.controller is not None:
            widths = {name: after for name, (_, after) in self.removal.widths.items()}
            self._reached = self.controller.reached(self.groups, self.state, small, widths)
        self.detach()
        return small

    def release(self) -> None:
        """Let go of every optimizer when training is over; what the method added stays for :meth:`finish`."""
        self._stepping.release()

    def detach(self) -> None:
        """Let go of the network and of every optimizer; the network keeps the weights that it has.

        What a method added to the network goes, and is not multiplied into the weights (see :meth:`folded`).
        """
        self.release()
        restore(self.model)
        self._over = self._over or self.posterior is not None
        self.posterior = self.state.posterior = None

    def state_dict(self) -> dict[str, Any]:
        """Everything that lives: strength, step count, generator, factors, rates, norms, cut and frozen groups."""
        return {
            "axes": list(self.groups.names),
            "sizes": sizes_of(self.groups),
            "method": type(self.method).__name__,
            **remember(self.state),
            "control": None if self.controller is None else self.controller.state_dict(),
            "norms": copies(self.groups.known),
            **self._stepping.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken, with the weights of that moment (loaded before or after).

        Raises:
            InputError: If the state belongs to other axes, widths or method, or to a training with a target where this
                has none or none where this has one; or is not one of a sparsifier.
        """
        check_saved(state, self.state_dict())
        device = self.groups.zero().device
        restore_state(self.state, state, device)
        if self.controller is not None:
            self.controller.load_state_dict(state["control"], self.groups, self.state)
        self.groups.known = copies(state["norms"], device)
        self._stepping.load_state_dict(state, device)

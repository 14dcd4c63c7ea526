"""A network as a target sees it at one moment: what lives, and what would stay if the dead were removed now."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from gasl.removal.apply import apply_plan
from gasl.removal.liveness import liveness
from gasl.removal.plan import plan
from gasl.removal.rounding import what_stays
from gasl.removal.steady import steadily_traced
from gasl.structure.axes import Structure
from gasl.structure.inputs import ExampleInputs
from gasl.structure.running import named_tensors

__all__ = ["Look"]


class Look:
    """One look at a network.

    Args:
        model: The network in test mode, with nothing of a method in it.
        structure: Its trace, of now: the constants that dead units emit are read from it.
        protect: Axes that stay whole.
        round_to: What each width is kept a multiple of.
        tensors: Other values of its tensors, where some are to be tried; None for its own.

    Attributes:
        live: What lives.
        stays: What the removal would leave: the same, or with ``round_to`` dead units that fill a width up.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(4, 20), nn.ReLU(), nn.Linear(20, 3))
        >>> tried = Look.now(model, torch.zeros(2, 4), round_to=8).without({"0": range(9)})
        >>> int(tried.live.kept["0"].sum()), int(tried.stays.kept["0"].sum())
        (11, 16)
    """

    def __init__(
        self,
        model: nn.Module,
        structure: Structure,
        protect: frozenset[str] = frozenset(),
        round_to: int = 1,
        tensors: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.model = model
        self.structure = structure
        self._protect = protect
        self._round_to = round_to
        self._tensors = named_tensors(model) if tensors is None else tensors
        self.live = liveness(self._tensors, structure, protect)
        self.stays = self.live
        if round_to > 1:
            self.stays = what_stays(self._tensors, structure, protect, round_to=round_to)

    @classmethod
    def now(
        cls,
        model: nn.Module,
        example_inputs: ExampleInputs,
        protect: frozenset[str] = frozenset(),
        round_to: int = 1,
    ) -> "Look":
        """Trace the network and look."""
        return cls(model, steadily_traced(model, example_inputs)[0], protect, round_to)

    @property
    def counts(self) -> dict[str, int]:
        """How many units of each axis the removal would leave."""
        return self.stays.counts

    def smaller(self) -> nn.Module:
        """The network after the removal."""
        return apply_plan(self.model, plan(self.structure, self.stays))

    def without(self, gone: Mapping[str, Sequence[int]]) -> "Look":
        """As if some units were zero, with all that makes and reads them."""
        axes = [axis for axis in self.structure.axes if gone.get(axis.name)]
        changed = {m.tensor: self._tensors[m.tensor].detach().clone() for axis in axes for m in axis.members}
        for axis in axes:
            axis.zero_(gone[axis.name], readers=True, within=changed)
        return Look(self.model, self.structure, self._protect, self._round_to, {**self._tensors, **changed})

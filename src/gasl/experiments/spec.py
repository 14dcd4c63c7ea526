"""A run as data: which network, which images, which method, and how each of the three phases trains."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gasl.errors import InputError
from gasl.methods import GASL
from gasl.methods.base import Method, check_seed
from gasl.removal.rounding import check_round_to
from gasl.sparsifier import Target
from gasl.training import TrainConfig

__all__ = ["STRENGTH", "RunSpec", "demo_spec"]

if TYPE_CHECKING:
    Options = Mapping[str, Any]
else:
    Options = dict  # jsonargparse reads a text again wherever it knows a type of values: "3" would become a number

# What a run takes if it is given no strength. Calibration on the first loss, which a strength of None means, is for
# networks that start from scratch: the loss of a trained baseline is nearly 0, and nothing would ever die.
STRENGTH = 0.1


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """Everything that the result of a run depends on, but for the machine.

    A run has three phases: ``dense`` trains the network as it is, ``sparse`` goes on with the method until its units
    have died, and after their removal ``tune`` trains what is left.

    Args:
        model: lenet5, mlp, vgg16, resnet18, or package.module:factory.
        model_args: Keyword arguments of the factory.
        weights: A safetensors file with the weights of a trained network, which is then the baseline; there is no
            ``dense`` phase.
        data: A name that :func:`gasl.data.load` takes.
        method: What makes it small.
        dense: How the dense network is trained; it is the baseline.
        sparse: How it is trained with the method.
        tune: How the smaller network is trained at the end; None leaves it as it came out.
        from_scratch: Whether ``sparse`` starts with fresh weights, not with those of the baseline.
        protect: Axes that the method leaves whole.
        min_units: Units that stay in each axis at least: one number, or one by axis name.
        round_to: Keep each width of the smaller network at a multiple of this, or whole; null for any.
        target: How small the network is to become in the phase ``sparse``; None leaves it to the method's strength.
        start: The run that ``sparse`` goes on from: from its network as it was before removal and tuning. Its dead
            units count as gone for a target, and stay dead but for input features. Gates and posteriors begin anew.
        seed: Of the weights, the order of the images and the method's random numbers.

    Raises:
        InputError: If the seed or round_to is out of its range, or the start is a run of another network, data or seed.

    Example:
        >>> RunSpec(data="mnist", seed=3).phase("sparse").seed
        3
    """

    model: str = "lenet5"
    model_args: Options = field(default_factory=dict)
    weights: str | None = None
    data: str = "mnist"
    method: Method = field(default_factory=lambda: GASL(strength=STRENGTH))
    dense: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=8, drop_after=2))
    sparse: TrainConfig = field(
        default_factory=lambda: TrainConfig(epochs=25, lr=0.02, drop_after=None, stop_after=None)
    )
    tune: TrainConfig | None = field(default_factory=lambda: TrainConfig(epochs=15, lr=0.01, drop_after=3))
    from_scratch: bool = False
    protect: tuple[str, ...] = ()
    min_units: int | Mapping[str, int] = 1
    round_to: int | None = None
    target: Target | None = None
    start: "RunSpec | None" = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no run could use."""
        check_seed(self.seed)
        check_round_to(self.round_to)
        if self.start is not None:
            if self.from_scratch:
                raise InputError("a run either goes on from a start or begins from scratch; leave one of them out")
            for name in ("model", "model_args", "weights", "data", "dense", "seed"):
                own, other = getattr(self, name), getattr(self.start, name)
                if own != other:
                    raise InputError(f"a run has the {name} of its start, got {own!r} and {other!r}")

    def seeded(self, seed: int) -> "RunSpec":
        """The same run, and the same start, with another seed."""
        return replace(self, seed=seed, start=None if self.start is None else self.start.seeded(seed))

    def phase(self, name: str) -> TrainConfig:
        """How a phase is trained, with the run's own seed."""
        config = getattr(self, name)
        assert isinstance(config, TrainConfig)  # tune is asked for only if there is one
        return replace(config, seed=self.seed)


def demo_spec(seed: int = 0) -> RunSpec:
    """The demonstration: LeNet-5-Caffe on 5,000 MNIST digits, under two minutes on two cores.

    Args:
        seed: Of everything random.

    Returns:
        The run; its floors stop each axis at a fifth of its units or fewer, and so leave the survivors unpenalised.

    Example:
        >>> demo_spec().data
        'mnist5k'
    """
    steady = TrainConfig(batch_size=64, clip=None, weight_decay=0.0, drop_after=None, stop_after=None)
    return RunSpec(
        data="mnist5k",
        method=GASL(strength=0.5),
        dense=replace(steady, epochs=6, lr=0.05),
        sparse=replace(steady, epochs=20, lr=0.03),
        tune=replace(steady, epochs=20, lr=0.02, drop_after=4),
        min_units={"conv1": 4, "conv2": 8, "fc1.in": 40, "fc1": 30},
        seed=seed,
    )

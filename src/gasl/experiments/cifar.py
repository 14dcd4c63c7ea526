"""The runs of Table 2 as data: VGG-16 with batch norm on CIFAR, all methods for the same share of the network.

Methods of units leave a quarter of the multiply-accumulates, methods of single weights a quarter of the weights: what
that is in multiply-accumulates is seen when it is measured.

Two presets. ``paper`` has the paper's protocol: lr 0.1, dropped by 10 after 5 epochs without gain, clipping 0.1 / lr,
at most 300 epochs or 20 without gain; penalties and L0 start with fresh weights. Only that the error is watched once
the target should be met, a third of the way. ``short`` is what a laptop can do: 15 epochs of one cycle for the dense
network, which all methods of a seed share, 10 with the method, in six of which the target is to be met, and 5 for what
is left; multiplied in bfloat16, with weights in single precision ("bf16-mixed"), which is faster (docs/scaling.md).
Methods of single weights have 15 with the method instead, because a tuning that knows no zeros would bring them back.
Penalties of units act on the scale of the batch norm behind a filter, whose own size means nothing there (R29).
Images are cropped, mirrored and standardised as in the paper in both (:func:`gasl.data.default_preprocess`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from gasl.errors import InputError, unknown_name
from gasl.experiments.spec import RunSpec
from gasl.methods import (
    GASL,
    L0,
    L1,
    BayesianCompression,
    GroupLasso,
    MagnitudePruning,
    Method,
    SparseVD,
    StructuredAttention,
    StructuredBP,
)
from gasl.sparsifier import Target
from gasl.training import TrainConfig

__all__ = ["CLASSES", "COSTS", "PIXELS", "STEPS", "N", "Preset", "Protocol", "cifar_specs", "protocol"]

Preset = Literal["short", "paper"]

CLASSES = {"cifar10": 10, "cifar100": 100}
N = 45_000  # training images, what validation leaves
STEPS = 352  # optimizer steps of an epoch, in batches of 128
SHARE = 0.25  # of the multiply-accumulates, or of the weights, that is to be left
# Without factors a divergence of one for each unit, and a cost of one for each weight, take the deep layers and leave
# the wide maps whole, where most of the multiply-accumulates are. So by axis: those of a unit, relative to one of the
# last axis; and the pixels of a filter's map, which are those of each of its weights, relative to a map of 8 x 8.
_LAYERS = [f"features.{layer}" for layer in (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)]
_COSTS = (38.0, 48.0, 24.0, 24.0, 12.0, 16.0, 12.0, 6.0, 8.0, 5.0, 2.0, 2.0, 1.0)
_SIDES = (32, 32, 16, 16, 8, 8, 8, 4, 4, 4, 2, 2, 2)
COSTS = dict(zip(_LAYERS, _COSTS, strict=True))
PIXELS = {layer: (side / 8) ** 2 for layer, side in zip(_LAYERS, _SIDES, strict=True)}

_STEADY = TrainConfig(batch_size=128, drop_after=None, stop_after=None, precision="bf16-mixed")
_PAPER = TrainConfig(batch_size=128, lr=0.1, epochs=300, drop_after=5, drop_factor=0.1, stop_after=20, clip=0.1)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How the phases of a table's runs are trained.

    Args:
        dense: The dense network, by SGD.
        sparse: With a penalty.
        noisy: With gates or posteriors, by Adam.
        tune: What is left.
        met: Epochs in which a target is to be met.
        from_scratch: Whether methods that need no trained network start with fresh weights.

    Example:
        >>> protocol("short").dense.one_cycle, protocol("paper").sparse.stop_after
        (0.3, 20)
    """

    dense: TrainConfig
    sparse: TrainConfig
    noisy: TrainConfig
    tune: TrainConfig | None
    met: int
    from_scratch: bool = False


def protocol(preset: str, epochs: int | None = None) -> Protocol:
    """A preset, longer or shorter.

    Args:
        preset: short or paper.
        epochs: Of the dense network, 15 or 300 by default; those of the other phases change in proportion.

    Returns:
        The phases.

    Raises:
        InputError: If there is no such preset, or no epoch.

    Example:
        >>> [phase.epochs for phase in (protocol("short", 30).sparse, protocol("short", 30).tune)]
        [20, 10]
    """
    if preset not in ("short", "paper"):
        raise unknown_name("preset", preset, ("short", "paper"))
    if epochs is not None and epochs < 1:
        raise InputError(f"epochs must be 1 or more, got {epochs}")
    if preset == "paper":
        whole = replace(_PAPER, epochs=epochs or _PAPER.epochs)
        met = max(1, whole.epochs // 3)
        watched = replace(whole, watch_from=met)
        return Protocol(dense=whole, sparse=watched, noisy=_noisy(watched), tune=None, met=met, from_scratch=True)
    dense = epochs or 15
    sparse, tune = max(1, round(dense * 2 / 3)), max(1, round(dense / 3))
    penalised = replace(_STEADY, epochs=sparse, lr=0.05, one_cycle=0.1)
    return Protocol(
        dense=replace(_STEADY, epochs=dense, lr=0.1, one_cycle=0.3),
        sparse=penalised,
        noisy=_noisy(penalised),
        tune=replace(_STEADY, epochs=tune, lr=0.03, one_cycle=0.1),
        met=max(1, sparse * 6 // 10),
    )


def _noisy(config: TrainConfig) -> TrainConfig:
    """The same phase with Adam, and with statistics of batch norms that have no noise in them."""
    adam = replace(config, optimizer="adam", lr=1e-3, own_lr=1e-2, weight_decay=0.0, clip=None)
    return replace(adam, fresh_norms=True)


def cifar_specs(
    data: str = "cifar10", width: float = 0.25, preset: str = "short", epochs: int | None = None, share: float = SHARE
) -> Mapping[str, RunSpec]:
    """One run of each method, seed 0.

    Args:
        data: cifar10 or cifar100.
        width: Factor on every channel count of VGG-16.
        preset: short or paper, see :func:`protocol`.
        epochs: As for :func:`protocol`.
        share: Of the multiply-accumulates, or of the weights, that is to be left.

    Returns:
        The name of each method to its run.

    Raises:
        InputError: If an argument is unknown or out of its range.

    Example:
        >>> str(cifar_specs("cifar100")["gasl"].target)
        'macs=0.25'
    """
    if data not in CLASSES:
        raise unknown_name("data set of Tables 2 to 4", data, CLASSES)
    phases = protocol(preset, epochs)
    network: dict[str, int | float | str] = {"width": float(width)}
    if CLASSES[data] != 10:
        network["num_classes"] = CLASSES[data]
    common = RunSpec(
        model="vgg16",
        model_args=network,
        data=data,
        dense=phases.dense,
        tune=phases.tune,
    )
    target = Target(macs=share, steps=phases.met * STEPS)
    zeros = Target(sparsity=1 - share, steps=phases.met * STEPS)

    def fresh(method: Method) -> bool:
        return phases.from_scratch and isinstance(method, L1 | GroupLasso | L0 | StructuredAttention | GASL)

    def units(method: Method, sparse: TrainConfig = phases.sparse, to: Target | None = target) -> RunSpec:
        return replace(common, method=method, sparse=sparse, target=to, from_scratch=fresh(method))

    def weights(method: Method, sparse: TrainConfig = phases.sparse) -> RunSpec:
        more = 0 if phases.tune is None else phases.tune.epochs
        longer = replace(sparse, epochs=sparse.epochs + more)
        return replace(common, method=method, sparse=longer, tune=None, target=zeros, from_scratch=fresh(method))

    return {
        "baseline": units(GroupLasso(strength=0.0), to=None),
        "l1": weights(L1(strength=1e-4)),
        "magnitude_pruning": weights(MagnitudePruning()),
        "magnitude_pruning_units": units(MagnitudePruning(granularity="unit")),
        # The controller goes to 20 times of where it began, so to 1 / N: from 1 / N on the noise of 0.9 million weights
        # rose faster than they could grow, and nothing was left to tune (45 % of error).
        "bayesian_compression": units(BayesianCompression(strength=0.05 / N, threshold=-2.0), phases.noisy),
        "structured_bp": units(
            StructuredBP(strength=1 / N, factors=COSTS), replace(phases.noisy, momentum=0.95, own_lr=3e-2)
        ),
        "group_lasso": units(GroupLasso(strength=0.05, scope="scale")),
        "sparse_vd": weights(SparseVD(strength=1 / N), phases.noisy),
        "l0": units(L0(strength=0.1 / N, drop_rate=0.05, factors=PIXELS), phases.noisy),
        "structured_attention": units(StructuredAttention(strength=0.05, scope="scale")),
        "gasl": units(GASL(strength=0.05, scope="scale")),
    }

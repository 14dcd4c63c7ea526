"""A run with more or fewer epochs, and all that is counted in epochs or steps changed in proportion."""

from dataclasses import fields, replace

from gasl.experiments.spec import RunSpec
from gasl.methods.base import Method
from gasl.training import TrainConfig

__all__ = ["scaled"]

_IN_STEPS = ("start", "every", "warmup", "delay", "cut_at")  # fields of methods that count optimizer steps


def scaled(spec: RunSpec, factor: float) -> RunSpec:
    """The same run, longer or shorter.

    Args:
        spec: The run.
        factor: What epochs and steps are multiplied with; each phase keeps one epoch at least.

    Returns:
        The run.

    Example:
        >>> from gasl.experiments.recipes import RECIPES
        >>> half = scaled(RECIPES["lenet5/magnitude_pruning"], 0.5)
        >>> half.dense.epochs, half.sparse.decay_from, half.method.every
        (10, 10, 270)
    """
    tune = None if spec.tune is None else _phase(spec.tune, factor)
    target = spec.target
    if target is not None and target.steps is not None:
        target = replace(target, steps=max(1, round(target.steps * factor)))
    return replace(
        spec,
        start=None if spec.start is None else scaled(spec.start, factor),
        dense=_phase(spec.dense, factor),
        sparse=_phase(spec.sparse, factor),
        tune=tune,
        method=_method(spec.method, factor),
        target=target,
    )


def _phase(config: TrainConfig, factor: float) -> TrainConfig:
    epochs = max(1, round(config.epochs * factor))
    falls = None if config.decay_from is None else min(round(config.decay_from * factor), epochs - 1)
    return replace(config, epochs=epochs, decay_from=falls)


def _method(method: Method, factor: float) -> Method:
    counted = {f.name: getattr(method, f.name) for f in fields(method) if f.name in _IN_STEPS}
    return replace(method, **{name: max(1, round(n * factor)) for name, n in counted.items() if n})

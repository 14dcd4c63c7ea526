"""One training in stages, as for the paper's Tables 3 and 4: at each level of sparsity the network is looked at.

The first stage goes from the dense network to the first level, each further one from the network that the one before
had at its end, before removal and tuning, to the next level in three fifths of the epochs. Each stage is a run of its
own with its removal and its tuning. A target counts what its own stage began with: from 60 to 70 % of all units a
quarter goes of what is left. Methods of single weights are at a level when as many of all weights are zero.
"""

from collections.abc import Sequence
from dataclasses import replace

from gasl.experiments.spec import RunSpec
from gasl.sparsifier import Target

__all__ = ["LEVELS", "stages"]

LEVELS = (60, 70, 80)  # percent of all units
_LATER = 0.6  # epochs of a further stage in those of the first


def stages(spec: RunSpec, levels: Sequence[int] = LEVELS, stronger: float = 1.0) -> list[RunSpec]:
    """A run with one level as its target, and runs that go on from it.

    Args:
        spec: The run; of its target only the steps are taken.
        levels: Percent of all units, or weights, that are gone at the end of each stage, rising.
        stronger: Factor on the strength with which each further stage begins.

    Returns:
        One run for each level; all but the first have the one before as their start.

    Example:
        >>> from gasl.experiments.cifar import cifar_specs
        >>> [round(stage.target.sparsity, 3) for stage in stages(cifar_specs()["gasl"])]
        [0.6, 0.25, 0.333]
        >>> [round(stage.method.strength, 3) for stage in stages(cifar_specs()["gasl"], stronger=10)]
        [0.05, 0.5, 0.5]
    """
    runs: list[RunSpec] = []
    begin = spec.method.strength
    later = spec.method if begin is None else replace(spec.method, strength=stronger * begin)
    gone = 0.0
    for level in levels:
        share = 1 - (1 - level / 100) / (1 - gone) if spec.method.granularity == "unit" else level / 100
        factor = _LATER if runs else 1.0
        steps = None if spec.target is None or spec.target.steps is None else round(spec.target.steps * factor)
        runs.append(
            replace(
                spec,
                method=later if runs else spec.method,
                sparse=replace(spec.sparse, epochs=max(1, round(spec.sparse.epochs * factor))),
                target=Target(sparsity=share, steps=steps),
                from_scratch=spec.from_scratch and not runs,
                start=runs[-1] if runs else None,
            )
        )
        gone = level / 100
    return runs

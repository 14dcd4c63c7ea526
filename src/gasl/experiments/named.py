"""Every run that has a name: recipes, rows of the paper's tables, runs at a given size, and those of the ablation."""

from collections.abc import Mapping
from functools import cache

from gasl.errors import unknown_name
from gasl.experiments import ablation, recipes
from gasl.experiments.at_target import target_entries
from gasl.experiments.spec import RunSpec
from gasl.experiments.tables import entries

__all__ = ["named"]


def named(name: str, seed: int = 0) -> RunSpec:
    """A run by its name.

    Args:
        name: E.g. lenet5/gasl, cifar10/vgg16-0.25-short/gasl, target/mlp/gasl-4x or ablate/mlp/ssl-coupled.
        seed: Of everything random.

    Returns:
        The run.

    Raises:
        InputError: If there is none of that name, or the seed is negative.

    Example:
        >>> [named(name, seed=3).seed for name in ("mlp/gasl", "cifar10/vgg16-0.25-short/l0", "target/mlp/gasl-4x")]
        [3, 3, 3]
        >>> named("ablate/mlp/ssl-coupled").method
        GroupLasso(strength=0.1, scope='coupled', linear='in', granularity='unit', step='proximal', normalise=True)
    """
    known = {**_rows(), **recipes.RECIPES, **ablation.catalogue()}
    if name not in known:
        raise unknown_name("run", name, known)
    return known[name].seeded(seed)


@cache
def _rows() -> Mapping[str, RunSpec]:
    rows = [row for number in (1, 2, 3, 4) for row in entries(number)]
    return {row.name: row.spec for row in [*rows, *target_entries()]}

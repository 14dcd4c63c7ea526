"""Which reading of the paper works, as data: group lasso, attention and guidance at the same units left.

A reading is a method with a name, e.g. ``gasl-standardised-rank-alpha1-coupled``; :func:`spec` is its run on a network.
Every run begins with the dense network that the recipes begin with, and has the target of all others: what differs is
which units die, and what the method does to those that stay. Stages:

screen     every inverse, bare and guided, at five alphas on the MLP; then, at the best alpha of each family, the other
           scopes, values, mixing, and the presets. Seed 0.
seeds      the twelve best of the screen by validation error, and group lasso, with seeds 1 to 5: none of which chose.
lenet5     the six best of those, and group lasso, on LeNet-5 with seeds 0 to 4.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from math import inf
from typing import get_args

from gasl.errors import unknown_name
from gasl.experiments.recipes import EPOCH, RECIPES
from gasl.experiments.spec import RunSpec
from gasl.maths.attention import Inverse
from gasl.methods import GASL, GroupLasso, Method, StructuredAttention
from gasl.methods.gasl import Beta
from gasl.sparsifier import Target
from gasl.training import TrainConfig

__all__ = ["REFERENCES", "STAGES", "Score", "catalogue", "readings", "spec", "stage_runs"]

ALPHAS = (1.0, 0.1, 10.0, 0.01, 100.0)  # in the order in which they are run
REFERENCES = ("ssl-coupled", "ssl-filter", "ssl-filter-out")
STAGES = ("screen", "seeds", "lenet5")
_INVERSES: tuple[Inverse, ...] = get_args(Inverse)
_BETAS: tuple[Beta, ...] = get_args(Beta)
_KEPT = {"seeds": 12, "lenet5": 6}
_SEEDS = {"seeds": (1, 2, 3, 4, 5), "lenet5": (0, 1, 2, 3, 4)}

# The units that the paper's Table 1 leaves; the target counts what can be removed.
TARGETS: Mapping[str, Mapping[str, float]] = {
    "mlp": {"fc1.in": 0.64, "fc1": 0.80, "fc2": 0.95},
    "lenet5": {"conv1": 0.75, "conv2": 0.87, "fc1.in": 0.87, "fc1": 0.95},
}
_STEADY = TrainConfig(drop_after=None, stop_after=None)
_EPOCHS = {"mlp": (12, 8), "lenet5": (24, 16)}  # with the method, and what is left

Score = Callable[
    [str, int], float | None
]  # of a name and a seed; None where it is not known, inf where it cannot count


def spec(model: str, method: Method) -> RunSpec:
    """A run of the ablation: two thirds of the epochs with the method to meet the target, then what is left.

    Args:
        model: mlp or lenet5.
        method: The reading.

    Returns:
        The run, of seed 0.

    Example:
        >>> spec("mlp", GroupLasso()).target.steps
        4320
    """
    epochs, tune = _EPOCHS[model]
    meet = 2 * epochs // 3
    return RunSpec(
        model=model,
        method=method,
        dense=RECIPES[f"{model}/baseline"].dense,
        sparse=replace(_STEADY, epochs=epochs, lr=0.05, decay_from=3 * epochs // 4, weight_decay=0.0),
        tune=replace(_STEADY, epochs=tune, lr=0.02, decay_from=0),
        target=Target(sparsity=TARGETS[model], steps=meet * EPOCH),
    )


@cache
def readings() -> Mapping[str, Method]:
    """Every reading that a stage may ask for, by its name.

    Returns:
        Name to method; the strength is where the controller begins, the lower the more attention is added to it.

    Example:
        >>> readings()["gasl-log-rank-alpha10-filter"].scope
        'filter'
    """
    found: dict[str, Method] = {
        "ssl-coupled": GroupLasso(strength=0.1),
        "ssl-filter": GroupLasso(strength=0.1, scope="filter"),
        "ssl-filter-out": GroupLasso(strength=0.1, scope="filter", linear="out"),
    }
    for inverse in _INVERSES:
        for alpha in ALPHAS:
            start = 0.1 / (1 + alpha)
            bare = StructuredAttention(strength=start, inverse=inverse, alpha=alpha)
            found |= _scopes(f"sa-{inverse}-alpha{alpha:g}", bare)
            for beta in _BETAS:
                guided = GASL(strength=start, inverse=inverse, alpha=alpha, beta=beta)
                name = f"gasl-{inverse}-{beta}-alpha{alpha:g}"
                found |= _scopes(name, guided)
                found[f"{name}-mixing0.25"] = replace(guided, mixing=0.25)
                found[f"{name}-graph"] = replace(guided, detach=False)
                found[f"{name}-always"] = replace(guided, conditional=False)
    # The presets take the proximal step here: as a term of the loss nothing becomes zero, and no target can be met.
    # That of structured attention, "paper", is then sa-total-alpha1-filter.
    found["sa-official-code"] = StructuredAttention.preset("official_code", step="proximal")
    found["gasl-paper"] = GASL.preset("paper", step="proximal", strength=0.05)
    return found


def _scopes(name: str, method: StructuredAttention | GASL) -> dict[str, Method]:
    return {
        f"{name}-coupled": method,
        f"{name}-filter": replace(method, scope="filter"),
        f"{name}-filter-out": replace(method, scope="filter", linear="out"),
        f"{name}-squared": replace(method, values="squared"),
    }


@cache
def catalogue() -> Mapping[str, RunSpec]:
    """Every run of the ablation, of seed 0, by its name.

    Returns:
        ``ablate/NETWORK/READING`` to what it does.

    Example:
        >>> catalogue()["ablate/mlp/ssl-coupled"].method
        GroupLasso(strength=0.1, scope='coupled', linear='in', granularity='unit', step='proximal', normalise=True)
    """
    return {f"ablate/{model}/{name}": spec(model, method) for model in TARGETS for name, method in readings().items()}


def stage_runs(stage: str, score: Score) -> list[tuple[str, int]]:
    """What a stage runs, as far as it is known by now.

    Args:
        stage: A name of :data:`STAGES`.
        score: The validation error of a run, None if there is no record of it, infinite where the target was not met
            or it failed.

    Returns:
        Names and seeds. What depends on runs that are missing is left out; ask again when they are there.

    Raises:
        InputError: If there is no such stage.

    Example:
        >>> len(stage_runs("screen", lambda name, seed: None)), stage_runs("seeds", lambda name, seed: None)
        (103, [])
        >>> len(stage_runs("screen", lambda name, seed: 2.0)), len(stage_runs("seeds", lambda name, seed: 2.0))
        (126, 75)
    """
    if stage not in STAGES:
        raise unknown_name("stage", stage, STAGES)
    if stage == "screen":
        grid = _grid()
        found = _scores("mlp", grid, (0,), score)
        return [(f"ablate/mlp/{name}", 0) for name in (grid if found is None else [*grid, *_variants(found)])]
    before, seeds, model = ("screen", (0,), "mlp") if stage == "seeds" else ("seeds", _SEEDS["seeds"], "lenet5")
    runs = stage_runs(before, score)
    names = list(dict.fromkeys(name.removeprefix("ablate/mlp/") for name, _ in runs))
    complete = before != "screen" or len(names) > len(_grid())
    found = _scores("mlp", names, seeds, score) if runs and complete else None
    if found is None:
        return []
    others = [name for name in found if name not in REFERENCES and found[name] < inf]
    best = sorted(others, key=lambda name: found[name])[: _KEPT[stage]]
    model = "mlp" if stage == "seeds" else "lenet5"
    able = [name for name in REFERENCES if found.get(name, inf) < inf]
    return [(f"ablate/{model}/{name}", seed) for name in (*able, *best) for seed in _SEEDS[stage]]


def _scores(model: str, names: Sequence[str], seeds: Sequence[int], score: Score) -> dict[str, float] | None:
    """The mean over the seeds; None if a run is missing."""
    found = {}
    for name in names:
        each = [score(f"ablate/{model}/{name}", seed) for seed in seeds]
        known = [value for value in each if value is not None]
        if len(known) < len(each):
            return None
        found[name] = sum(known) / len(known)
    return found


def _grid() -> list[str]:
    guidance = [f"sa-{inverse}" for inverse in _INVERSES]
    guidance += [f"gasl-{inverse}-{beta}" for inverse in _INVERSES for beta in _BETAS]
    return [*REFERENCES, *(f"{name}-alpha{alpha:g}-coupled" for alpha in ALPHAS for name in guidance)]


def _variants(found: Mapping[str, float]) -> list[str]:
    """At the best alpha (and beta) of each family: other scopes, squared norms, other guidance; the presets."""

    def best(*begins: str) -> str:
        names = [name for name in found if name.startswith(begins) and name.endswith("-coupled")]
        return min(names, key=lambda name: found[name]).removesuffix("-coupled")

    families = [best(f"{kind}-{inverse}-") for kind in ("sa", "gasl") for inverse in _INVERSES]
    guided = best("gasl-")
    second = min((f for f in families if f.startswith("gasl") and f != guided), key=lambda f: found[f"{f}-coupled"])
    names = [f"{family}-filter" for family in families]
    names += [f"{best(f'sa-{inverse}-', f'gasl-{inverse}-')}-squared" for inverse in _INVERSES]
    names += [f"{family}-{how}" for family in (guided, second) for how in ("mixing0.25", "graph", "always")]
    return list(dict.fromkeys([*names, "sa-total-alpha1-filter", "sa-official-code", "gasl-paper"]))

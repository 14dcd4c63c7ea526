"""Runs on MNIST at a given size, as data: the units of the paper's Table 1, and error against multiply-accumulates.

``target/NETWORK/METHOD-SIZE``, where a size is the part of each axis' units that is to go in percent (``64-80-95``), or
how many times fewer multiply-accumulates (``4x``). At the paper's units there are two more rows: LeNet-5's that end in
``-taught`` also learn from the dense network's own outputs; the MLP, to which a teacher is no help, has a fifth of its
pixels dropped in training in those that end in ``-dropout``, from the dense network on. All others begin with the
recipes' dense network. Of 40 epochs with the method the target has 30, and 40 with what is left follow.
"""

from collections.abc import Mapping
from dataclasses import replace

from gasl.errors import InputError
from gasl.experiments.ablation import TARGETS
from gasl.experiments.recipes import EPOCH, RECIPES
from gasl.experiments.spec import RunSpec
from gasl.experiments.tables import LABELS, NETWORKS, Entry
from gasl.methods import GASL, GroupLasso, Method
from gasl.methods.gasl import Beta
from gasl.sparsifier import Target
from gasl.training import TrainConfig

__all__ = ["target_entries"]

FEWER = {"lenet5": (2, 4, 8, 12, 16, 25, 40), "mlp": (4, 8, 16, 25)}
_METHODS: Mapping[str, tuple[str, Method]] = {
    "ssl": ("group_lasso", GroupLasso(strength=0.1)),
    "gasl": ("gasl", GASL(strength=0.05)),
}
_BETA: Mapping[str, Beta] = {"lenet5": "fresh", "mlp": "fixed"}  # what met its target best in docs/ablation.md
_MORE = {"lenet5": "taught", "mlp": "dropout"}  # what the second pair of rows has
_TAUGHT, _DROPOUT = 0.7, 0.2
_EPOCHS, _MEET = 40, 30
_SEEDS = 5
_STEADY = TrainConfig(drop_after=None, stop_after=None)


def target_entries(seeds: int | None = None) -> list[Entry]:
    """All of them as rows of tables: of each network those at the paper's units, then those by multiply-accumulates.

    Args:
        seeds: How many for each row; None for 5 at the paper's units and 1 elsewhere.

    Returns:
        The rows.

    Raises:
        InputError: If there is no seed.

    Example:
        >>> [(row.part, row.label, row.seeds) for row in target_entries()][3:6:2]
        [('784-500-300 without 64-80-95 % of its units', 'SA + GASL, dropout', 5),
        ('784-500-300 with fewer MACs', 'SA + GASL, 4x fewer', 1)]
    """
    if seeds is not None and seeds < 1:
        raise InputError(f"seeds must be 1 or more, got {seeds}")
    rows = []
    for model, units in TARGETS.items():
        steps = _MEET * EPOCH
        size = "-".join(f"{100 * part:.0f}" for part in units.values())
        title, target = NETWORKS[model], Target(sparsity=units, steps=steps)
        for aid in ("", _MORE[model]):
            for short, (key, method) in _at_units(model).items():
                rows.append(
                    Entry(
                        part=f"{title} without {size} % of its units",
                        label=", ".join(filter(None, (LABELS[key], aid))),
                        name="-".join(filter(None, (f"target/{model}/{short}-{size}", aid))),
                        key=f"{model}/{key}" if short == "gasl" and not aid else "",
                        spec=_run(model, method, target, aid),
                        seeds=seeds or _SEEDS,
                    )
                )
        for times in FEWER[model]:
            for short, (key, method) in _METHODS.items():
                rows.append(
                    Entry(
                        part=f"{title} with fewer MACs",
                        label=f"{LABELS[key]}, {times}x fewer",
                        name=f"target/{model}/{short}-{times}x",
                        key="",
                        spec=_run(model, method, Target(macs=1 / times, steps=steps)),
                        seeds=seeds or 1,
                    )
                )
    return rows


def _at_units(model: str) -> dict[str, tuple[str, Method]]:
    """Each axis has a pressure of its own there; with one for all alpha = 10 leaves most groups without any (R15)."""
    return {**_METHODS, "gasl": ("gasl", GASL(strength=0.05, alpha=10.0, beta=_BETA[model]))}


def _run(model: str, method: Method, target: Target, aid: str = "") -> RunSpec:
    phase = replace(_STEADY, epochs=_EPOCHS)
    if aid == "taught":
        phase = replace(phase, teacher=_TAUGHT, weight_decay=0.0)  # a teacher is enough of a regulariser
    return RunSpec(
        model=model,
        model_args={"input_dropout": _DROPOUT} if aid == "dropout" else {},
        method=method,
        dense=RECIPES[f"{model}/baseline"].dense,
        sparse=replace(phase, lr=0.05, decay_from=_MEET, weight_decay=0.0),
        tune=replace(phase, lr=0.03, decay_from=0),
        target=target,
    )

"""The paper's tables as data: which runs each is made of. What papers print is in :mod:`gasl.report.published`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gasl.errors import InputError, unknown_name
from gasl.experiments import recipes
from gasl.experiments.choice import Choice, cifar_folder, cifar_part, cifar_run_specs
from gasl.experiments.jobs import Job
from gasl.experiments.scaled import scaled
from gasl.experiments.spec import RunSpec
from gasl.experiments.stages import LEVELS, stages
from gasl.methods import GASL, L0, Method, StructuredBP

__all__ = ["LABELS", "NETWORKS", "Entry", "entries", "jobs_of"]

LABELS: Mapping[str, str] = {
    "baseline": "baseline",
    "l1": "l1 regularisation",
    "magnitude_pruning": "network pruning (Han)",
    "bayesian_compression": "Bayesian compression",
    "structured_bp": "structured Bayesian pruning",
    "group_lasso": "structured sparsity learning",
    "sparse_vd": "sparse variational dropout",
    "l0": "l0 regularisation",
    "structured_attention": "structured attention (SA)",
    "gasl": "SA + GASL",
    "unstructured_attention": "attention on single weights",
    "magnitude_pruning_units": "network pruning of units",
    "bayesian_compression_horseshoe": "Bayesian compression, horseshoe",
    "l0_separate": "l0 regularisation, layer by layer",
}

_STRONGER: Mapping[type[Method], float] = {L0: 20.0, StructuredBP: 10.0}  # of further stages in Table 3
_MORE_SEEDS = ("baseline", "group_lasso", "structured_attention", "gasl")  # of Table 2
_LIKE_MNIST = ("mnist", "mnist5k", "fashion_mnist", "hub:ylecun/mnist", "hub:zalando-datasets/fashion_mnist")
NETWORKS = {"lenet5": "LeNet-5-Caffe", "mlp": "784-500-300"}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of one part of a table.

    Args:
        part: The part's heading: network and data.
        label: What the paper calls the method.
        name: The path of its records.
        key: What its printed and published values are found by.
        spec: The run of seed 0.
        seeds: How many seeds it has.
        level: Percent of units, or of single weights, that are to be gone, in Tables 3 and 4.
    """

    part: str
    label: str
    name: str
    key: str
    spec: RunSpec
    seeds: int
    level: int | None = None

    def jobs(self) -> list[Job]:
        """Its runs, one for each seed."""
        return [Job(name=self.name, spec=self.spec.seeded(seed)) for seed in range(self.seeds)]


def entries(number: int, choice: Choice | None = None) -> list[Entry]:
    """The rows of a table.

    Args:
        number: As in the paper.
        choice: What is asked for; None for the table's own.

    Returns:
        The rows, part by part in the paper's order.

    Raises:
        InputError: If there is no such table, or it cannot be had that way.

    Example:
        >>> [entry.name for entry in entries(1)[8:11]]
        ['lenet5/structured_attention', 'lenet5/gasl', 'lenet5/unstructured_attention']
        >>> entries(2, Choice(width=1.0, preset="paper"))[-2].name
        'cifar10/vgg16-1-paper/gasl'
    """
    choice = choice or Choice()
    if number not in _TABLES:
        raise unknown_name("table", str(number), map(str, _TABLES))
    return _TABLES[number](choice)


def jobs_of(rows: list[Entry]) -> list[Job]:
    """The runs of a table, each once, seed by seed: a whole table is there early, runs of one start lie together.

    Example:
        >>> [(job.spec.seed, job.name) for job in jobs_of(entries(2))][9:12]
        [(0, 'cifar10/vgg16-0.25-short/gasl'), (0, 'cifar10/vgg16-0.25-short/magnitude_pruning_units'),
        (1, 'cifar10/vgg16-0.25-short/baseline')]
    """
    jobs = {str(job): job for row in rows for job in row.jobs()}
    return sorted(jobs.values(), key=lambda job: job.spec.seed)


def _mnist(choice: Choice) -> list[Entry]:
    if choice.width is not None:
        raise InputError(f"the networks of Table 1 have one width; leave --width {choice.width:g} out")
    if choice.preset is not None:
        raise InputError(f"Table 1 has one protocol; leave --preset {choice.preset} out")
    data = choice.data or "mnist"
    if data not in _LIKE_MNIST:
        raise unknown_name("data set of Table 1", data, _LIKE_MNIST)
    rows = []
    for network, title in NETWORKS.items():
        for method, label in LABELS.items():
            key = f"{network}/{method}"
            if key not in recipes.RECIPES:
                continue
            spec, name = replace(recipes.RECIPES[key], data=data), key
            if choice.epochs not in (None, spec.dense.epochs):
                assert choice.epochs is not None
                spec = scaled(spec, choice.epochs / spec.dense.epochs)
                name = f"{data}-{choice.epochs}/{key}"
            elif data != "mnist":
                name = f"{data}/{key}"
            part = f"{title} on {data}"
            rows.append(Entry(part=part, label=label, name=name, key=key, spec=spec, seeds=choice.seeds or 3))
    return rows


def _cifar(choice: Choice) -> list[Entry]:
    specs, folder, part = cifar_run_specs(choice), cifar_folder(choice), cifar_part(choice)
    return [
        Entry(
            part=part,
            label=LABELS[method],
            name=f"{folder}/{method}",
            key=f"{specs[method].data}/{method}",
            spec=specs[method],
            seeds=choice.seeds or (3 if method in _MORE_SEEDS else 1),
        )
        for method in LABELS
        if method in specs
    ]


def _rise(choice: Choice) -> list[Entry]:
    """Table 3: six methods at three levels, and the baseline that they are compared with."""
    folder, part, specs = cifar_folder(choice), cifar_part(choice), dict(cifar_run_specs(choice))
    for name, spec in specs.items():
        if isinstance(spec.method, L0 | StructuredBP):  # here each unit counts the same, whatever it costs
            specs[name] = replace(spec, method=replace(spec.method, factors=None))
    rows = _baseline(choice)
    for method in ("l1", "structured_bp", "group_lasso", "sparse_vd", "l0", "gasl"):
        rows += _levels(choice, part, LABELS[method], f"{folder}/stages/{method}", f"rise/{method}", specs[method])
    return rows


def _alphas(choice: Choice) -> list[Entry]:
    """Table 4: alpha of SA + GASL; 1 is the row of Table 3. The middle of its range comes first."""
    folder, part, spec = cifar_folder(choice), cifar_part(choice), cifar_run_specs(choice)["gasl"]
    rows = _baseline(choice)
    for alpha in (1.0, 0.1, 10.0, 0.01, 100.0):
        assert isinstance(spec.method, GASL)
        own = replace(spec, method=replace(spec.method, alpha=alpha))
        name = f"{folder}/stages/gasl" + ("" if alpha == 1 else f"-alpha{alpha:g}")
        rows += _levels(choice, part, f"alpha = {alpha:g}", name, f"alpha/{alpha:g}", own)
    return rows


def _baseline(choice: Choice) -> list[Entry]:
    return [replace(_cifar(choice)[0], seeds=choice.seeds or 1)]


def _levels(choice: Choice, part: str, label: str, name: str, key: str, spec: RunSpec) -> list[Entry]:
    # Gates and noise begin anew in each stage, as if every unit were needed; and those that are left nearly are. In the
    # four epochs of a target a strength may grow twenty times, with which hardly any moved, and 400 times when late.
    stronger = _STRONGER.get(type(spec.method), 1.0)
    return [
        Entry(
            part=part,
            label=label,
            name=f"{name}-{level}",
            key=key,
            spec=stage,
            seeds=choice.seeds or 1,
            level=level,
        )
        for level, stage in zip(LEVELS, stages(spec, stronger=stronger), strict=True)
    ]


_TABLES = {1: _mnist, 2: _cifar, 3: _rise, 4: _alphas}

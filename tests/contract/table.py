"""THE TABLE: a row for each method, with the settings under which it is put through the whole contract.

A setting is a method at a strength that kills within ``steps`` steps on every network of ``networks.py``. A new method
needs its row here; every test of this folder then runs on it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest
import torch
from torch.optim import Optimizer

from contract.networks import NETWORKS
from gasl.methods import (
    GASL,
    L0,
    L1,
    Attention,
    BayesianCompression,
    DepGraphNorm,
    GroupLasso,
    MagnitudePruning,
    Method,
    NetworkSlimming,
    SparseVD,
    StructuredAttention,
    StructuredBP,
)

__all__ = ["CASES", "ROWS", "Case", "Setting", "cases", "every_case"]


def sgd(groups: Iterable[dict[str, Any]]) -> Optimizer:
    return torch.optim.SGD(groups, lr=0.05, momentum=0.9)


def adam(groups: Iterable[dict[str, Any]]) -> Optimizer:
    return torch.optim.Adam(groups, lr=0.02)


def apart(lr: float, own: float) -> Callable[[Iterable[dict[str, Any]]], Optimizer]:
    """Adam with a learning rate of its own for what the method adds, which has a long way to go in a few steps."""

    def optimizer(groups: Iterable[dict[str, Any]]) -> Optimizer:
        model, added = groups
        return torch.optim.Adam([model, added | {"lr": own}], lr=lr)

    return optimizer


own_fast = apart(0.01, 0.15)


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """A method and how it is trained.

    method: At a strength that kills.
    steps: Steps after which something is dead, but not all.
    optimizer: From ``param_groups()``.
    draws: What its random numbers are drawn for: nothing, the whole step, or each example (two halves of a batch are
        then not the batch).
    off: Fields that turn it off.
    exact: Whether there are exact zeros; a term of the loss alone gives none.
    refused: Networks on which it does not work, each with what the error says.
    """

    method: Method
    steps: int = 40
    optimizer: Callable[[Iterable[dict[str, Any]]], Optimizer] = sgd
    draws: Literal["nothing", "step", "example"] = "nothing"
    off: Mapping[str, Any] = field(default_factory=lambda: {"strength": 0.0})
    exact: bool = True
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def idle(self) -> Method:
        """The same at strength 0."""
        return replace(self.method, **self.off)


NO_CUT = {"strength": 0.0, "fraction": None, "cut_at": None}
WITHOUT_BATCH_NORM = dict.fromkeys(("lenet", "mlp", "transformer", "attention"), "no layer .* has a batch norm")
WITHOUT_SHORTCUT = dict.fromkeys(("lenet", "mlp"), "no layer .* has a shortcut around it")

FURTHER = ("residual", "transformer")  # where a method's further settings are tried; the first is on all networks

ROWS: Mapping[str, tuple[Setting, ...]] = {
    "attention": (
        Setting(method=Attention(strength=1.0, granularity="weight")),
        Setting(method=Attention(strength=0.6, over=NetworkSlimming(), scope="scale"), refused=WITHOUT_BATCH_NORM),
        Setting(method=Attention(strength=1.0, over=GASL(beta="fixed"), alpha=0.3), draws="step"),
        Setting(method=Attention(strength=0.06, over=L1(), granularity="weight")),
        Setting(
            method=Attention(strength=2e-3, over=L0(drop_rate=0.25), scope="filter"), optimizer=own_fast, draws="step"
        ),
    ),
    "bayesian_compression": (
        Setting(
            method=BayesianCompression(strength=0.01, log_variance=-6.0, threshold=0.5),
            optimizer=apart(0.002, 0.03),
            draws="example",
        ),
        Setting(
            method=BayesianCompression(strength=0.01, prior="horseshoe", log_variance=-4.0, threshold=-1.5),
            optimizer=apart(0.002, 0.08),
            draws="example",
        ),
    ),
    "depgraph_norm": (Setting(method=DepGraphNorm(strength=0.3, fraction=0.4, cut_at=30), off=NO_CUT),),
    "gasl": (
        Setting(method=GASL(strength=1.2), draws="step"),
        Setting(method=GASL(strength=1.0, beta="fresh", scope="filter"), draws="step"),
        Setting(method=GASL(strength=0.02, inverse="log", step="loss"), draws="step", exact=False),
    ),
    "group_lasso": (
        Setting(method=GroupLasso(strength=1.7)),
        Setting(method=GroupLasso(strength=1.7, scope="filter", linear="out")),
        Setting(method=GroupLasso(strength=1.7, scope="channel")),
        Setting(method=GroupLasso(strength=0.5, scope="shape", normalise=False)),
        Setting(method=GroupLasso(strength=10.0, scope="depth"), refused=WITHOUT_SHORTCUT),
    ),
    "l0": (
        Setting(method=L0(strength=2e-3, drop_rate=0.25), optimizer=own_fast, draws="step"),
        Setting(method=L0(strength=1e-3, drop_rate=0.25, scope="coupled", decay=0.1), optimizer=own_fast, draws="step"),
        Setting(method=L0(strength=4e-3, drop_rate=0.1, granularity="weight"), optimizer=own_fast, draws="step"),
    ),
    "l1": (Setting(method=L1(strength=0.06)),),
    "magnitude_pruning": (
        Setting(method=MagnitudePruning(density=0.3, every=8), off={"start": 1000}),
        Setting(method=MagnitudePruning(granularity="unit", density=0.8, start=4, rounds=1), off={"start": 1000}),
        Setting(method=MagnitudePruning(pattern="1:2", start=4, every=4, rounds=2), off={"start": 1000}),
    ),
    "network_slimming": (
        Setting(method=NetworkSlimming(strength=0.6), refused=WITHOUT_BATCH_NORM),
        Setting(method=NetworkSlimming(strength=0.01, fraction=0.4, cut_at=20), off=NO_CUT, refused=WITHOUT_BATCH_NORM),
    ),
    "sparse_vd": (
        Setting(  # a weight that starts with little noise is not dead at once, however small it is
            method=SparseVD(strength=0.003, log_variance=-22.0, threshold=-2.0, clip=40.0),
            optimizer=apart(0.02, 0.45),
            draws="example",
        ),
    ),
    "structured_attention": (
        Setting(method=StructuredAttention(strength=1.0)),
        Setting(method=StructuredAttention(strength=0.3, step="loss"), exact=False),
    ),
    "structured_bp": (Setting(method=StructuredBP(strength=3e-3, log_sigma=-2.0), optimizer=own_fast, draws="step"),),
}


@dataclass(frozen=True)
class Case:
    """One setting on one network."""

    name: str
    setting: Setting
    network: str

    def __str__(self) -> str:
        return f"{self.name}-{self.network}"


CASES = [
    Case(f"{name}{'' if len(settings) == 1 else i}", setting, network)
    for name, settings in ROWS.items()
    for i, setting in enumerate(settings)
    for network in (FURTHER if i else NETWORKS)
]


def cases(*networks: str) -> list[Case]:
    """Every setting on these networks, or on all, where it works."""
    return [c for c in CASES if c.network in (networks or NETWORKS) and c.network not in c.setting.refused]


def every_case(*networks: str) -> pytest.MarkDecorator:
    """Run a test on :func:`cases`; on two networks where more would only take longer."""
    return pytest.mark.parametrize("case", cases(*networks), ids=str)

"""Removing dead units: what is dead, the plan, carrying it out, and the proof that nothing changed."""

from gasl.removal.liveness import Liveness, liveness
from gasl.removal.plan import Fold, Plan, plan
from gasl.removal.result import AxisSparsity, Removal
from gasl.removal.shrink import shrink, shrink_
from gasl.structure.gather import GatherLinear

__all__ = [
    "AxisSparsity",
    "Fold",
    "GatherLinear",
    "Liveness",
    "Plan",
    "Removal",
    "liveness",
    "plan",
    "shrink",
    "shrink_",
]

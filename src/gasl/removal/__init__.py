"""Removing dead units: what is dead, the plan, carrying it out, and the proof that nothing changed."""

from gasl.removal.liveness import Liveness, liveness
from gasl.removal.plan import Fold, Plan, plan
from gasl.removal.shrink import AxisSparsity, Removal, shrink
from gasl.structure.gather import GatherLinear

__all__ = ["AxisSparsity", "Fold", "GatherLinear", "Liveness", "Plan", "Removal", "liveness", "plan", "shrink"]

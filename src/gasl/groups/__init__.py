"""What of a network is made sparse together: units, single weights, columns or whole layers, and where gates go."""

from gasl.groups.units import UnitGroups
from gasl.groups.weights import WeightGroups

__all__ = ["UnitGroups", "WeightGroups"]

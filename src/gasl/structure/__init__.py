"""What a network is made of: axes, members, what is protected and why."""

from gasl.structure.affine import Affine
from gasl.structure.axes import Axis, Member, Protected, Structure
from gasl.structure.inputs import ExampleInputs
from gasl.structure.trace import trace

__all__ = ["Affine", "Axis", "ExampleInputs", "Member", "Protected", "Structure", "trace"]

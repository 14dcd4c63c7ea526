"""A method at work on a network: ``gasl.Sparsifier``, driven from the user's own training loop."""

from gasl.sparsifier.driver import Sparsifier
from gasl.sparsifier.reached import Reached
from gasl.sparsifier.target import Target

__all__ = ["Reached", "Sparsifier", "Target"]

"""A method at work on a network: ``gasl.Sparsifier``, driven from the user's own training loop."""

from gasl.sparsifier.driver import Sparsifier

__all__ = ["Sparsifier"]

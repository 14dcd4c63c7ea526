"""Runs: a typed description in, a record out."""

from gasl.experiments.networks import factory, network
from gasl.experiments.spec import RunSpec, demo_spec

__all__ = ["RunSpec", "demo_spec", "factory", "network"]

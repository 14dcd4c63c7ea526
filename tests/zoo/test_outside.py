"""A network outside the rules is never pruned wrongly, and never refused: what cannot be followed is protected."""

import pytest
import torch

import gasl
from gasl.removal.verify import largest_difference
from zoo.kill import kill
from zoo.outside import FEATURES, MAPS, network


@pytest.mark.parametrize("name", [*FEATURES, *(f"maps: {name}" for name in MAPS)])
def test_exact_or_protected(name):
    for seed, batch in enumerate((5, 3, 12)):  # twelve is also the width
        model, x = network(name, batch)
        structure = gasl.trace(model, x)
        kill(model, structure, seed=seed)
        small, removal = gasl.shrink(model, x)
        assert removal.max_rel_diff <= 1e-10
        fresh = 2 * torch.randn_like(x)
        assert largest_difference(model(fresh), small(fresh)) <= 1e-10
        by_name = {axis.name for axis in structure.axes} | {p.name for p in structure.protected}
        assert "first" in {name.partition(".")[0] for name in by_name}
        assert all(p.reason for p in structure.protected)

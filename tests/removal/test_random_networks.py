"""Removal against brute force on random networks: nothing changes, and nothing dead is left behind."""

import copy
import random

import pytest
import torch

from gasl.removal import liveness, shrink
from gasl.structure.trace import trace
from removal.networks import brute_force_dead, damage, random_network

SEEDS = range(120)


def tensors_of(model):
    return dict(model.named_parameters()) | dict(model.named_buffers())


def network(seed):
    torch.manual_seed(seed)
    rng = random.Random(seed)
    model, x = random_network(rng)
    damage(model, rng)
    return model, x


@pytest.mark.parametrize("gather", [True, False])
def test_no_output_changes_and_the_original_stays(gather):
    for seed in SEEDS:
        model, x = network(seed)
        before = copy.deepcopy(model.state_dict())
        small, removal = shrink(model, x, gather=gather)
        assert removal.max_rel_diff <= 1e-10
        fresh = 3 * torch.randn(4, *x.shape[1:], dtype=torch.float64)
        torch.testing.assert_close(small(fresh), model(fresh), rtol=1e-10, atol=1e-12)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        sizes = {name: p.numel() for name, p in model.named_parameters()}
        assert all(p.numel() <= sizes[name] for name, p in small.named_parameters() if name in sizes)


def last_of_a_tensor(axis, unit, kept):
    return any(unit in m.units and int(kept[m.units[m.units >= 0]].sum()) == 1 for m in axis.members)


def test_nothing_that_brute_force_finds_dead_is_left_behind():
    removed = 0
    for seed in SEEDS:
        model, x = network(seed)
        structure = trace(model, x)
        live = liveness(tensors_of(model), structure)
        for axis in structure.axes:
            if axis.kind == "width":
                many = 4 * torch.randn(32, *x.shape[1:], dtype=torch.float64)
                dead = brute_force_dead(model, many, axis)
                kept = live.kept[axis.name]
                for unit in (kept & dead).nonzero().flatten().tolist():
                    assert last_of_a_tensor(axis, unit, kept), (seed, axis.name, kept, dead)
                removed += int((~kept).sum())
    assert removed > 300  # the test is about something


def test_a_second_removal_finds_a_fixed_point():
    for seed in range(60):
        model, x = network(seed)
        small, _ = shrink(model, x)
        smaller, _ = shrink(small, x)
        smallest, again = shrink(smaller, x)
        assert [p.shape for p in smallest.parameters()] == [p.shape for p in smaller.parameters()]
        torch.testing.assert_close(smaller(x), model(x), rtol=1e-10, atol=1e-12)
        assert all(before == after for before, after in again.widths.values())

"""The zoo's own tools: they see what they are there to see."""

import os

import pytest
import torch
from torch import nn

import gasl
from gasl.removal.verify import largest_difference
from gasl.structure.running import named_tensors
from zoo.entry import Entry
from zoo.floors import FLOORS
from zoo.harness import drawn, examine, outputs_of, prepared
from zoo.kill import kill, silence
from zoo.redraw import influence
from zoo.registry import WHOLE, ZOO
from zoo.shares import core_weights, left, removable_share

FEW = ("se-resnet", "lstm", "vit-fused")
NAMES = list(FLOORS) if os.environ.get("GASL_ZOO") == "all" else FEW


def test_the_zoo_is_large_and_every_network_has_a_floor():
    assert len(ZOO) >= 80
    assert sum(name.startswith("hf-") for name in ZOO) >= 40
    assert set(ZOO) - set(FLOORS) == set(WHOLE)
    assert max(floor.left for floor in FLOORS.values()) < 0.9  # protecting everything leaves 1


@pytest.mark.parametrize("name", NAMES)
def test_no_unit_of_a_small_network_can_go_unnoticed(name):
    """What the influence says by derivatives, by doing it: without any one unit the outputs are others."""
    entry = ZOO[name]
    small = examine(entry).small
    inputs = drawn(entry, 48, entry.size, 3)
    structure, wanted = gasl.trace(small, drawn(entry, 2, entry.size, 1)), outputs_of(small, inputs)
    felt = influence(small, structure, inputs)
    tensors = named_tensors(small)
    for axis in structure.axes:
        kept = {m.tensor: tensors[m.tensor].clone() for m in axis.members}
        for unit in felt[axis.name].isfinite().nonzero().flatten().tolist():
            silence(small, axis, [unit])
            assert largest_difference(wanted, outputs_of(small, inputs)) > 1e-3, (axis.name, unit)
            with torch.no_grad():
                for tensor, value in kept.items():
                    tensors[tensor].copy_(value)


def mlp():
    return nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 3))


MLP = Entry("mlp", "plain", mlp, lambda batch, size: torch.randn(batch, 6), 1)


def test_half_of_the_units_are_killed_and_the_rest_is_felt():
    model = prepared(MLP)
    structure = gasl.trace(model, drawn(MLP, 2, 1, 1))
    assert {name: len(dead) for name, dead in kill(model, structure).items()} == {"0.in": 3, "0": 5, "2": 4}
    felt = influence(model, structure, drawn(MLP, 64, 1, 3))
    assert {name: int(v.isinf().sum()) for name, v in felt.items()} == {"0.in": 3, "0": 5, "2": 4}
    assert min(float(v.min()) for v in felt.values()) > 1e-3
    with torch.no_grad():
        model[4].weight[:, structure.axis("2").members[0].units[felt["2"].isfinite()][0]] = 0  # nobody reads it
    assert float(influence(model, structure, drawn(MLP, 64, 1, 3))["2"].min()) == 0


def test_shares():
    model = mlp()
    structure = gasl.trace(model, torch.zeros(2, 6))
    assert core_weights(model, "^[02]") == ["0.weight", "2.weight"]
    assert removable_share(model, structure) == 182 / 185  # all but the last bias
    assert left(nn.Linear(2, 2), nn.Linear(3, 2)) == 6 / 8
    protected = nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4), nn.Linear(4, 4, bias=False))
    structure = gasl.trace(protected, torch.zeros(2, 6))
    assert removable_share(protected, structure, ["0.weight", "2.weight"]) == 24 / 40  # by the inputs of the first


def test_a_network_that_is_protected_whole_fails():
    entry = Entry(
        "sorted", "none", lambda: nn.Sequential(nn.Linear(6, 8), nn.Softmax(1), nn.LayerNorm(8)), MLP.inputs, 1
    )
    result = examine(entry)
    assert result.left > 0.5
    assert result.share == 1  # by the features of the input alone


def test_weights_are_drawn_without_zeros_and_alike():
    one, two = (prepared(ZOO["vgg-bn"]) for _ in range(2))
    for (name, a), b in zip(one.named_parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
        assert bool((a != 0).all()), name

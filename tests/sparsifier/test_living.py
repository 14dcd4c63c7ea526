"""Which unit is the next to die."""

import pytest
import torch
from torch import nn

import gasl
from gasl.methods import L0
from gasl.sparsifier.living import alive_units, weakest
from gasl.sparsifier.look import Look


def network():
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))


@torch.no_grad()
def test_the_next_to_die_comes_first_and_the_dead_are_left_out():
    model = network()
    for layer, norms in ((model[0], [3.0, 1.0, 2.0, 0.0, 1.0]), (model[2], [0.0] * 5)):
        layer.weight.zero_()
        layer.bias.zero_()
        rows = layer.weight[:, 0] if layer is model[0] else layer.weight[0]
        rows.copy_(torch.tensor(norms))
    sparsifier = gasl.Sparsifier(model, gasl.GASL(), torch.zeros(2, 4))
    whole = Look.now(network(), torch.zeros(2, 4))
    live = whole.without({"0": [2]}).live
    found = weakest(sparsifier.groups, sparsifier.state, live)
    assert found["0"] == [1, 4, 0]
    assert found["0.in"] == [0]
    assert alive_units(sparsifier.groups, sparsifier.state, live) == {"0.in": 1, "0": 4}  # by their own weights


@torch.no_grad()
def gated(log_alpha):
    """L0 with a gate on each hidden unit, and a floor of 3 of them."""
    model = network()
    sparsifier = gasl.Sparsifier(model, L0(strength=0.0), torch.zeros(2, 4), min_units=3, protect=["0.in"])
    (axis,) = (i for i, site in enumerate(sparsifier.posterior.units) if site.name == "0")
    for parameter in sparsifier.posterior.at("0").parameters():
        parameter.copy_(torch.tensor(log_alpha))
    return sparsifier, axis


def test_units_that_a_floor_holds_with_their_gates_shut_can_die():
    sparsifier, _ = gated([-9.0, -7.0, -8.0, -6.0, 3.0])
    live = Look.now(sparsifier.folded(), torch.zeros(2, 4)).live
    assert weakest(sparsifier.groups, sparsifier.state, live)["0"] == [1, 3, 4]


@pytest.mark.parametrize("opened", [False, True])
def test_a_floor_holds_the_units_that_are_there_and_no_others(opened):
    sparsifier, axis = gated([-9.0, -7.0, -8.0, 3.0 if opened else -6.0, -5.0])
    posterior = sparsifier.posterior
    posterior.there[axis] = torch.tensor([True, True, True, False, False])
    assert (posterior.test(axis) != 0).tolist() == [True, True, True, opened, False]  # an open gate is open
    live = Look.now(network(), torch.zeros(2, 4)).without({"0": [3, 4]}).live
    assert alive_units(sparsifier.groups, sparsifier.state, live)["0"] == 3
    saved = posterior.extra_state()
    posterior.there = [torch.ones_like(there) for there in posterior.there]
    assert (posterior.test(axis) != 0).tolist() == [False, True, False, True, True]
    posterior.load_extra_state(saved)
    assert (posterior.test(axis) != 0).tolist() == [True, True, True, opened, False]

"""Targets of networks that have lost units already, that a method cannot meet, and of parts that are rounded."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import gasl
from gasl.errors import InputError

x = torch.randn(64, 20, generator=torch.Generator().manual_seed(0))
y = (x[:, 0] + x[:, 1] > 0).long()


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2))


def attached(model, target, method=None):
    sparsifier = gasl.Sparsifier(model, method or gasl.GASL(), x[:2], target=target)
    return sparsifier, torch.optim.SGD(sparsifier.param_groups(), lr=0.1)


def train(model, sparsifier, optimizer, steps):
    for _ in range(steps):
        loss = cross_entropy(model(x), y)
        loss = loss + sparsifier.penalty(loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sparsifier.step(optimizer)


@pytest.mark.parametrize("wanted", [{"macs": 0.02}, {"sparsity": 0.9}, {"sparsity": {"0": 0.9, "2": 0.5}}])
@pytest.mark.parametrize("first", ["weights", "sparsifier"])
def test_a_run_goes_on_whichever_is_made_first(wanted, first):
    target = gasl.Target(**wanted, steps=100)
    model = network(0)
    sparsifier, optimizer = attached(model, target)
    train(model, sparsifier, optimizer, 90)
    saved = copy.deepcopy((model.state_dict(), sparsifier.state_dict(), optimizer.state_dict()))
    train(model, sparsifier, optimizer, 60)
    again = network(1)
    if first == "weights":
        again.load_state_dict(saved[0])
    resumed, second = attached(again, target)
    again.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    second.load_state_dict(saved[2])
    train(again, resumed, second, 60)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    assert resumed.reached == sparsifier.reached


def test_without_a_state_what_cannot_be_met_is_refused_at_the_first_step():
    target = gasl.Target(macs=0.02)
    with pytest.raises(InputError, match="cannot be met"):
        attached(network(0), gasl.Target(macs=0.001))
    model = network(0)
    with torch.no_grad():
        for axis in gasl.trace(model, x[:2]).axes:
            axis.zero_(range(axis.size - 2), readers=True, within=dict(model.named_parameters()))
    sparsifier, optimizer = attached(model, target)
    with pytest.raises(InputError, match="cannot be met"):
        train(model, sparsifier, optimizer, 1)


def test_axes_that_are_there_already():
    model = network(0)
    gasl.trace(model, x[:2]).axis("0").zero_(range(40), readers=True, within=dict(model.named_parameters()))
    sparsifier, optimizer = attached(model, gasl.Target(sparsity={"0": 0.5}))
    train(model, sparsifier, optimizer, 5)
    assert sparsifier.reached.met
    assert sparsifier.finish()[0].out_features == 24


@pytest.mark.parametrize("kind", ["params", "sparsity"])
def test_a_method_that_can_remove_nothing_says_so_and_kills_no_more_than_it_may(kind):
    """A filter that is zero emits a constant that padding cuts off at the border, so it has to stay."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sigmoid(), nn.Conv2d(8, 4, 3, padding=1))
    images = torch.randn(8, 3, 9, 9)
    target = gasl.Target(**{kind: 0.5}, steps=100)
    sparsifier = gasl.Sparsifier(model, gasl.GroupLasso(scope="filter"), images, target=target, min_units=2)
    optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.1)
    for _ in range(150):
        loss = model(images).square().mean()
        loss = loss + sparsifier.penalty(loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sparsifier.step(optimizer)
    assert not sparsifier.reached.met
    assert int(model[0].weight.flatten(1).any(1).sum()) >= 2


@pytest.mark.parametrize("goal", [0.3, 0.4, 0.5, 0.77, 0.9])
def test_parts_of_each_layer_are_rounded_and_the_whole_is_met(goal):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 7), nn.ReLU(), nn.Linear(7, 9), nn.ReLU(), nn.Linear(9, 2))
    sparsifier, optimizer = attached(model, gasl.Target(sparsity=goal, steps=50), gasl.MagnitudePruning())
    train(model, sparsifier, optimizer, 60)
    weights = [p for p in model.parameters() if p.ndim > 1]
    zeros, whole = sum(int((w == 0).sum()) for w in weights), sum(w.numel() for w in weights)
    assert goal * whole - 1e-6 <= zeros <= goal * whole + len(weights)
    assert sparsifier.reached.met

"""A short training from start to finish: units die, the smaller network is the same function, the numbers agree."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import gasl
from gasl.errors import InputError
from gasl.models import LeNet5
from sparsifier.nets import batchnorm, examples, same, setup, sgd, task, train, weights


def digits(n=64):
    """Ten classes of blurred noise: enough to be learned in seconds."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.rand(10, 1, 28, 28, generator=generator)
    labels = torch.arange(n) % 10
    return patterns[labels] + 0.1 * torch.randn(n, 1, 28, 28, generator=generator), labels


@pytest.mark.parametrize(("scope", "strength"), [("filter", 2.0), ("coupled", 3.0)])
def test_lenet_trains_shrinks_and_agrees(scope, strength):
    model = LeNet5()
    x, y = digits()
    sparsifier = gasl.Sparsifier(model, gasl.GASL(strength=0.0, scope=scope), x[:2], min_units={"conv1": 2})
    optimizer = sgd(sparsifier, lr=0.02, momentum=0.9)
    first = float(cross_entropy(model(x), y).detach())
    for turn in range(150):
        if turn == 40:
            sparsifier.strength = strength
        if turn == 110:
            sparsifier.freeze()
        loss = cross_entropy(model(x), y) + sparsifier.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sparsifier.step(optimizer)
    counted = sparsifier.sparsity()
    small = sparsifier.finish()
    removal = sparsifier.removal
    assert float(cross_entropy(small(x), y).detach()) < first / 2
    torch.testing.assert_close(small(x), model(x), rtol=1e-4, atol=1e-4)
    assert removal.max_rel_diff <= 1e-5
    assert counted == list(removal.axes)
    widths = removal.widths
    assert {name: before for name, (before, _) in widths.items()} == {
        "conv1": 20,
        "conv2": 50,
        "fc1.in": 800,
        "fc1": 500,
    }
    assert widths["conv1"][1] >= 2
    assert widths["conv2"][1] < 50
    assert widths["fc1.in"][1] < 800
    assert scope == "coupled" or widths["fc1"][1] < 500
    assert (small.conv1.out_channels, small.conv2.out_channels) == (widths["conv1"][1], widths["conv2"][1])
    assert (small.fc1.in_features, small.fc1.out_features) == (widths["fc1.in"][1], widths["fc1"][1])
    for axis in counted:
        assert axis.alive <= axis.alive_own <= axis.size
        assert axis.sparsity_own == pytest.approx(100 * (1 - axis.alive_own / axis.size))
        assert axis.sparsity_propagated == pytest.approx(100 * (1 - axis.alive / axis.size))
        assert f"{axis.sparsity_propagated:.1f}%" in str(removal)


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("scope", ["filter", "coupled"])
def test_units_that_die_before_a_batch_norm_emit_exactly_nothing(scope, padding):
    model = batchnorm(padding)
    with torch.no_grad():
        for norm in (model[1], model[4]):
            norm.bias.fill_(0.3)
    x, _ = task(model)
    sparsifier = gasl.Sparsifier(model, gasl.GASL(strength=2.0, scope=scope), examples(model), min_units=2)
    train(model, sparsifier, sgd(sparsifier, momentum=0.9), 60)
    model.eval()
    for at, (conv, norm) in enumerate(((0, 1), (3, 4))):
        dead = (model[conv].weight == 0).flatten(1).all(1)
        assert 0 < int(dead.sum()) <= dead.numel() - 2, at
        assert (model[: norm + 1](x)[:, dead] == 0).all()
        assert (model[norm].weight[dead] == 0).all()
        assert (model[norm].weight[~dead] != 0).all()
    small = sparsifier.finish()
    assert small[0].out_channels < 6
    assert small[3].out_channels < 5
    torch.testing.assert_close(small(x), model(x))
    assert isinstance(small[1], nn.BatchNorm2d)
    assert small[1].num_features == small[0].out_channels


def test_units_that_die_before_a_padded_layer_lose_their_bias():
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3, padding=1), nn.Flatten(), nn.Linear(144, 3))
    with torch.no_grad():
        model[0].bias.fill_(0.3)
    x, _ = task(model)
    method = gasl.GroupLasso(strength=3.0, scope="filter")
    sparsifier = gasl.Sparsifier(model, method, x[:2], protect=["2", "4.in"], min_units=2)
    train(model, sparsifier, sgd(sparsifier), 60)
    dead = (model[0].weight == 0).flatten(1).all(1)
    assert int(dead.sum()) == 4
    assert (model[0].bias[dead] == 0).all()
    small = sparsifier.finish()
    assert small[0].out_channels == 2
    torch.testing.assert_close(small(x), model(x))


@pytest.mark.parametrize("attached", [True, False])
def test_a_network_that_was_cut_in_place_needs_a_new_sparsifier(attached):
    model, sparsifier, optimizer = setup(gasl.GASL(strength=0.5))
    if attached:
        sparsifier.attach(optimizer)
    train(model, sparsifier, optimizer, 60, attached=attached)
    removal = gasl.shrink_(model, examples(model), optimizer=optimizer)
    assert removal.widths["0"][1] < 8
    before = weights(model)
    with pytest.raises(InputError, match=r"other sizes than when this sparsifier was made.*detach\(\) it"):
        train(model, sparsifier, optimizer, 1, attached=attached)
    with pytest.raises(InputError, match="other sizes"):
        sparsifier.freeze()
    assert same(before, weights(model))
    small = sparsifier.finish()
    assert [tuple(p.shape) for p in small.parameters()] == [tuple(p.shape) for p in model.parameters()]
    again = gasl.Sparsifier(model, gasl.GASL(strength=0.1), examples(model))
    train(model, again, optimizer, 5)

"""A target is met to within a hundredth or one unit, by exact zeros, and then nothing dies any more."""

import copy
import math
import re

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import gasl
from gasl.errors import InputError
from gasl.measure import count_macs
from gasl.methods import L0


def network(kind, dtype=torch.float32):
    torch.manual_seed(1)
    if kind == "mlp":
        layers = [nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 3)]
    else:
        layers = [nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Conv2d(16, 24, 3), nn.BatchNorm2d(24), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3)]
    return nn.Sequential(*layers).to(dtype)


def data(kind, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((256, 20) if kind == "mlp" else (256, 1, 8, 8), generator=generator).to(dtype)
    flat = x.flatten(1)
    return x, (flat[:, 0] + flat[:, 1] * flat[:, 2] > 0).long() + (flat[:, 3] > 0).long()


def train(model, sparsifier, optimizer, steps, kind):
    x, y = data(kind, next(model.parameters()).dtype)
    for step in range(steps):
        batch = slice(64 * (step % 4), 64 * (step % 4) + 64)
        loss = cross_entropy(model(x[batch]), y[batch]) + sparsifier.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sparsifier.step(optimizer)


def share(kind, removal, model, small, x):
    if kind == "params":
        counts = [sum(p.numel() for p in m.parameters()) for m in (small, model)]
    elif kind == "macs":
        counts = [count_macs(m, x[:1]).total for m in (small, model)]
    else:
        counts = [sum(after for _, after in removal.widths.values()), sum(size for size, _ in removal.widths.values())]
    return counts[0] / counts[1]


@pytest.mark.parametrize(
    ("net", "method", "kind", "value"),
    [
        ("mlp", gasl.GASL(), "params", 0.25),
        ("mlp", gasl.GroupLasso(scope="filter"), "macs", 0.4),
        ("mlp", gasl.StructuredAttention(strength=3.0), "sparsity", 0.7),
        ("conv", gasl.GASL(), "sparsity", 0.7),
        ("conv", gasl.NetworkSlimming(strength=0.01), "params", 0.5),
        ("conv", gasl.StructuredAttention(strength=3.0), "macs", 0.4),
        ("mlp", gasl.DepGraphNorm(), "macs", 0.4),
        ("conv", gasl.MagnitudePruning(granularity="unit"), "params", 0.4),
        ("mlp", gasl.Attention(over=gasl.DepGraphNorm()), "macs", 0.4),
        ("conv", gasl.Attention(over=gasl.NetworkSlimming(), scope="scale", strength=0.01), "params", 0.5),
    ],
)
def test_it_is_met(net, method, kind, value):
    model = network(net)
    x = data(net)[0]
    sparsifier = gasl.Sparsifier(model, method, x[:2], target=gasl.Target(**{kind: value}, steps=300))
    optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.05, momentum=0.9)
    train(model, sparsifier, optimizer, 600, net)
    before = {axis.name: axis.alive for axis in sparsifier.sparsity()}
    train(model, sparsifier, optimizer, 20, net)
    assert {axis.name: axis.alive for axis in sparsifier.sparsity()} == before
    assert sparsifier.penalty() == 0
    now = sparsifier.reached
    small = sparsifier.finish()
    wanted = 1 - value if kind == "sparsity" else value
    found = share("units" if kind == "sparsity" else kind, sparsifier.removal, model, small, x)
    assert found <= wanted + 1e-9
    assert now == sparsifier.reached
    assert (now.asked, now.left, now.met) == (pytest.approx(wanted), pytest.approx(found), True)
    assert 0 < now.step <= 600
    # With one unit more on an axis of a units, no weight count grows by more than (1 + 1/a)^2.
    assert found >= wanted - 0.01 or found * max((1 + 1 / count) ** 2 for count in before.values()) > wanted
    assert min(before.values()) >= 1


@pytest.mark.parametrize(("method", "goal"), [(gasl.GASL(), 0.45), (gasl.GroupLasso(), 0.35)])
def test_a_wide_unit_goes_before_all_narrow_ones(method, goal):
    """Maps of the first layer take a fifth each: the linear layers could make up, with little left, or could not."""
    torch.manual_seed(1)
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    model, x = nn.Sequential(*layers, nn.Linear(72, 40), nn.ReLU(), nn.Linear(40, 3)), data("conv")[0]
    sparsifier = gasl.Sparsifier(model, method, x[:2], target=gasl.Target(macs=goal, steps=200), protect=["2"])
    train(model, sparsifier, torch.optim.SGD(sparsifier.param_groups(), lr=0.05, momentum=0.9), 500, "conv")
    alive = {axis.name: axis.alive for axis in sparsifier.sparsity()}
    assert sparsifier.reached.met
    assert alive["0"] == 1
    assert alive["6.in"] > 36
    assert alive["6"] > 20


@pytest.mark.parametrize(
    ("method", "goal", "words"),
    [
        (gasl.GASL(), {"params": 0.5}, "target params=0.5 not met: a share of 1 is left"),
        (gasl.GASL(), {"sparsity": {"0": 0.5}}, r"target sparsity=\{'0': 0.5\} not met: a share of 1 is still to go"),
        (gasl.L1(), {"sparsity": 0.5}, "target sparsity=0.5 not met: a share of (1|0.99.*) is left"),
    ],
)
def test_a_target_that_was_not_met_says_so(method, goal, words):
    model = network("mlp")
    sparsifier = gasl.Sparsifier(model, method, data("mlp")[0][:2], target=gasl.Target(**goal))
    train(model, sparsifier, torch.optim.SGD(model.parameters(), lr=0.05), 10, "mlp")
    sparsifier.finish()
    assert not sparsifier.reached.met
    assert sparsifier.reached.step is None
    assert re.fullmatch(words, str(sparsifier.reached))


def test_there_is_nothing_to_reach_without_a_target():
    sparsifier = gasl.Sparsifier(network("mlp"), gasl.GASL(strength=0.1), torch.zeros(2, 20))
    sparsifier.finish()
    assert sparsifier.reached is None


def test_axes_by_name():
    model = network("mlp")
    target = gasl.Target(sparsity={"0": 0.75, "2": 0.5}, steps=300)
    sparsifier = gasl.Sparsifier(model, gasl.GroupLasso(scope="filter"), data("mlp")[0][:2], target=target)
    optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.05, momentum=0.9)
    train(model, sparsifier, optimizer, 600, "mlp")
    assert {axis.name: axis.alive for axis in sparsifier.sparsity()} == {"0.in": 20, "0": 10, "2": 15}
    assert "met: the axes have what was asked for, from step" in str(sparsifier.reached)


@pytest.mark.parametrize("method", [gasl.MagnitudePruning(granularity="unit"), gasl.GASL()])
def test_axes_by_name_whatever_the_method(method):
    model = network("mlp")
    target = gasl.Target(sparsity={"0.in": 0.33, "2": 0.9}, steps=300)
    sparsifier = gasl.Sparsifier(model, method, data("mlp")[0][:2], target=target)
    optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.05, momentum=0.9)
    train(model, sparsifier, optimizer, 600, "mlp")
    assert {axis.name: axis.alive for axis in sparsifier.sparsity()} == {"0.in": 13, "0": 40, "2": 3}


def test_what_is_overdue_dies_though_attention_spares_it():
    """With 37 of 40 units dead, all three that live are above the mean: their own rate is 0."""
    model = network("mlp")
    target = gasl.Target(sparsity={"0": 0.95}, steps=200)
    method = gasl.StructuredAttention(alpha=10.0)
    sparsifier = gasl.Sparsifier(model, method, data("mlp")[0][:2], target=target)
    optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.05, momentum=0.9)
    train(model, sparsifier, optimizer, 600, "mlp")
    assert {axis.name: axis.alive for axis in sparsifier.sparsity()} == {"0.in": 20, "0": 2, "2": 30}


ATTENTION_L1 = gasl.Attention(over=gasl.L1(), granularity="weight")


@pytest.mark.parametrize(
    "method", [gasl.L1(strength=1e-3), ATTENTION_L1, gasl.MagnitudePruning(), gasl.SparseVD(strength=1e-4)]
)
def test_single_weights_meet_it(method):
    model = network("mlp")
    sparsifier = gasl.Sparsifier(model, method, data("mlp")[0][:2], target=gasl.Target(sparsity=0.7, steps=400))
    groups = sparsifier.param_groups()
    groups[-1]["lr"] = 0.03
    adam = isinstance(method, gasl.SparseVD)
    optimizer = torch.optim.Adam(groups) if adam else torch.optim.SGD(groups, lr=0.05, momentum=0.9)
    for _ in range(2):  # it is met, and then nothing changes
        train(model, sparsifier, optimizer, 600, "mlp")
        weights = [p for p in sparsifier.folded().parameters() if p.ndim > 1]
        left = sum(int(w.count_nonzero()) for w in weights) / sum(w.numel() for w in weights)
        assert 0.29 <= left <= 0.3
        assert sparsifier.reached.left == pytest.approx(left)
        assert sparsifier.reached.met


@pytest.mark.parametrize(
    "method",
    [gasl.L1(strength=10.0), gasl.Attention(over=gasl.L1(), granularity="weight", strength=10.0)],
    ids=["L1", "attention"],
)
def test_as_many_single_weights_stay_as_are_wanted_whatever_the_strength(method):
    model = network("mlp")
    sparsifier = gasl.Sparsifier(model, method, data("mlp")[0][:2], target=gasl.Target(sparsity=0.7, steps=400))
    optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.05, momentum=0.9)
    train(model, sparsifier, optimizer, 4, "mlp")
    weights = [p for p in model.parameters() if p.ndim > 1]
    assert sum(int(w.count_nonzero()) for w in weights) == int(0.3 * sum(w.numel() for w in weights))
    assert sparsifier.reached.met


@pytest.mark.parametrize(
    ("over", "words"),
    [
        (gasl.L1(), {"granularity": "weight"}),
        (gasl.L0(), {"scope": "filter"}),
        (gasl.DepGraphNorm(), {}),
        (gasl.GroupLasso(), {}),
    ],
)
def test_attention_begins_with_the_strength_of_what_it_is_over(over, words):
    method = gasl.Attention(over=over, **words)
    alone, both = (
        gasl.Sparsifier(network("mlp"), one, torch.zeros(2, 20), target=gasl.Target(sparsity=0.5))
        for one in (over, method)
    )
    assert both.strength == alone.strength == over.usual_strength
    assert type(both.controller) is type(alone.controller)


def test_a_strength_that_is_too_high_kills_no_more_than_asked():
    model = network("mlp")
    method = gasl.GroupLasso(strength=50.0)
    sparsifier = gasl.Sparsifier(model, method, data("mlp")[0][:2], target=gasl.Target(sparsity=0.5, steps=300))
    optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.05, momentum=0.9)
    train(model, sparsifier, optimizer, 40, "mlp")
    assert 45 <= sum(axis.alive for axis in sparsifier.sparsity()) < 60


def test_an_input_that_died_stays_dead_while_others_are_to_die():
    """Its gradient is not 0: it would come back in the next step."""
    model = network("mlp")
    target = gasl.Target(sparsity={"0.in": 0.5, "2": 0.9}, steps=300)
    sparsifier = gasl.Sparsifier(model, gasl.GASL(), data("mlp")[0][:2], target=target)
    optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.05, momentum=0.9)
    dead = torch.zeros(20, dtype=torch.bool)
    for _ in range(60):
        train(model, sparsifier, optimizer, 5, "mlp")
        now = (model[0].weight == 0).all(0)
        assert not (dead & ~now).any()
        dead = now
    assert int(dead.sum()) == 10


@pytest.mark.parametrize(
    "method", [L0(strength=1e-4), gasl.Attention(over=L0(), scope="filter", step="loss", strength=1e-4)]
)
def test_gates_meet_it_too(method):
    model = network("mlp")
    x = data("mlp")[0]
    sparsifier = gasl.Sparsifier(model, method, x[:2], target=gasl.Target(sparsity=0.6, steps=300))
    optimizer = torch.optim.Adam(sparsifier.param_groups(), lr=0.02)
    train(model, sparsifier, optimizer, 600, "mlp")
    alive = sum(axis.alive for axis in sparsifier.sparsity())
    assert 0.39 * 90 - 1 <= alive <= 0.4 * 90
    model.eval()
    with torch.no_grad():
        out = model(x)
        torch.testing.assert_close(sparsifier.finish()(x), out, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", [L0(strength=1e-4), gasl.SparseVD(strength=1e-4)])
def test_slow_gates_are_not_pushed_without_end(method):
    """They move as their optimizer lets them; a strength that grew all the while would take them all at once."""
    model = network("mlp")
    sparsifier = gasl.Sparsifier(model, method, data("mlp")[0][:2], target=gasl.Target(sparsity=0.6, steps=10))
    train(model, sparsifier, torch.optim.Adam(sparsifier.param_groups(), lr=1e-9), 500, "mlp")
    assert not sparsifier.reached.met
    assert 1e-4 * 20 < sparsifier.strength < 1.01e-4 * 20 * math.exp(6)


AXES = {"sparsity": {"0": 0.7, "0.in": 0.5}}


@pytest.mark.parametrize(
    ("method", "goal"),
    [
        (gasl.GASL(), {"params": 0.3}),
        (gasl.GASL(), AXES),
        (gasl.L0(strength=1e-3), {"params": 0.3}),
        (gasl.DepGraphNorm(), {"macs": 0.3}),
        (gasl.MagnitudePruning(), {"sparsity": 0.8}),
    ],
)
@pytest.mark.parametrize("early", [False, True])  # whether the weights are there before the sparsifier is made
def test_a_run_goes_on_to_the_bit(method, goal, early):
    def made(tensors=None):
        model = network("mlp", torch.float64)
        model.load_state_dict(tensors or {}, strict=False)
        sparsifier = gasl.Sparsifier(model, method, data("mlp")[0][:2], target=gasl.Target(**goal, steps=300))
        return model, sparsifier, torch.optim.SGD(sparsifier.param_groups(), lr=0.05, momentum=0.9)

    model, sparsifier, optimizer = made()
    train(model, sparsifier, optimizer, 161, "mlp")
    kept = copy.deepcopy((model.state_dict(), optimizer.state_dict(), sparsifier.state_dict()))
    train(model, sparsifier, optimizer, 100, "mlp")
    other, again, fresh = made(kept[0] if early else None)
    other.load_state_dict(kept[0])
    fresh.load_state_dict(kept[1])
    again.load_state_dict(kept[2])
    assert again.state_dict()["control"].get("costs") == kept[2]["control"].get("costs")  # still in use
    train(other, again, fresh, 100, "mlp")
    assert again.strength == sparsifier.strength
    assert again.reached == sparsifier.reached
    assert [axis.alive for axis in again.sparsity()] == [axis.alive for axis in sparsifier.sparsity()]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(
    ("method", "target", "message"),
    [
        (gasl.GASL(), {"params": 1e-4}, r"cannot be met: with 3 units left.*params are at 0.00"),
        (gasl.GASL(scope="filter", linear="out"), {"sparsity": {"0.in": 0.5, "0": 0.5}}, "0.in keeps 20 units, not 10"),
        (gasl.GroupLasso(scope="filter", linear="out"), {"sparsity": 0.9}, "with 22 units left.*units are at 0.244"),
        (gasl.GASL(), {"sparsity": {"nowhere": 0.5}}, r"names \['nowhere'\]"),
        (gasl.GASL(step="loss"), {"params": 0.5}, "needs a method that makes units exactly zero"),
        (gasl.L1(), {"params": 0.5}, "single weights have one target"),
        (gasl.L1(), {"sparsity": {"0.weight": 0.5}}, "single weights have one target"),
        (gasl.L1(), {"sparsity": 0.999}, r"of 2090 weights 3 stay, one in each layer.*sparsity=0.998565 at most"),
        (gasl.MagnitudePruning(), {"sparsity": 0.9999}, "of 2090 weights 3 stay"),
        (gasl.GASL(scope="shape"), {"sparsity": 0.97}, "of 90 weights 3 stay"),
        (gasl.GASL(), {"latency_ms": 1e-4, "device": "cuda:77"}, "cannot be measured on 'cuda:77' here"),
        (gasl.DepGraphNorm(fraction=0.5, cut_at=9), {"params": 0.5}, "leave out its fraction=0.5, cut_at=9"),
        (gasl.Attention(over=gasl.DepGraphNorm(fraction=0.5, cut_at=9)), {"params": 0.5}, "leave out its fraction"),
        (gasl.MagnitudePruning(density=0.5), {"sparsity": 0.5}, "leave out its density=0.5"),
        (gasl.MagnitudePruning(quality=1.0), {"sparsity": 0.5}, "leave out its quality=1.0"),
        (gasl.MagnitudePruning(pattern="2:4"), {"sparsity": 0.5}, "leave out its pattern='2:4'"),
    ],
)
def test_what_cannot_be_met_is_refused(method, target, message):
    with pytest.raises(InputError, match=message):
        gasl.Sparsifier(network("mlp"), method, torch.zeros(2, 20), target=gasl.Target(**target))


def test_floors_and_protection_count():
    with pytest.raises(InputError, match="cannot be met"):
        gasl.Sparsifier(network("mlp"), gasl.GASL(), torch.zeros(2, 20), target=gasl.Target(params=0.3), protect=["0"])
    with pytest.raises(InputError, match="cannot be met"):
        gasl.Sparsifier(network("mlp"), gasl.GASL(), torch.zeros(2, 20), target=gasl.Target(params=0.3), min_units=25)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "got none"),
        ({"params": 0.5, "macs": 0.5}, "got macs and params"),
        ({"params": 0.0}, "params must lie between 0 and 1, got 0.0"),
        ({"sparsity": {"conv1": 1.5}}, "conv1 must lie between 0 and 1, got 1.5"),
        ({"macs": float("nan")}, "macs must lie between"),
        ({"macs": 0.5, "steps": 0}, "steps must be at least 1"),
        ({"latency_ms": 1.0, "device": "gpux"}, "device must be one that PyTorch knows.*got 'gpux'"),
        ({"latency_ms": -1.0}, "latency_ms must be positive"),
        ({"latency_ms": 1.0, "batch": 0}, "batch must be at least 1"),
    ],
)
def test_a_target_that_means_nothing_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        gasl.Target(**fields)

"""A latency is met to within a tenth, whatever the clock does: with clocks that the tests set."""

import pytest
import torch
from torch import nn

import gasl
from gasl.errors import InputError
from gasl.measure import Latency
from gasl.methods import L0
from gasl.sparsifier.allowed import allowed
from gasl.sparsifier.last import last_units
from gasl.sparsifier.look import Look
from gasl.sparsifier.share import Share
from sparsifier.test_target import data, network, train


def test_milliseconds(monkeypatch):
    """With a clock that knows how many parameters it times, and is fooled now and then."""
    asked = []

    def clock(models, example_inputs, *, batch, threads, seconds):
        asked.append((batch, threads, seconds))
        luck = 0.3 if len(asked) % 11 == 0 and seconds < 1 else 1.0
        times = {name: 1e-3 * sum(p.numel() for p in model.parameters()) for name, model in models.items()}
        times |= {"small": luck * times["small"]} if "small" in times else {}
        return {n: Latency(1.1 * t, t, 1.2 * t, batch, threads, 5, "clock") for n, t in times.items()}

    monkeypatch.setattr("gasl.sparsifier.share.measure_latency", clock)
    model, x = network("mlp"), data("mlp")[0]
    whole = sum(p.numel() for p in model.parameters())
    with pytest.raises(InputError, match=r"takes 2.16 ms as it is"):
        gasl.Sparsifier(model, gasl.GASL(), x[:2], target=gasl.Target(latency_ms=5.0))
    with pytest.raises(InputError, match=r"cannot be met.*a pass takes 0.01 ms of 2.16"):
        gasl.Sparsifier(model, gasl.GASL(), x[:2], target=gasl.Target(latency_ms=1e-3))
    target = gasl.Target(latency_ms=0.5e-3 * whole, batch=32, threads=2, steps=300)
    before = len(asked)
    sparsifier = gasl.Sparsifier(model, gasl.GASL(), x[:2], target=target)
    optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.05, momentum=0.9)
    train(model, sparsifier, optimizer, 600, "mlp")
    small = sparsifier.finish()
    assert 0.45 < sum(p.numel() for p in small.parameters()) / whole <= 0.5
    assert {(batch, threads) for batch, threads, _ in asked[before:]} == {(32, 2)}
    left = sum(p.numel() for p in small.parameters())
    reached = sparsifier.reached
    assert reached.milliseconds == pytest.approx((1.1e-3 * whole, 1.1e-3 * left))  # the medians, of the last look
    assert reached.met
    assert reached.left == pytest.approx(left / whole)
    assert asked[-1][2] >= 1
    assert " ms, the whole network 2.38 ms, at batch 32, 2 threads, cpu, from step" in str(reached)


@pytest.mark.parametrize("fixed", [0.0, 0.6])
def test_milliseconds_that_fall_by_leaps(monkeypatch, fixed):
    """Widths count as the next multiple of 4, and a part of the time is there whatever the widths."""
    model, x = network("mlp"), data("mlp")[0]

    def time(net):
        widths = [-(-m.in_features // 4) * -(-m.out_features // 4) for m in net.modules() if type(m) is nn.Linear]
        return sum(widths)

    whole = time(model)

    def clock(models, example_inputs, *, batch, threads, seconds):
        times = {name: fixed + (1 - fixed) * time(net) / whole for name, net in models.items()}
        return {name: Latency(t, t, t, batch, threads, 5, "clock") for name, t in times.items()}

    monkeypatch.setattr("gasl.sparsifier.share.measure_latency", clock)
    goal = fixed + (1 - fixed) * 0.4
    target = gasl.Target(latency_ms=goal, steps=300)
    sparsifier = gasl.Sparsifier(model, gasl.GASL(), x[:2], target=target)
    # What is there whatever the widths takes no part in what may go: 1 - 0.4^(1/3) of each axis.
    assert sparsifier.groups.floors == [pytest.approx(0.4 ** (1 / 3) * m, abs=1.1) for m in (20, 40, 30)]
    train(model, sparsifier, torch.optim.SGD(sparsifier.param_groups(), lr=0.05, momentum=0.9), 600, "mlp")
    sparsifier.finish()
    assert sparsifier.reached.step is not None
    assert 0.9 * goal <= sparsifier.reached.left <= goal + 1e-9


@pytest.mark.parametrize(
    "method", [gasl.GASL(), gasl.MagnitudePruning(granularity="unit"), L0(strength=1e-4)], ids=["gasl", "cut", "gates"]
)
def test_one_unit_that_takes_a_latency_far_below_its_goal(monkeypatch, method):
    """A quarter of the time goes with the unit 37 of one layer, and one with the unit 27 of the next."""
    model, x = network("mlp"), data("mlp")[0]

    def clock(models, example_inputs, *, batch, threads, seconds):
        times = {}
        for name, net in models.items():
            layers = [module for module in net.modules() if type(module) is nn.Linear]
            time = 0.5 * sum(layer.weight.numel() for layer in layers) / 2090
            times[name] = time + 0.25 * (layers[0].out_features > 36) + 0.25 * (layers[1].out_features > 26)
        return {name: Latency(t, t, t, batch, threads, 5, "clock") for name, t in times.items()}

    monkeypatch.setattr("gasl.sparsifier.share.measure_latency", clock)
    target = gasl.Target(latency_ms=0.57, steps=300)
    sparsifier = gasl.Sparsifier(model, method, x[:2], target=target, protect=["0.in"])
    gated = isinstance(method, L0)
    optimizer = torch.optim.Adam if gated else torch.optim.SGD
    train(model, sparsifier, optimizer(sparsifier.param_groups(), lr=0.02 if gated else 0.05), 900, "mlp")
    sparsifier.finish()
    assert sparsifier.reached.step is not None
    assert 0.9 * 0.57 <= sparsifier.reached.left <= 1.1 * 0.57


def test_a_reading_of_the_whole_network_while_the_machine_is_busy_does_not_count(monkeypatch):
    readings = iter([4.0, 2.0, 3.0])

    def clock(models, example_inputs, *, batch, threads, seconds):
        t = next(readings, 2.0)
        return {name: Latency(t, t if name == "whole" else 1e-3, t, batch, threads, 5, "clock") for name in models}

    monkeypatch.setattr("gasl.sparsifier.share.measure_latency", clock)
    sparsifier = gasl.Sparsifier(
        network("mlp"), gasl.GASL(), torch.zeros(2, 20), target=gasl.Target(latency_ms=1.0, steps=300)
    )
    assert sparsifier.reached.asked == 0.5


@pytest.mark.parametrize(("goal", "last"), [(0.95, None), (0.9, ("2", 1))])
def test_where_every_unit_leaps_the_last_one_goes_only_from_far_above(monkeypatch, goal, last):
    """Without a unit of the first layer half of the time is left, without one of the second 0.6."""
    model, x = network("mlp"), data("mlp")[0][:2]

    def clock(models, example_inputs, *, batch, threads, seconds):
        layers = {name: [m for m in net.modules() if type(m) is nn.Linear] for name, net in models.items()}
        times = {
            n: 0.5 if a.out_features < 40 else 0.6 if b.out_features < 30 else 1 for n, (a, b, _) in layers.items()
        }
        return {name: Latency(t, t, t, batch, threads, 5, "clock") for name, t in times.items()}

    monkeypatch.setattr("gasl.sparsifier.share.measure_latency", clock)
    whole = Look.now(model, x)
    share = Share(gasl.Target(latency_ms=goal), whole, x, {})
    assert last_units(share, whole, share(whole), {"0": range(9), "2": range(5), "0.in": []}) == last


def test_gates_that_a_floor_holds_shut_wait_for_their_turn_too(monkeypatch):
    """All gates are shut, floors hold what is left, and the next unit of the first layer takes half of the time."""
    model, x = network("mlp"), data("mlp")[0][:2]

    def clock(models, example_inputs, *, batch, threads, seconds):
        layers = {name: [m for m in net.modules() if type(m) is nn.Linear] for name, net in models.items()}
        times = {n: 0.5 * (a.out_features > 39) + b.out_features / 60 for n, (a, b, _) in layers.items()}
        return {name: Latency(t, t, t, batch, threads, 5, "clock") for name, t in times.items()}

    monkeypatch.setattr("gasl.sparsifier.share.measure_latency", clock)
    target = gasl.Target(latency_ms=0.8, steps=300)
    sparsifier = gasl.Sparsifier(model, L0(strength=0.0), x, target=target, protect=["0.in"])
    for parameter in sparsifier.posterior.parameters():
        torch.nn.init.constant_(parameter, -9.0)
    for step in range(5, 905, 5):
        sparsifier.state.step = step
        done = sparsifier.controller.check(sparsifier.groups, sparsifier.state)
        with torch.no_grad():  # scores move a little in each step
            for parameter in sparsifier.posterior.parameters():
                parameter.copy_(torch.randperm(parameter.numel()) * 0.1 - 9.0)
        if done:
            break
    assert done
    assert {axis.name: axis.alive for axis in sparsifier.sparsity()} == {"0.in": 20, "0": 40, "2": 18}


def test_of_each_axis_a_unit_may_go_before_the_next_look(monkeypatch):
    """And not only of wide ones, which would be eaten up; but none where each takes the latency far below."""
    model, x = network("mlp"), data("mlp")[0][:2]

    def clock(models, example_inputs, *, batch, threads, seconds):
        widths = {n: [m.out_features for m in net.modules() if type(m) is nn.Linear] for n, net in models.items()}
        times = {n: 0.9 + 0.09 * (a == 40) + 0.01 * b / 30 for n, (a, b, _) in widths.items()}
        return {name: Latency(t, t, t, batch, threads, 5, "clock") for name, t in times.items()}

    monkeypatch.setattr("gasl.sparsifier.share.measure_latency", clock)
    whole = Look.now(model, x)
    units, floors = {"0": range(40), "2": range(30)}, {"0": 1, "2": 1}
    near, far = (Share(gasl.Target(latency_ms=goal), whole, x, {}) for goal in (0.94, 0.995))
    assert allowed(far, whole, 1.0, floors, units) == {"0": 0, "2": 0}
    assert allowed(near, whole, 1.0, floors, units) == {"0": 1, "2": 1}


def test_a_gate_that_opens_again_lets_no_second_unit_go(monkeypatch):
    """A unit has gone and is back; one may go at the next look, and with two half of the time."""
    model, x = network("mlp"), data("mlp")[0][:2]

    def clock(models, example_inputs, *, batch, threads, seconds):
        widths = {n: next(m.out_features for m in net.modules() if type(m) is nn.Linear) for n, net in models.items()}
        times = {n: 0.5 * (width >= 39) + width / 80 for n, width in widths.items()}
        return {name: Latency(t, t, t, batch, threads, 5, "clock") for name, t in times.items()}

    monkeypatch.setattr("gasl.sparsifier.share.measure_latency", clock)
    target = gasl.Target(latency_ms=0.8, steps=300)
    sparsifier = gasl.Sparsifier(model, L0(strength=0.0), x, target=target, protect=["0.in", "2"])
    (gates,) = sparsifier.posterior.parameters()
    torch.nn.init.constant_(gates, -9.0)
    (there,) = sparsifier.posterior.there
    sparsifier.posterior.floors, there[0] = [39], False
    assert sparsifier.sparsity()[1].alive == 39
    with torch.no_grad():
        gates[0] = 3.0
    assert sparsifier.sparsity()[1].alive == 40
    sparsifier.state.step = 5
    assert not sparsifier.controller.check(sparsifier.groups, sparsifier.state)
    assert sparsifier.sparsity()[1].alive == 39

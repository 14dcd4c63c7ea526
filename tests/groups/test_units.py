"""Groups of units and of weights: what they own, their norms, and the closed-form step on all of them at once."""

import pytest
import torch
from torch import nn

from gasl.errors import InputError
from gasl.groups.floors import Floors
from gasl.groups.membership import group_followers, group_members
from gasl.groups.units import UnitGroups
from gasl.groups.weights import WeightGroups
from gasl.maths import group_norms
from gasl.models import LeNet5
from gasl.structure.trace import trace


def lenet():
    model = LeNet5().double()
    return model, trace(model, torch.zeros(1, 1, 28, 28, dtype=torch.float64))


def normed():
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 1)).double()
    return model, trace(model, torch.zeros(1, 2, 5, 5, dtype=torch.float64))


def chain():
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.Conv2d(5, 3, 1))
    return model.double(), trace(model, torch.zeros(1, 2, 7, 7, dtype=torch.float64))


def groups_of(model, structure, scope="coupled", linear="in", **options):
    return UnitGroups(dict(model.named_parameters()), structure.axes, scope, linear, **options)


def members(axis, scope, linear="in"):
    return {(m.tensor, m.dim) for m in group_members(axis, scope, linear)}


def test_what_a_group_is():
    _, structure = lenet()
    assert members(structure.axis("conv1"), "filter") == {("conv1.weight", 0)}
    assert members(structure.axis("fc1"), "filter") == {("fc2.weight", 1)}
    assert members(structure.axis("fc1"), "filter", "out") == {("fc1.weight", 0)}
    assert members(structure.axis("fc1.in"), "filter") == {("fc1.weight", 1)}
    assert members(structure.axis("fc1.in"), "coupled", "out") == set()
    assert members(structure.axis("conv2"), "coupled") == {("conv2.weight", 0), ("conv2.bias", 0), ("fc1.weight", 1)}
    assert {m.tensor for m in group_followers(structure.axis("conv2"), "filter", "in")} == {"conv2.bias"}
    assert group_followers(structure.axis("conv2"), "coupled", "in") == ()


def test_norms_of_every_axis_by_hand():
    model, structure = lenet()
    norms = dict(zip(groups_of(model, structure).names, groups_of(model, structure).norms(), strict=True))
    w, b, f = model.conv2.weight, model.conv2.bias, model.fc1.weight.view(500, 50, 16)
    for unit in (0, 7, 49):  # a map feeds 16 columns of fc1
        expected = (w[unit].square().sum() + b[unit] ** 2 + f[:, unit].square().sum()).sqrt()
        torch.testing.assert_close(norms["conv2"][unit], expected)
    torch.testing.assert_close(norms["fc1.in"], group_norms(model.fc1.weight, 1))


def test_a_group_without_weights_has_slope_zero():
    model, structure = normed()
    axis = structure.axis("0")
    with torch.no_grad():
        for m in axis.members:
            if m.role != "statistic":
                model.get_parameter(m.tensor).select(m.dim, 1).zero_()
    groups_of(model, structure).norms()[0].sum().backward()
    for m in axis.members:
        if m.role != "statistic":
            grad = model.get_parameter(m.tensor).grad
            assert grad.isfinite().all()
            assert (grad.select(m.dim, 1) == 0).all()


def shrunk_by_hand(model, structure, rates, lr):
    """Element by element: the factors of all groups a weight lies in, at norms read before."""
    tensors = {name: p.detach() for name, p in model.named_parameters()}
    factors = {name: [torch.ones_like(t), torch.ones_like(t)] for name, t in tensors.items()}  # shrink, 1 + growth
    with torch.no_grad():
        all_norms = groups_of(model, structure).norms()
    for axis, norms, rate in zip(structure.axes, all_norms, rates, strict=True):
        for unit in range(axis.size):
            for m in group_members(axis, "coupled", "in"):
                factor = max(0.0, 1 - lr[m.tensor] * float(rate[unit]) / float(norms[unit]))
                for index in (m.units == unit).nonzero()[:, 0].tolist():
                    factors[m.tensor][0].select(m.dim, index).mul_(min(factor, 1))
                    factors[m.tensor][1].select(m.dim, index).add_(max(factor - 1, 0))
    return {name: tensors[name] * shrink * growth for name, (shrink, growth) in factors.items()}


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("lowest", [0.0, -1.0])  # negative rates push up
def test_one_step_on_overlapping_groups_equals_the_loop_over_elements(memory_format, lowest):
    model, structure = chain()
    assert len(structure.axes) == 2
    model.to(memory_format=memory_format)
    lr = {name: 0.1 * (1 + i % 2) for i, (name, _) in enumerate(model.named_parameters())}
    rates = [lowest + 4 * torch.rand(axis.size, dtype=torch.float64) for axis in structure.axes]
    expected = shrunk_by_hand(model, structure, rates, lr)
    by_id = {id(p): lr[name] for name, p in model.named_parameters()}
    groups_of(model, structure).shrink_(rates, lambda tensor: by_id[id(tensor)])
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), expected[name], rtol=1e-12, atol=1e-15)


def test_the_order_of_the_axes_does_not_matter():
    results = []
    for turn in (1, -1):
        torch.manual_seed(1)
        model, structure = lenet()
        axes = structure.axes[::turn]
        rates = [torch.linspace(0, 3, axis.size, dtype=torch.float64) for axis in axes]
        groups = UnitGroups(dict(model.named_parameters()), axes, "coupled", "in")
        groups.shrink_(rates, lambda _: 0.2)
        results.append([p.detach().clone() for p in model.parameters()])
        assert any((n == 0).any() for n in groups.norms())
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-13, atol=0)
        assert torch.equal(one == 0, other == 0)


@pytest.mark.parametrize("scope", ["filter", "coupled"])
def test_what_the_step_leaves_is_known_and_forgotten_when_a_weight_changes(scope):
    model, structure = lenet()
    groups = groups_of(model, structure, scope)
    assert groups.known is None
    groups.shrink_([0.3 * torch.rand(axis.size, dtype=torch.float64) for axis in groups.axes], lambda _: 0.3)
    with torch.no_grad():
        known = groups.known
        assert all(a is b for a, b in zip(groups.norms(), known, strict=True))
    for norms, want in zip(known, groups.norms(), strict=True):  # under autograd they are read
        assert want.requires_grad
        torch.testing.assert_close(norms, want.detach(), rtol=1e-12, atol=0)
        assert torch.equal(norms == 0, want == 0)
    with torch.no_grad():
        model.fc1.weight.add_(1)
        assert groups.known is None
        torch.testing.assert_close(groups.norms()[-1], groups_of(model, structure, scope).norms()[-1])


def test_the_step_reads_weights_that_changed_unseen():
    model, structure = lenet()
    groups = groups_of(model, structure, "filter")
    none = [torch.zeros(axis.size, dtype=torch.float64) for axis in groups.axes]
    groups.shrink_(none, lambda _: 0.1)
    model.conv1.weight.data.mul_(1e-3)  # leaves no trace in the version
    rates = [torch.ones(axis.size, dtype=torch.float64) for axis in groups.axes]
    groups.shrink_(rates, lambda _: 0.1)
    assert (model.conv1.weight == 0).all()


@pytest.mark.parametrize("scope", ["filter", "coupled"])
def test_dust_becomes_zero_whatever_the_rate(scope):
    model = LeNet5()
    structure = trace(model, torch.zeros(1, 1, 28, 28))
    with torch.no_grad():
        for m in structure.axis("conv2").members:
            model.get_parameter(m.tensor)[(slice(None),) * m.dim + (m.units == 3,)] = 1e-25
    groups = groups_of(model, structure, scope, min_units=[1] * len(structure.axes))
    groups.shrink_([torch.zeros(axis.size) for axis in groups.axes], lambda _: 0.1)
    for m in group_members(structure.axis("conv2"), scope, "in"):
        assert (model.get_parameter(m.tensor)[(slice(None),) * m.dim + (m.units == 3,)] == 0).all()
    assert (model.conv2.weight[4] != 0).all()


def test_dead_units_of_a_silenced_axis_lose_scale_and_shift_and_others_nothing():
    model, structure = normed()
    with torch.no_grad():
        model[0].bias.fill_(1.0)
        model[0].weight[2] = 0
    groups = groups_of(model, structure, "filter", silenced=frozenset({"0"}))
    groups.shrink_([torch.zeros(axis.size, dtype=torch.float64) for axis in groups.axes], lambda _: 0.1)
    assert model[1].weight.tolist() == model[0].bias.tolist() == [1.0, 1.0, 0.0, 1.0]


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(2, 4, 1), nn.Conv2d(2, 4, 1), nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x):
        return self.c(self.a(x) + self.b(x))


def test_a_unit_is_dead_when_all_its_tensors_are_not_when_one_had_a_longer_step():
    model = Tied().double()
    structure = trace(model, torch.zeros(1, 2, 5, 5, dtype=torch.float64))
    groups = groups_of(model, structure, "filter", silenced=frozenset({"a"}))
    rates = [torch.ones(axis.size, dtype=torch.float64) for axis in groups.axes]
    groups.shrink_(rates, lambda tensor: 1e9 if tensor is model.a.weight else 0.0)
    assert (model.a.weight == 0).all()
    assert (model.b.weight != 0).all()
    assert (model.a.bias != 0).all()
    groups.shrink_(rates, lambda _: 1e9)
    assert (model.a.bias == 0).all()
    assert (model.b.bias == 0).all()


def test_no_weight_is_touched_when_a_learning_rate_is_missing():
    model, structure = lenet()
    before = [p.detach().clone() for p in model.parameters()]

    def lr(tensor):
        if tensor is model.fc2.weight:
            raise InputError("none")
        return 0.1

    groups = groups_of(model, structure)
    with pytest.raises(InputError):
        groups.shrink_([torch.ones(axis.size, dtype=torch.float64) for axis in groups.axes], lr)
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


def test_clearing_sets_the_groups_of_the_dead_to_zero_and_no_other_weight():
    model, structure = lenet()
    before = model.conv1.weight.detach().clone()
    groups = groups_of(model, structure)
    groups.clear_([torch.arange(axis.size) == (2 if axis.name == "conv1" else -1) for axis in groups.axes])
    assert [int(d.sum()) for d in groups.dead()] == [1 if name == "conv1" else 0 for name in groups.names]
    assert torch.equal(model.conv1.weight[3:], before[3:])
    assert (model.conv2.weight[:, 2] == 0).all()


def test_floors_by_hand():
    norms = [torch.tensor([1.0, 3.0, 2.0, 0.0]), torch.tensor([1.0, 0.0, 1.0]), torch.tensor([0.5])]
    high = [torch.full_like(n, 100.0) for n in norms]
    assert [f.tolist() for f in Floors([4, 3, 1], [2, 1, 0]).factors(norms, high, 1.0)] == [
        [0.0, 1.0, 1.0, 0.0],  # the two largest
        [1.0, 0.0, 1.0],  # equals are spared together
        [0.0],  # no floor
    ]
    low = [torch.full_like(n, 0.5) for n in norms]
    assert [f.tolist() for f in Floors([4, 3, 1], [3, 2, 1]).factors(norms, low, 1.0)] == [
        [1.0, 1.0, 1.0, 0.0],  # no more than the floor is left: not shrunk at all
        [1.0, 0.0, 1.0],
        [1.0],
    ]
    one = Floors([4, 3, 1], [1, 1, 1]).factors(norms, low, 1.0)[0].tolist()
    assert one == pytest.approx([0.5, 1 - 0.5 / 3, 0.75, 0.0])
    all_alive = Floors([2], [2]).factors([torch.tensor([1.0, 2.0])], [torch.full((2,), 0.5)], 1.0)
    assert all_alive[0].tolist() == [1.0, 1.0]


def test_single_weights_are_soft_thresholded():
    weight = torch.tensor([[-2.0, 0.5], [1e-30, 3.0]])
    groups = WeightGroups({"w": weight})
    groups.shrink_([torch.ones(4)], lambda _: 1.0)
    torch.testing.assert_close(weight, torch.tensor([[-1.0, 0.0], [0.0, 2.0]]))
    assert groups.dead()[0].tolist() == [False, True, True, False]
    groups.clear_([torch.tensor([True, True, True, False])])
    torch.testing.assert_close(weight, torch.tensor([[0.0, 0.0], [0.0, 2.0]]))
    with pytest.raises(InputError, match="no weight to group"):
        WeightGroups({})


def test_channels_are_what_reads_a_unit():
    _, structure = lenet()
    assert members(structure.axis("conv1"), "channel") == {("conv2.weight", 1)}
    assert members(structure.axis("conv2"), "channel") == {("fc1.weight", 1)}
    assert members(structure.axis("fc1"), "channel", "out") == {("fc2.weight", 1)}
    assert members(structure.axis("fc1.in"), "channel", "out") == {("fc1.weight", 1)}
    assert {m.tensor for m in group_followers(structure.axis("conv2"), "channel", "in")} == {"conv2.bias"}


def test_scales_are_those_of_the_norm_behind_a_layer():
    _, structure = chain()
    assert members(structure.axis("0"), "scale") == {("1.weight", 0)}
    assert {m.tensor for m in group_followers(structure.axis("0"), "scale", "in")} == {"0.bias", "1.bias"}
    assert members(structure.axis("3"), "scale") == set()
    _, structure = lenet()
    assert all(not group_members(axis, "scale", "in") for axis in structure.axes)


@pytest.mark.parametrize("between", ["identity", "relu"])
def test_a_scale_that_another_reader_precedes_measures_nothing(between):
    class Split(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.last = nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1)

        def forward(self, x):
            x = self.conv(x)
            return self.last(self.norm(x) + x if between == "identity" else self.norm(x.relu()))

    structure = trace(Split(), torch.zeros(1, 2, 5, 5))
    assert members(structure.axis("conv"), "scale") == set()


def test_a_layer_that_also_writes_without_its_norm_has_no_scale():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.enter, self.layer, self.norm = nn.Linear(3, 4), nn.Linear(4, 5), nn.BatchNorm1d(5)
            self.last = nn.Linear(5, 2)

        def forward(self, x):
            x = self.enter(x)
            return self.last(self.norm(self.layer(x)) + self.layer(x))

    structure = trace(Twice(), torch.zeros(2, 3))
    assert members(structure.axis("layer"), "scale") == set()

"""Where multipliers of units go: multiplying the carriers is multiplying what the readers see, once."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from gasl.groups.selection import unit_floors
from gasl.groups.sites import carriers, sites
from gasl.models import MLP, LeNet5, ResNet18
from gasl.structure.trace import trace


def places(model, example, linear="in", bare=False):
    structure = trace(model, example)
    return {axis.name: [(m.tensor, m.dim) for m in carriers(axis, structure, linear, bare)] for axis in structure.axes}


class Mobile(nn.Module):
    def __init__(self):
        super().__init__()
        self.expand, self.norm1 = nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6)
        self.depth, self.norm2 = nn.Conv2d(6, 6, 3, groups=6), nn.BatchNorm2d(6)
        self.project = nn.Conv2d(6, 4, 1)

    def forward(self, x):
        return self.project(F.relu(self.norm2(self.depth(F.relu(self.norm1(self.expand(x)))))))


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(3, 8, bias=False)
        self.norm = nn.RMSNorm(8)
        self.up, self.gate, self.down = (nn.Linear(*size, bias=False) for size in ((8, 12), (8, 12), (12, 8)))
        self.last = nn.RMSNorm(8)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        h = self.embed(x)
        y = self.norm(h)
        h = h + self.down(F.silu(self.gate(y)) * self.up(y))
        return self.head(self.last(h))


def test_lenet():
    assert places(LeNet5(), torch.zeros(2, 1, 28, 28)) == {
        "conv1": [("conv1.weight", 0), ("conv1.bias", 0)],
        "conv2": [("conv2.weight", 0), ("conv2.bias", 0)],
        "fc1.in": [("fc1.weight", 1)],
        "fc1": [("fc2.weight", 1)],
    }


def test_the_mlp_in_both_orientations():
    assert places(MLP(), torch.zeros(2, 1, 28, 28)) == {
        "fc1.in": [("fc1.weight", 1)],
        "fc1": [("fc2.weight", 1)],
        "fc2": [("fc3.weight", 1)],
    }
    assert places(MLP(), torch.zeros(2, 1, 28, 28), linear="out")["fc1"] == [("fc1.weight", 0), ("fc1.bias", 0)]


def test_behind_a_norm():
    found = places(ResNet18(width=0.125), torch.zeros(2, 3, 16, 16))
    assert found["layer1.0.conv1"] == [("layer1.0.bn1.weight", 0), ("layer1.0.bn1.bias", 0)]
    stream = {name for name, _ in found["conv1"]}
    assert {"bn1.weight", "bn1.bias", "layer1.0.bn2.weight", "layer1.1.bn2.bias"} <= stream
    assert not any("conv" in name for name in stream)


def test_a_depthwise_convolution_is_not_multiplied_twice():
    assert places(Mobile(), torch.zeros(2, 3, 6, 6)) == {"expand": [("project.weight", 1)]}


def test_a_norm_without_a_scale_hides_what_it_follows():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, affine=False), nn.Conv2d(4, 2, 3))
    assert places(model, torch.zeros(2, 1, 8, 8)) == {"0": [("2.weight", 1)]}
    model[1] = nn.InstanceNorm2d(4)
    structure = trace(model, torch.zeros(2, 1, 8, 8))
    floors = unit_floors(1, structure)
    found = sites(model, structure, "filter", "in", floors, structure.axes, {})
    assert [units.place for units in found.units[0].carriers] == [("2.weight", 1)]


def test_a_root_mean_square_sees_the_unit_itself():
    found = places(Gated(), torch.zeros(2, 3))
    assert found["embed"] == [("embed.weight", 0), ("down.weight", 0)]
    assert found["gate"] == [("down.weight", 1)]


@pytest.mark.parametrize("scope", ["filter", "coupled"])
def test_weights_that_a_unit_governs(scope):
    model = LeNet5()
    structure = trace(model, torch.zeros(2, 1, 28, 28))
    floors = unit_floors({"conv1": 3}, structure)
    weights = {"conv1.weight": model.conv1.weight, "fc1.weight": model.fc1.weight}
    found = sites(model, structure, scope, "in", floors, structure.axes, weights)
    wanted = {"filter": [25, 500, 500, 10], "coupled": [25 + 1 + 50 * 25, 500 + 1 + 16 * 500, 500, 800 + 1 + 10]}
    assert [site.governed.unique().tolist() for site in found.units] == [[float(n)] for n in wanted[scope]]
    assert [site.floor for site in found.units] == [3, 1, 1, 1]
    assert [(layer.weight, layer.bias, layer.called, layer.entry, layer.fan_in) for layer in found.layers] == [
        ("conv1.weight", "conv1.bias", True, True, 25),
        ("fc1.weight", "fc1.bias", True, False, 800),
    ]


def test_weights_that_are_not_only_called_get_no_noise_on_outputs():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
            self.attend = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, x):
            x = self.two(F.relu(self.one(x)))
            return self.attend(x, x, F.linear(x, self.one.weight))[0]

    model = Twice()
    structure = trace(model, torch.zeros(2, 3, 4))
    weights = {n: p for n, p in model.named_parameters() if p.ndim == 2}
    found = sites(model, structure, "filter", "in", unit_floors(1, structure), structure.axes, weights)
    called = {layer.weight: layer.called for layer in found.layers}
    assert called == {
        "one.weight": False,
        "two.weight": True,
        "attend.in_proj_weight": False,
        "attend.out_proj.weight": False,
    }

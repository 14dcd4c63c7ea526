"""Convolutions in groups and transposed, and what shuffles, cuts and joins channels between them."""

import pytest
import torch
from torch import nn

from gasl.structure.trace import trace
from removal.halving import halved, removable
from structure.nets import Fn, axes_of, groups_of, image, reasons_of

Conv, Up = nn.Conv2d, nn.ConvTranspose2d


def around(*layers, inputs=8, outputs):
    """A convolution to ``inputs`` channels, the layers, and a convolution that reads ``outputs``."""
    return lambda: nn.Sequential(
        Conv(3, inputs, 3, padding=1), nn.ReLU(), *[make() for make in layers], nn.ReLU(), Conv(outputs, 2, 1)
    )


GROUPED = {  # name: (layers, channels in and out, axes)
    "groups": ([lambda: Conv(8, 12, 3, groups=4)], 8, 12, {"2.groups": 4, "0": 2, "2": 3}),
    "twice the same groups": (
        [lambda: Conv(8, 12, 3, groups=4), lambda: Conv(12, 8, 3, groups=4)],
        8, 8, {"2.groups": 4, "0": 2, "2": 3, "3": 2},
    ),
    "half as many groups behind": (
        [lambda: Conv(8, 12, 3, groups=4), lambda: Conv(12, 8, 3, groups=2)],
        8, 8, {"3.groups": 2, "0": 2, "2": 3, "3": 4},
    ),
    "one channel out of each": ([lambda: Conv(8, 4, 3, groups=4)], 8, 4, {"2.groups": 4, "0": 2}),
    "depthwise": ([lambda: Conv(8, 8, 3, groups=8, padding=1)], 8, 8, {"0": 8}),
    "depthwise with norm": (
        [lambda: Conv(8, 8, 3, groups=8, bias=False), lambda: nn.BatchNorm2d(8)], 8, 8, {"0": 8},
    ),
    "depthwise, two of each": ([lambda: Conv(8, 16, 3, groups=8)], 8, 16, {"2.groups": 8, "2": 2}),
    "transposed": ([lambda: Up(8, 6, 3, stride=2)], 8, 6, {"0": 8, "2": 6}),
    "transposed with norm": (
        [lambda: Up(8, 6, 2, bias=False), lambda: nn.BatchNorm2d(6)], 8, 6, {"0": 8, "2": 6},
    ),
    "transposed in groups": ([lambda: Up(8, 12, 3, groups=4)], 8, 12, {"2.groups": 4, "0": 2, "2": 3}),
    "transposed depthwise": ([lambda: Up(8, 8, 3, groups=8)], 8, 8, {"0": 8}),
    "transposed, two of each": ([lambda: Up(4, 8, 3, groups=4)], 4, 8, {"2.groups": 4, "2": 2}),
}  # fmt: skip


@pytest.mark.parametrize("name", GROUPED)
def test_groups_go_whole_and_so_does_the_same_place_of_each(name):
    layers, inputs, outputs, axes = GROUPED[name]
    make = around(*layers, inputs=inputs, outputs=outputs)
    assert removable(make, image) == axes
    assert axes_of(make(), image(1)) == axes


@pytest.mark.parametrize(("dims", "shape"), [(1, (3, 10)), (3, (3, 5, 4, 4))])
def test_groups_in_one_and_three_dimensions(dims, shape):
    conv, up = getattr(nn, f"Conv{dims}d"), getattr(nn, f"ConvTranspose{dims}d")

    def make():
        return nn.Sequential(
            conv(3, 8, 1), nn.ReLU(), conv(8, 12, 3, groups=4), nn.ReLU(), up(12, 6, 2, groups=2), nn.ReLU(),
            conv(6, 2, 1),
        )  # fmt: skip

    axes = removable(make, lambda batch: torch.randn(batch, *shape))
    assert axes == {"4.groups": 2, "0": 2, "2": 3, "4": 3}


def test_a_group_is_its_rows_and_the_channels_that_it_reads():
    model = around(lambda: Conv(8, 12, 3, groups=4), outputs=12)()
    axis = trace(model, image()).axis("2.groups")
    units = {f"{m.tensor}[{m.dim}]": m.units.tolist() for m in axis.members}
    assert units == {
        "0.weight[0]": [0, 0, 1, 1, 2, 2, 3, 3],
        "0.bias[0]": [0, 0, 1, 1, 2, 2, 3, 3],
        "2.weight[0]": [g for g in range(4) for _ in range(3)],
        "2.bias[0]": [g for g in range(4) for _ in range(3)],
        "4.weight[1]": [g for g in range(4) for _ in range(3)],
    }
    places = trace(model, image()).axis("0")
    assert next(m for m in places.members if m.tensor == "2.weight").dim == 1
    small, removal = halved(model, image)
    assert removal.plan.attributes == {"2.groups": 2}
    assert (small[2].groups, small[2].in_channels, small[2].out_channels) == (2, 2, 4)


def test_groups_that_read_the_input_are_protected():
    model = nn.Sequential(Conv(3, 6, 3, groups=3), nn.ReLU(), Conv(6, 2, 1))
    assert axes_of(model) == {}
    assert reasons_of(model)["0"] == "reads what no layer of the network makes"


# -- shuffles ----------------------------------------------------------------------------------------------------------


class Shuffle(nn.Module):
    def __init__(self, groups, form):
        super().__init__()
        self.groups, self.form = groups, form

    def forward(self, x):
        b, c, h, w = x.shape
        if self.form == "unflatten":
            return x.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)
        y = x.view(b, self.groups, c // self.groups, h, w).transpose(1, 2)
        return y.contiguous().view(b, -1, h, w) if self.form == "view" else y.reshape(b, c, h, w)


@pytest.mark.parametrize("form", ["unflatten", "view", "reshape"])
def test_a_shuffle_alone_is_a_grid(form):
    make = around(lambda: Shuffle(2, form), outputs=8)
    assert removable(make, image) == {"2.groups": 2, "0": 4}


@pytest.mark.parametrize("form", ["unflatten", "view", "reshape"])
def test_a_shuffle_between_groups_leaves_grids_on_both_sides(form):
    make = around(
        lambda: Conv(8, 8, 1, groups=4), lambda: Shuffle(4, form), lambda: Conv(8, 12, 3, groups=4), outputs=12
    )
    axes = removable(make, image)
    assert sorted(axes.values()) == [2, 2, 2, 2, 3]


# -- parts -------------------------------------------------------------------------------------------------------------


def test_a_gate_of_two_halves():
    def make():
        return Fn(
            lambda m, x: m.b((y := m.a(x).chunk(2, 1))[0] * y[1].sigmoid()), a=Conv(3, 12, 1), b=Conv(6, 2, 1)
        )  # fmt: skip

    assert removable(make, image) == {"a": 6}
    reader = next(m for m in trace(make(), image()).axis("a").members if m.tensor == "a.weight")
    assert reader.units.tolist() == [*range(6)] * 2


@pytest.mark.parametrize("sizes", [(3, 5), (4, 4)])
@pytest.mark.parametrize(
    ("cut", "pairs"),  # equal parts may be one number: then the same place of both goes
    [
        pytest.param(lambda m, x: x.split([m.first, m.second], 1), True, id="split"),
        pytest.param(lambda m, x: torch.split(x, (m.first, m.second), dim=1), True, id="torch.split"),
        pytest.param(lambda m, x: (x[:, : m.first], x[:, m.first :]), True, id="slices"),
        pytest.param(
            lambda m, x: (x.narrow(1, 0, m.first), x.narrow(1, m.first, m.second)),
            False,
            id="narrow",
        ),
    ],
)
def test_parts_whose_sizes_are_attributes(sizes, cut, pairs):
    def make():
        model = Fn(
            lambda m, x: m.out(torch.cat([m.left((y := cut(m, m.enter(x)))[0]), m.right(y[1])], 1)),
            enter=Conv(3, 8, 1), left=Conv(sizes[0], sizes[0], 1), right=Conv(sizes[1], sizes[1], 1), out=Conv(8, 2, 1),
        )  # fmt: skip
        model.first, model.second = sizes
        return model

    entered = 4 if pairs and sizes == (4, 4) else 8
    assert sorted(removable(make, image).values()) == sorted([*sizes, entered])


def test_a_branch_that_passes_half_the_channels_on():
    def forward(m, x):
        first, second = m.a(x).chunk(2, 1)
        return m.b(torch.cat([first, m.c(second)], 1).unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2))

    def make():
        return Fn(forward, a=Conv(3, 12, 1), c=Conv(6, 6, 3, padding=1), b=Conv(12, 2, 1))

    assert removable(make, image) == {"a": 6}
    assert "c.weight[0]" in groups_of(make())["a"]


# -- pixels ------------------------------------------------------------------------------------------------------------


def test_a_pixel_shuffle_makes_one_channel_of_four():
    make = around(lambda: Conv(8, 16, 1), lambda: nn.PixelShuffle(2), outputs=4)
    assert removable(make, image, damages=range(6)) == {"0": 8, "2": 4}


def test_a_pixel_unshuffle_makes_four_channels_of_one():
    make = around(lambda: nn.PixelUnshuffle(2), outputs=32)
    assert removable(make, image) == {"0": 8}
    reader = next(m for m in trace(make(), image()).axis("0").members if m.role == "consumer")
    assert reader.units.tolist() == [c for c in range(8) for _ in range(4)]

"""Norms over some channels: a group of a group norm goes whole, an instance norm keeps channels apart."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from gasl.removal import shrink
from gasl.structure.trace import trace
from removal.halving import halved, randomised, removable, same_outputs
from structure.nets import Fn, axes_of, groups_of, image, reasons_of

Conv = nn.Conv2d


def behind(*layers, width=8):
    """A convolution, the layers, and a convolution that reads them."""
    return lambda: nn.Sequential(Conv(3, width, 3), *[make() for make in layers], nn.ReLU(), Conv(width, 2, 1))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(("groups", "axes"), [(4, {"1.num_groups": 4}), (2, {"1.num_groups": 2}), (8, {"0": 8})])
def test_a_group_goes_whole(groups, axes, affine):
    make = behind(lambda: nn.GroupNorm(groups, 8, affine=affine))
    assert removable(make, image) == axes
    assert axes_of(make(), image(1)) == axes
    small, removal = halved(make(), image)
    assert (small[1].num_groups, small[1].num_channels) == (groups // 2, 4 if affine else 8)
    assert removal.plan.attributes["1.num_groups"] == groups // 2


def test_a_unit_of_a_group_norm_is_the_channels_of_a_group():
    axis = trace(behind(lambda: nn.GroupNorm(4, 8))(), image()).axis("1.num_groups")
    assert {f"{m.tensor}[{m.dim}]" for m in axis.members} == {
        "0.weight[0]", "0.bias[0]", "1.weight[0]", "1.bias[0]", "3.weight[1]",
    }  # fmt: skip
    assert all(m.units.tolist() == [0, 0, 1, 1, 2, 2, 3, 3] for m in axis.members)
    assert axis.normed


def test_one_group_over_all_channels_sees_a_zero_unit():
    model = behind(lambda: nn.GroupNorm(1, 8))()
    assert axes_of(model) == {}
    reason = "aten.native_group_norm: the mean and variance of its one group see a zero unit"
    assert reasons_of(model)["0"] == reason


def test_a_number_of_groups_in_the_code_is_protected():
    model = Fn(lambda m, x: m.b(F.group_norm(m.a(x), 4)), a=Conv(3, 8, 1), b=Conv(8, 2, 1))
    assert reasons_of(model)["a"] == "aten.native_group_norm holds its size as the number 4"


def test_half_a_dead_group_stays():
    model = randomised(behind(lambda: nn.GroupNorm(4, 8))())
    with torch.no_grad():
        for name in ("weight", "bias"):
            for layer in (model[0], model[1]):
                getattr(layer, name)[[0, 4, 5]] = 0  # one of two channels, and a whole group
    small, removal = shrink(model, image())
    assert removal.widths["1.num_groups"] == (4, 3)
    assert small[0].weight.shape[0] == 6
    same_outputs(small, model, image(3).double())


def test_a_channel_without_input_varies_with_its_group():
    model = randomised(
        nn.Sequential(Conv(3, 8, 3), nn.GroupNorm(4, 8), nn.ReLU(), Conv(8, 4, 1), nn.ReLU(), Conv(4, 2, 1))
    )
    with torch.no_grad():
        model[0].weight[0] = 0  # a constant, but its group's mean and variance are none
        model[1].bias[0] = 3
        model[3].weight[1, 1:] = 0  # reads that channel alone
    small, removal = shrink(model, image(), gather=False)
    assert removal.widths == {"1.num_groups": (4, 4), "3": (4, 4)}
    same_outputs(small, model, image(3).double())


def test_a_scale_of_zero_alone_leaves_a_constant_that_is_taken_up():
    model = randomised(behind(lambda: nn.GroupNorm(4, 8))())
    with torch.no_grad():
        model[1].weight[[2, 3]] = 0
        model[3].weight[:, 6:] = 0  # and a group that nobody reads
    small, removal = shrink(model, image())
    assert removal.widths["1.num_groups"][1] <= 3
    same_outputs(small, model, image(3).double())


@pytest.mark.parametrize(
    ("channels", "groups", "axes"), [(12, 4, {"1.groups": 4, "0": 2}), (12, 2, {"2.num_groups": 2, "0": 2})]
)
def test_groups_of_a_convolution_and_of_its_norm(channels, groups, axes):
    def make():
        return nn.Sequential(
            Conv(3, 8, 1), Conv(8, channels, 3, groups=4), nn.GroupNorm(groups, channels), Conv(channels, 2, 1)
        )

    assert removable(make, image) == axes


def test_a_group_norm_around_a_residual_ties_the_groups_of_both():
    def make():
        return Fn(
            lambda m, x: m.b((y := m.a(x)) + m.c(m.norm(y).relu())),
            a=Conv(3, 8, 1), norm=nn.GroupNorm(2, 8), c=Conv(8, 8, 1), b=Conv(8, 2, 1),
        )  # fmt: skip

    assert removable(make, image) == {"norm.num_groups": 2}
    assert "c.weight[0]" in groups_of(make())["norm.num_groups"]


@pytest.mark.parametrize("statistics", [False, True])
@pytest.mark.parametrize("affine", [False, True])
def test_instance_norms_keep_channels_apart(affine, statistics):
    make = behind(lambda: nn.InstanceNorm2d(8, affine=affine, track_running_stats=statistics))
    assert removable(make, image, damages=() if statistics else range(3)) == {"0": 8}
    members = groups_of(make())["0"]
    assert ("1.weight[0]" in members) == affine
    assert ("1.running_mean[0]" in members) == statistics
    small, _ = halved(make(), image)
    assert small[1].num_features == 4


def test_the_statistics_of_an_instance_norm_are_treated_as_those_of_a_batch_norm():
    model = randomised(behind(lambda: nn.InstanceNorm2d(8, track_running_stats=True))())
    roles = {m.tensor: m.role for m in trace(model, image()).axis("0").members}
    assert roles["1.running_mean"] == roles["1.running_var"] == "statistic"
    with torch.no_grad():
        model[0].weight[[1, 5]] = 0  # in evaluation mode a constant, in training mode another
    small, removal = shrink(model, image())
    assert removal.widths["0"] == (8, 6)
    same_outputs(small, model, image(3).double())


def test_an_instance_norm_in_one_dimension():
    def make():
        return nn.Sequential(nn.Conv1d(3, 8, 3), nn.InstanceNorm1d(8), nn.Conv1d(8, 2, 1))

    assert removable(make, lambda batch: torch.randn(batch, 3, 10)) == {"0": 8}


def test_a_layer_norm_over_channels_in_the_last_place_protects_them():
    model = Fn(
        lambda m, x: m.b(m.norm(m.a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)),
        a=Conv(3, 8, 1), norm=nn.LayerNorm(8), b=Conv(8, 2, 1),
    )  # fmt: skip
    assert "aten.native_layer_norm" in reasons_of(model)["a"]

"""Layers with parameters: what a unit is made of."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations

from gasl.structure.trace import trace
from removal.halving import halved
from structure.nets import Fn, axes_of, groups_of, image, reasons_of


def head(width):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 2)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("padding", [0, 1])
def test_convolution(bias, padding):
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=padding, bias=bias), nn.ReLU(), nn.Conv2d(4, 5, 3), *head(5))
    biases = ({"0.bias[0]"}, {"2.bias[0]"}) if bias else (set(), {"2.bias[0]"})
    assert groups_of(model) == {
        "0": {"0.weight[0]", "2.weight[1]"} | biases[0],
        "2": {"2.weight[0]", "5.weight[1]"} | biases[1],
    }
    first, second = trace(model, image()).affines[:2]
    assert (first.padded, second.padded) == (padding == 1, False)
    assert (first.conv, first.module, first.bias) == (True, "0", "0.bias" if bias else None)


@pytest.mark.parametrize(("conv", "shape"), [(nn.Conv1d, (2, 3, 9)), (nn.Conv3d, (2, 3, 5, 5, 5))])
def test_convolutions_of_one_and_three_dimensions(conv, shape):
    model = nn.Sequential(conv(3, 4, 3, padding="same"), nn.ReLU(), conv(4, 2, 3))
    assert axes_of(model, torch.randn(shape)) == {"0": 4}


@pytest.mark.parametrize("shape", [(4, 3), (2, 5, 3), (2, 5, 6, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_layers_on_two_and_more_dimensions(shape, bias):
    model = nn.Sequential(nn.Linear(3, 4, bias=bias), nn.ReLU(), nn.Linear(4, 2, bias=bias))
    members = groups_of(model, torch.randn(shape))["0"]
    assert members == {"0.weight[0]", "2.weight[1]"} | ({"0.bias[0]"} if bias else set())


def test_linear_on_what_is_not_contiguous_adds_its_bias_afterwards():
    model = Fn(
        lambda m, x: m.b(torch.relu(m.a(x.transpose(1, 2))).transpose(1, 2).transpose(1, 2)),
        a=nn.Linear(5, 4),
        b=nn.Linear(4, 2),
    )
    assert groups_of(model, torch.randn(2, 5, 3))["a"] == {"a.weight[0]", "a.bias[0]", "b.weight[1]"}


def test_batch_norm_belongs_to_the_unit():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), *head(4))
    tensors = {f"1.{name}[0]" for name in ("weight", "bias", "running_mean", "running_var")}
    assert groups_of(model)["0"] == {"0.weight[0]", "0.bias[0]", "5.weight[1]"} | tensors
    axis = trace(model, image()).axis("0")
    assert axis.normed
    assert [m.role for m in axis.members] == ["producer", "bias", "norm", "norm", "statistic", "statistic", "consumer"]
    assert trace(model, image()).affines[0].gammas == ["1.weight"]


@pytest.mark.parametrize("options", [{"affine": False}, {"track_running_stats": False}])
def test_batch_norm_without_scale_or_statistics(options):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, **options), nn.ReLU(), *head(4))
    assert axes_of(model) == {"0": 4}


def test_a_norm_scale_gates_only_what_it_alone_reads():
    block = {"conv": nn.Conv2d(3, 4, 1), "bn": nn.BatchNorm2d(4), "fc": nn.Conv2d(4, 2, 1)}
    plain = Fn(lambda m, x: m.fc(m.bn(m.conv(x))), **block)
    around = Fn(lambda m, x: m.fc(m.bn(y := m.conv(x)) + y), **block)
    returned = Fn(lambda m, x: (m.fc(m.bn(y := m.conv(x))), y), **block)
    assert trace(plain, image()).affines[0].gammas == ["bn.weight"]
    assert trace(around, image()).affines[0].gammas == []
    assert trace(returned, image()).affines[0].gammas == []


def test_batch_norm_in_front_of_everything_is_not_a_unit():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.ReLU(), *head(4))
    assert groups_of(model) == {"1": {"1.weight[0]", "1.bias[0]", "5.weight[1]"}}


def test_batch_norm_after_concat_ties_slices_of_its_tensors():
    model = Fn(
        lambda m, x: m.c(torch.relu(m.bn(torch.cat([m.a(x), m.b(x)], 1)))),
        a=nn.Conv2d(3, 2, 1), b=nn.Conv2d(3, 5, 1), bn=nn.BatchNorm2d(7), c=nn.Conv2d(7, 2, 1),
    )  # fmt: skip
    assert axes_of(model) == {"a": 2, "b": 5}
    scale = next(m for m in trace(model, image()).axis("b").members if m.tensor == "bn.weight")
    assert scale.units.tolist() == [-1, -1, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("norm", "reason"),
    [(nn.GroupNorm(1, 4), "aten.native_group_norm"), (nn.LayerNorm([4, 6, 6]), "aten.native_layer_norm")],
)
def test_norms_over_the_width_protect_it(norm, reason):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), norm, *head(4))
    assert reasons_of(model)["0"].startswith(reason)
    assert "see a zero unit" in reasons_of(model)["0"]


def test_instance_norm_without_parameters_keeps_units_apart_whatever_the_batch():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), nn.ReLU(), *head(4))
    assert axes_of(model, image(1)) == axes_of(model, image(3)) == {"0": 4}
    affine = nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.ReLU(), *head(4))
    assert axes_of(affine, image(1)) == axes_of(affine, image(3)) == {"0": 4}
    assert {"1.weight[0]", "1.bias[0]"} < groups_of(affine)["0"]


def test_prelu_belongs_to_the_unit_if_it_has_one_slope_each():
    for slopes, extra in ((4, {"1.weight[0]"}), (1, set())):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(slopes), *head(4))
        assert groups_of(model)["0"] == {"0.weight[0]", "0.bias[0]", "4.weight[1]"} | extra


def test_a_convolution_with_a_computed_weight_protects_what_enters_and_says_so():
    model = Fn(
        lambda m, x: m.c(F.conv2d(m.a(x), m.b.weight * m.scale, m.b.bias)),
        a=nn.Conv2d(3, 4, 3), b=nn.Conv2d(4, 6, 3), c=nn.Conv2d(6, 3, 1), scale=nn.Parameter(torch.ones(1)),
    )  # fmt: skip
    assert axes_of(model) == {}
    assert reasons_of(model)["a"] == "a convolution with a computed weight"


def test_parametrized_weights_are_protected():
    for wrap in (parametrizations.weight_norm, parametrizations.spectral_norm, parametrizations.orthogonal):
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), wrap(nn.Linear(4, 5)), nn.ReLU(), nn.Linear(5, 2))
        assert axes_of(model, torch.randn(2, 3)) == {}
        assert "no rule" in reasons_of(model, torch.randn(2, 3))["0"]


def test_computed_weights_and_biases_are_protected():
    x = torch.randn(2, 3)
    layers = {"a": nn.Linear(3, 4), "b": nn.Linear(4, 5), "c": nn.Linear(5, 2)}
    masked = Fn(lambda m, x: m.c(F.linear(m.a(x), m.b.weight * 2, m.b.bias)), **layers)
    assert axes_of(masked, x) == {}
    biased = Fn(lambda m, x: m.c(F.linear(m.a(x), m.b.weight, m.b.bias.exp())), **layers)
    assert groups_of(biased, x)["b"] == {"b.weight[0]", "b.bias[0]", "c.weight[1]"}  # elementwise, of this one alone
    assert [a.bias for a in trace(biased, x).affines] == ["a.bias", None, "c.bias"]
    halved(biased, lambda batch: torch.randn(batch, 3))
    shifted = Fn(lambda m, x: m.c(F.linear(m.a(x), m.b.weight, m.b.bias + x.mean())), **layers)
    assert axes_of(shifted, x) == {"a": 4}
    assert reasons_of(shifted, x)["b"] == "its bias is computed"
    made = Fn(lambda m, x: m.c(torch.addmm(m.a(x)[:, :1], m.a(x), m.b.weight.t())), **layers)
    assert axes_of(made, x) == {}


def test_raw_parameters_make_layers_too():
    model = Fn(
        lambda m, x: torch.relu(x @ m.w.t() + m.b) @ m.v.t(),
        w=nn.Parameter(torch.randn(4, 3)), b=nn.Parameter(torch.randn(4)), v=nn.Parameter(torch.randn(2, 4)),
    )  # fmt: skip
    assert groups_of(model, torch.randn(2, 3)) == {"w": {"w[0]", "b[0]", "v[1]"}}
    assert [a.module for a in trace(model, torch.randn(2, 3)).affines] == [None, None]


def test_the_weight_of_an_untransposed_product_writes_along_its_second_dimension():
    model = Fn(lambda m, x: m.b(m.a(x) @ m.w), a=nn.Linear(3, 4), w=nn.Parameter(torch.randn(4, 5)), b=nn.Linear(5, 2))
    assert groups_of(model, torch.randn(2, 3)) == {
        "a": {"a.weight[0]", "a.bias[0]", "w[0]"}, "w": {"w[1]", "b.weight[1]"},
    }  # fmt: skip
    halved(model, lambda batch: torch.randn(batch, 3))


def test_one_layer_called_twice_ties_both_calls():
    model = Fn(
        lambda m, x: m.c(torch.relu(m.b(torch.relu(m.b(m.a(x)))))),
        a=nn.Linear(3, 4),
        b=nn.Linear(4, 4),
        c=nn.Linear(4, 2),
    )
    structure = trace(model, torch.randn(2, 3))
    assert groups_of(model, torch.randn(2, 3)) == {
        "a": {"a.weight[0]", "a.bias[0]", "b.weight[0]", "b.weight[1]", "b.bias[0]", "c.weight[1]"}
    }
    assert [a.sole for a in structure.affines] == [True, False, False, True]


def test_tied_weights_of_two_layers_that_read_different_things():
    model = Fn(lambda m, x: m.b(torch.relu(m.a(x))), a=nn.Linear(3, 3, bias=False), b=nn.Linear(3, 3))
    model.b.weight = model.a.weight
    assert axes_of(model, torch.randn(2, 3)) == {}
    deep = Fn(
        lambda m, x: m.d(torch.relu(m.b(torch.relu(m.a(m.first(x)))))),
        first=nn.Linear(5, 3),
        a=nn.Linear(3, 3),
        b=nn.Linear(3, 3),
        d=nn.Linear(3, 2),
    )
    deep.b.weight = deep.a.weight
    structure = trace(deep, torch.randn(2, 5))
    assert [a.name for a in structure.axes if a.kind == "width"] == ["first"]
    assert [a.module for a in structure.affines] == ["first", None, None, "d"]
    assert not any(a.sole for a in structure.affines[1:3])


def test_a_width_that_a_tied_weight_reads_from_the_input_is_protected():
    model = Fn(
        lambda m, x: m.d(torch.relu(m.b(torch.relu(m.a(x))))), a=nn.Linear(3, 3), b=nn.Linear(3, 3), d=nn.Linear(3, 2)
    )
    model.b.weight = model.a.weight
    assert axes_of(model, torch.randn(2, 3)) == {}
    assert reasons_of(model, torch.randn(2, 3))["a"] == "reads what no layer of the network makes"


def test_a_transposed_weight_that_serves_twice_is_not_sole():
    def forward(m, x):
        w = m.w.t()
        return m.b(torch.relu(torch.relu(m.a(x) @ w) @ w))

    model = Fn(forward, a=nn.Linear(3, 4), w=nn.Parameter(torch.randn(4, 4)), b=nn.Linear(4, 2))
    assert [a.sole for a in trace(model, torch.randn(2, 3)).affines] == [True, False, False, True]


def test_units_that_are_added_inside_a_product_are_protected():
    model = Fn(
        lambda m, x: m.c(torch.addmm(m.a(x), m.b(x), m.w.t())),
        a=nn.Linear(3, 4), b=nn.Linear(3, 5), w=nn.Parameter(torch.randn(4, 5)), c=nn.Linear(4, 2),
    )  # fmt: skip
    assert axes_of(model, torch.randn(2, 3)) == {"b": 5}
    assert reasons_of(model, torch.randn(2, 3)) == {
        "a": "a computed bias", "w": "its bias is computed", "c": "model output",
    }  # fmt: skip


def test_a_bias_that_serves_twice_is_not_sole():
    model = Fn(lambda m, x: m.c(m.b(m.a(x))), a=nn.Linear(3, 4), b=nn.Linear(4, 4), c=nn.Linear(4, 2))
    model.b.bias = model.a.bias
    assert [a.sole for a in trace(model, torch.randn(2, 3)).affines] == [False, False, True]


def test_a_subclass_with_its_own_forward_is_no_plain_layer():
    class Halved(nn.Linear):
        def forward(self, input):  # noqa: A002
            return F.linear(input, self.weight, self.bias) * 0.5

    model = nn.Sequential(nn.Linear(3, 4), Halved(4, 5), nn.Linear(5, 2))
    assert [a.module for a in trace(model, torch.randn(2, 3)).affines] == ["0", None, "2"]

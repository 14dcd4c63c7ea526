"""Root mean square norms: zeros do not change the sum, and scale and epsilon make up for the smaller width."""

import math

import pytest
import torch
from torch import nn

from gasl.removal import shrink
from gasl.structure.trace import trace
from removal.halving import halved, randomised, removable, same_outputs
from structure.nets import Fn, axes_of, groups_of, reasons_of


def points(batch):
    return torch.randn(batch, 5, 3)


class Norm(nn.Module):
    """``function`` of the tokens and the mean of their squares."""

    def __init__(self, function, eps=1e-3):
        super().__init__()
        self.weight, self.eps, self.function = nn.Parameter(torch.randn(8)), eps, function

    def forward(self, x):
        return self.function(self, x)


def around(norm):
    return lambda: nn.Sequential(nn.Linear(3, 8), norm(), nn.Linear(8, 2))


FORMS = {
    "scale first": lambda m, x: m.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + m.eps)),
    "scale last": lambda m, x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + m.eps) * m.weight,
    "product": lambda m, x: m.weight * (x * torch.rsqrt((x * x).mean(-1, keepdim=True) + m.eps)),
    "power": lambda m, x: m.weight * (x * torch.rsqrt((x**2).mean(-1, keepdim=True) + m.eps)),
    "square": lambda m, x: m.weight * (x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + m.eps)),
    "no epsilon": lambda m, x: m.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True))),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_norm_written_out_lets_units_go(name):
    make = around(lambda: Norm(FORMS[name]))
    assert removable(make, points) == {"0": 8}
    assert groups_of(make(), points(2))["0"] == {"0.weight[0]", "0.bias[0]", "1.weight[0]", "2.weight[1]"}
    small, removal = halved(make(), points)
    assert removal.plan.attributes == ({} if name == "no epsilon" else {"1.eps": pytest.approx(2e-3, rel=1e-12)})
    assert float(removal.plan.scales["1.weight"]) == pytest.approx(math.sqrt(2), rel=1e-12)
    assert small[1].weight.shape == (4,)


@pytest.mark.parametrize("eps", [None, 1e-2])
def test_the_layer_of_torch(eps):
    make = around(lambda: nn.RMSNorm(8, eps=eps))
    model = randomised(make())
    structure = trace(model, points(2).double())
    structure.axis("0").zero_([1, 2, 6])
    small, removal = shrink(model, points(2), gather=False)
    assert removal.widths["0"] == (8, 5)
    assert small[1].normalized_shape == (5,)
    assert small[1].eps == pytest.approx((eps or torch.finfo(torch.float64).eps) * 8 / 5, rel=1e-12)
    same_outputs(small, model, points(3).double())


@pytest.mark.parametrize("eps", [None, 1e-5])
def test_single_precision_finds_the_same(eps):
    assert axes_of(around(lambda: nn.RMSNorm(8, eps=eps))(), points(2)) == {"0": 8}


def test_a_constant_counts_in_the_norm():
    model = randomised(around(lambda: Norm(FORMS["scale first"]))())
    with torch.no_grad():
        model[0].weight[[1, 4]] = 0
    small, removal = shrink(model, points(2), gather=False)
    assert removal.widths["0"] == (8, 8)
    with torch.no_grad():
        model[0].bias[[1, 4]] = 0
    small, removal = shrink(model, points(2), gather=False)
    assert removal.widths["0"] == (8, 6)
    same_outputs(small, model, points(3).double())


def test_a_unit_that_only_the_norm_reads_stays():
    model = randomised(around(lambda: Norm(FORMS["scale first"]))())
    with torch.no_grad():
        model[2].weight[:, [0, 3]] = 0
    _, removal = shrink(model, points(2), gather=False)
    assert removal.widths["0"] == (8, 8)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: m.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-3)),  # a number of the code's
        lambda m, x: (
            m.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + m.eps)) + x.pow(2).mean(-1)[..., None]
        ),
        lambda m, x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + m.eps),  # nothing to scale
        lambda m, x: m.weight * (x * torch.rsqrt(x.pow(4).mean(-1, keepdim=True) + m.eps)),
        lambda m, x: (
            m.weight * (x.relu() * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + m.eps)).mean(-1, keepdim=True)
        ),
    ],
)
def test_what_is_no_such_norm_sees_the_width(function):
    model = around(lambda: Norm(function, eps=2e-3))()
    assert axes_of(model, points(2)) == {}
    assert reasons_of(model, points(2))["0"] == "aten.mean runs over the width"


def test_a_stream_with_two_norms():
    def make():
        return Fn(
            lambda m, x: m.out(m.last((y := m.enter(x)) + m.down(m.up(m.first(y)).relu()))),
            enter=nn.Linear(3, 8), first=Norm(FORMS["scale first"]), up=nn.Linear(8, 12), down=nn.Linear(12, 8),
            last=Norm(FORMS["power"], eps=1e-2), out=nn.Linear(8, 2),
        )  # fmt: skip

    assert removable(make, points) == {"enter": 8, "up": 12}
    _, removal = halved(make(), points)
    assert removal.plan.attributes == {"first.eps": pytest.approx(2e-3), "last.eps": pytest.approx(2e-2)}


class Sized(nn.Module):
    """Written like the layer of PyTorch: it tells the function its shape."""

    def __init__(self):
        super().__init__()
        self.normalized_shape, self.eps, self.weight = (8,), 1e-6, nn.Parameter(torch.randn(8))

    def forward(self, x):
        return nn.functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)


def test_the_shape_that_a_norm_is_told_follows():
    small, _ = halved(around(Sized)(), points)
    assert (small[1].normalized_shape, small[1].weight.numel()) == ((4,), 4)
    assert small[1].eps == pytest.approx(2e-6)

"""What is protected stays, what would change an output is refused by name."""

import copy

import pytest
import torch
from torch import nn

from gasl.errors import InputError, RemovalError
from gasl.removal import shrink
from removal.zeros import assert_same, ignore, kill, lenet
from structure.nets import Fn, image, reasons_of


def test_protected_axes_stay_whole():
    model, x = lenet()
    small, removal = shrink(model, x, protect=["conv2", "fc1.in"])
    assert removal.widths["conv2"] == (50, 50)
    assert removal.widths["fc1.in"] == (800, 800)
    assert removal.widths["fc1"] == (500, 300)
    assert_same(small, model, x)


def test_protect_takes_names_of_axes():
    model, x = lenet()
    with pytest.raises(InputError, match=r"unknown axis or module 'conv'; did you mean 'conv[12]'"):
        shrink(model, x, protect=["conv"])
    with pytest.raises(InputError, match=r"write protect=\['conv1'\]"):
        shrink(model, x, protect="conv1")


def test_nothing_dead_nothing_removed():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    small, removal = shrink(model, torch.randn(2, 3))
    assert str(removal.plan) == "nothing to remove"
    assert all(torch.equal(a, b) for a, b in zip(small.parameters(), model.parameters(), strict=True))
    assert small is not model


def test_a_network_without_axes_says_why():
    with pytest.raises(InputError, match=r"no unit that could be removed.*0: model output"):
        shrink(nn.Sequential(nn.Conv2d(3, 2, 1)), image())
    with pytest.raises(InputError, match="no convolution or linear layer ran"):
        shrink(nn.Sequential(nn.ReLU()), image())


class Numbers(nn.Module):
    """Holds the width of conv2 as a number."""

    def __init__(self, view):
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 4, 3, padding=1), nn.Linear(64, 3)
        self.view = view

    def forward(self, x):
        return self.fc(self.view(self.conv2(self.conv1(x))).flatten(1))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: torch.as_tensor(x.detach().numpy().reshape(-1, 64)),  # what no trace sees
        lambda x: torch.tensor(x.tolist()).view(-1, 4, 4, 4),
        lambda x: x * float(x.detach().numpy().shape[1]),
        lambda x: x * (1 if x.shape[1] == 4 else 2),
    ],
)
def test_a_forward_that_hides_what_it_does_with_a_width_is_refused_by_name(view):
    model = Numbers(view)
    kill(model.conv1, 1, bias=True)
    kill(model.conv2, 0, 2, bias=True)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RemovalError, match=r"removing units of 'conv2' would change.*protect=\['conv2'\]"):
        shrink(model, image(size=4))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    _, removal = shrink(model, image(size=4), protect=["conv2"])
    assert removal.widths["conv1"] == (6, 5)


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        (lambda x: x.view(-1, 4, 4, 4), "aten.view holds its size as the number 4"),
        (lambda x: x.reshape(x.shape[0], 64), "aten.view holds its size as the number 64"),
        (lambda x: x / x.shape[1] ** 0.5, "its size is also used as a number that is no size"),
    ],
)
def test_a_width_that_the_trace_sees_as_a_number_is_protected_instead(view, reason):
    model = Numbers(view)
    kill(model.conv1, 1, bias=True)
    kill(model.conv2, 0, 2, bias=True)
    assert reasons_of(model, image(size=4))["conv2"] == reason
    small, removal = shrink(model.double(), image(size=4))
    assert removal.widths["conv1"] == (6, 5)
    assert "conv2" not in removal.widths
    x = image(5, size=4).double()
    assert_same(small, model, x)


def test_a_difference_that_the_example_hides_shows_on_noise():
    model = Fn(
        lambda m, x: m.b(torch.relu(m.a(x)) * (1 + x.sum() * (len(m.a.weight.detach().numpy()) - 4))),
        a=kill(nn.Linear(3, 4), 1),
        b=ignore(nn.Linear(4, 2), 1),
    )
    with pytest.raises(RemovalError, match="removing units of 'a'"):
        shrink(model, torch.zeros(2, 3))


class Chaos(nn.Module):
    """Deep enough that single precision alone exceeds 1e-5."""

    def __init__(self):
        super().__init__()
        self.a, self.b = kill(nn.Linear(64, 64), *range(0, 64, 3)), nn.Linear(64, 64)

    def forward(self, x):
        x = self.b(torch.relu(self.a(x)))
        for _ in range(9):
            x = torch.sin(3 * x)
        return x


def test_where_single_precision_is_too_coarse_a_float64_copy_decides():
    model = Chaos()
    x = torch.randn(8, 64)
    small, removal = shrink(model, x)
    with torch.no_grad():
        assert float((small(x) - model(x)).abs().max() / model(x).abs().max()) > 1e-5
    assert removal.max_rel_diff <= 1e-10
    assert removal.widths["a"] == (64, 42)
    assert small.a.weight.dtype is torch.float32


def test_a_wrong_removal_is_not_excused_by_precision():
    model = Fn(
        lambda m, x: m.b(torch.relu(m.a(x))) * (1 + 1e-4 * m.a.out_features),
        a=kill(nn.Linear(3, 4), 1),
        b=nn.Linear(4, 2),
    )
    with pytest.raises(RemovalError):
        shrink(model, torch.randn(2, 3))


def test_half_precision_networks_are_taken():
    model = nn.Sequential(kill(nn.Linear(3, 8), 1, 2), nn.ReLU(), nn.Linear(8, 2)).bfloat16()
    small, removal = shrink(model, torch.randn(4, 3).bfloat16())
    assert removal.widths["0"] == (8, 6)
    assert small[0].weight.dtype is torch.bfloat16

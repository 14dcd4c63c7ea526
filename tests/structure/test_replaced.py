"""What modules read in place of their parameters, and that they are as before afterwards."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from gasl.structure.replaced import CHILD, attached, replace, restore


class Times(nn.Module):
    """Parameters times a number in training, times zero in test mode; a noisy layer adds one."""

    def __init__(self, number):
        super().__init__()
        self.number = nn.Parameter(torch.tensor(number, dtype=torch.float64))

    def effective(self, name, tensor, training):
        return tensor * self.number if training else tensor * 0

    def layer(self, name, run, inputs):
        return run(inputs, torch.ones_like(self.weight), None) + 1

    def forward(self, *passed):
        return passed[0]


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.table.weight

    def forward(self, x):
        return self.head(self.table(x))


class Shift(nn.Module):
    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.randn(4))

    def forward(self, x):
        return x + self.shift


def networks():
    torch.manual_seed(0)
    x, images, words = torch.randn(3, 5, 4).double(), torch.randn(3, 2, 6, 6).double(), torch.randint(7, (3, 5))
    attention = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    return {
        "linear": (nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), x),
        "conv": (nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ConvTranspose2d(3, 2, 3)), images),
        "attention": (attention, x),
        "lstm": (nn.LSTM(4, 3, num_layers=2, bidirectional=True, proj_size=2), x),
        "cell": (nn.GRUCell(4, 3), x[:, 0]),
        "tied": (Tied(), words),
        "root": (Shift(), x),
    }


NAMES = ["linear", "conv", "attention", "lstm", "cell", "tied", "root"]


def first(out):
    return out[0] if isinstance(out, tuple) else out


@pytest.mark.parametrize("name", NAMES)
def test_a_forward_reads_what_stands_in(name):
    model, x = networks()[name]
    model = model.double()
    doubled = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in doubled.parameters():
            parameter.mul_(2)
    source = Times(2.0)
    replace(model, source, [n for n, _ in model.named_parameters()])
    out = first(model(x))
    torch.testing.assert_close(out, first(doubled(x)), rtol=1e-13, atol=1e-13)
    out.square().sum().backward()
    assert source.number.grad is not None
    assert source.number.grad != 0
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_test_mode_reads_its_own(name):
    model, x = networks()[name]
    model = model.double().eval()
    zero = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in zero.parameters():
            parameter.zero_()
        wanted = first(zero(x))
        replace(model, Times(2.0), [n for n, _ in model.named_parameters()])
        model.eval()
        torch.testing.assert_close(first(model(x)), wanted, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_behind(name):
    model, x = networks()[name]
    model = model.double()

    def look(network):
        kinds = [type(module) for module in network.modules()]
        own = [sorted(vars(module)) for module in network.modules()]
        return kinds, own, [(n, id(p)) for n, p in network.named_parameters()], list(network.state_dict())

    before, out = look(model), first(model(x))
    replace(model, source := Times(2.0), [n for n, _ in model.named_parameters()])
    assert attached(model)
    assert list(model.state_dict())[-1] == f"{CHILD}.number"
    assert [(n, id(p)) for n, p in model.named_parameters()][:-1] == before[2]  # names, order, objects
    model(x)
    assert restore(model) is source
    assert look(model) == before
    assert torch.equal(first(model(x)), out)
    assert restore(model) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_has_its_own(name):
    model, x = networks()[name]
    model = model.double()
    replace(model, Times(2.0), [n for n, _ in model.named_parameters()])
    other = copy.deepcopy(model)
    with torch.no_grad():
        other._modules[CHILD].number.fill_(3.0)
        assert not torch.equal(first(other(x)), first(model(x)))
        model._modules[CHILD].number.fill_(3.0)
        torch.testing.assert_close(first(other(x)), first(model(x)), rtol=0, atol=0)
    restore(other)
    assert attached(model)
    assert not attached(other)


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Linear(4, 3), torch.randn(5, 4)),
        (nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), torch.randn(5, 2, 7)),
        (nn.Conv2d(2, 4, 3, stride=2, groups=2), torch.randn(5, 2, 7, 7)),
        (nn.ConvTranspose2d(2, 3, 3, stride=2), torch.randn(5, 2, 7, 7)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_noisy_layer_is_run_with_given_tensors(layer, x):
    source = Times(2.0)
    source.weight = layer.weight.detach()
    plain = copy.deepcopy(layer)
    with torch.no_grad():
        plain.weight.fill_(1.0)
        plain.bias.zero_()
    replace(layer, source, ["weight"], noisy=["weight"])
    torch.testing.assert_close(layer(x), plain(x) + 1)
    assert layer.bias is layer._parameters["bias"]  # what is given is given for the run only
    layer.eval()
    assert (layer(x) - layer.bias.view(1, -1, *[1] * (x.ndim - 2))).abs().max() == 0


def test_functional_use_reads_it_too():
    layer, x = nn.Linear(4, 3), torch.randn(2, 4)
    replace(layer, Times(2.0), ["weight"])
    torch.testing.assert_close(F.linear(x, layer.weight), F.linear(x, 2 * layer._parameters["weight"]).float())

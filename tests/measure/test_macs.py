"""Every count is held against one that is written out by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from gasl.errors import InputError
from gasl.measure import Macs, count_macs
from gasl.models import MODELS


def count(model, *inputs):
    return count_macs(model, inputs)


def test_lenet5_is_the_figure_of_the_literature():
    by_hand = 24 * 24 * 20 * 25 + 8 * 8 * 50 * 20 * 25 + 800 * 500 + 500 * 10
    assert by_hand == 2_293_000
    assert count(MODELS["lenet5"](), torch.zeros(3, 1, 28, 28)) == Macs(by_hand, ())


def test_mlp():
    assert count(MODELS["mlp"](), torch.zeros(1, 1, 28, 28)) == Macs(784 * 500 + 500 * 300 + 300 * 10, ())


def test_vgg16_on_cifar():
    blocks = [(32, [64, 64]), (16, [128, 128]), (8, [256] * 3), (4, [512] * 3), (2, [512] * 3)]
    total, before = 0, 3
    for side, widths in blocks:
        for width in widths:
            total += side * side * width * before * 9
            before = width
    model = MODELS["vgg16"]()
    total += sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, nn.Linear))
    assert count(model, torch.zeros(1, 3, 32, 32)) == Macs(total, ())


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.norm1, self.norm2, self.skip = nn.BatchNorm2d(8), nn.BatchNorm2d(8), nn.Conv2d(4, 8, 1, stride=2)

    def forward(self, x):
        return F.relu(self.skip(x) + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


def test_residual_block():
    out = 5 * 5 * 8
    assert count(Residual(), torch.zeros(2, 4, 10, 10)) == Macs(out * 4 * 9 + out * 4 * 9 + out * 4, ())


@pytest.mark.parametrize("layer", [False, True], ids=["attention alone", "whole Transformer layer"])
def test_attention(layer):
    length, width, hidden = 6, 8, 16
    attention = length * width * width * 4 + 2 * length * length * width
    x = torch.zeros(3, length, width)
    if layer:
        model = nn.TransformerEncoderLayer(width, 2, hidden, batch_first=True)
        assert count(model, x) == Macs(attention + 2 * length * width * hidden, ())
    else:
        assert count(nn.MultiheadAttention(width, 2, batch_first=True), x, x, x) == Macs(attention, ())


def test_attention_over_other_keys():
    class Cross(nn.Module):
        def forward(self, query, memory):
            return F.scaled_dot_product_attention(query, memory, memory)

    query, memory = torch.zeros(1, 2, 5, 4), torch.zeros(1, 2, 7, 4)
    assert count(Cross(), query, memory) == Macs(2 * 2 * 5 * 7 * 4, ())


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
@pytest.mark.parametrize("both_ways", [False, True])
def test_recurrent(kind, gates, both_ways):
    steps, features, hidden, ways = 4, 3, 5, 1 + both_ways
    model = kind(features, hidden, num_layers=2, batch_first=True, bidirectional=both_ways)
    one_way = [gates * hidden * (width + hidden) for width in (features, ways * hidden)]
    assert count(model, torch.zeros(2, steps, features)) == Macs(steps * ways * sum(one_way), ())


def test_a_gather_counts_one_per_element_moved():
    class Gathered(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("index", torch.tensor([0, 2, 5]))
            self.linear = nn.Linear(3, 4)

        def forward(self, x):
            return self.linear(x.index_select(1, self.index))

    assert count(Gathered(), torch.zeros(2, 6)) == Macs(3 + 3 * 4, ())


def test_bias_norm_activation_and_pooling_count_nothing():
    bare = count(nn.Conv2d(3, 4, 3, bias=False), torch.zeros(1, 3, 8, 8))
    dressed = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU(), nn.GroupNorm(2, 4), nn.MaxPool2d(2))
    assert bare.total == 36 * 4 * 27
    assert count(dressed, torch.zeros(1, 3, 8, 8)) == bare


def test_a_weightless_network_counts_nothing():
    assert count(nn.ReLU(), torch.zeros(1, 3)) == Macs(0, ())


@pytest.mark.parametrize(
    "model",
    [nn.Bilinear(3, 3, 2), torch.nn.utils.parametrizations.weight_norm(nn.Bilinear(3, 3, 2))],
    ids=["parameter", "made of parameters"],
)
def test_an_op_without_a_formula_is_named(model):
    assert count(model, torch.zeros(2, 3), torch.zeros(2, 3)) == Macs(0, ("aten._trilinear",))


def test_an_operator_of_the_user_is_named():
    @torch.library.custom_op("gasl_test::twice", mutates_args=())
    def twice(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x @ weight

    class Custom(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(3, 2))

        def forward(self, x):
            return twice(x, self.weight)

    assert count(Custom(), torch.zeros(2, 3)).uncounted == ("gasl_test.twice",)


def test_the_count_is_for_one_example():
    model = nn.Conv1d(2, 3, 2)
    assert count(model, torch.zeros(1, 2, 9)) == count(model, torch.zeros(7, 2, 9)) == Macs(8 * 3 * 2 * 2, ())


@pytest.mark.parametrize("enabled", [True, False])
def test_settings_and_network_are_left_alone(enabled):
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random, found = torch.get_rng_state(), torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(enabled)
    try:
        count(model, torch.ones(4, 3))
        with pytest.raises(InputError, match="does not run"):
            count(model, torch.ones(4, 5))
        assert torch.backends.mha.get_fastpath_enabled() is enabled
    finally:
        torch.backends.mha.set_fastpath_enabled(found)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in model.parameters())

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


class Call(nn.Module):
    """A function as a network."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def by_hand(q, k, v):
    return torch.softmax(q @ k.mT / 2, -1) @ v


def by_math(q, k, v):
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        return F.scaled_dot_product_attention(q, k, v)


def einsum(q, k, v):
    return torch.einsum("bhqk,bhkd->bqhd", torch.einsum("bhqd,bhkd->bhqk", q, k), v)


def with_a_bias(q, k, v):
    scores = torch.baddbmm(torch.zeros(1), q.flatten(0, 1), k.flatten(0, 1).mT)
    return torch.bmm(scores, v.flatten(0, 1))


ATTENTIONS = {
    "fused": F.scaled_dot_product_attention,
    "causal counts in full": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    "mask": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, torch.ones(5, 7, dtype=torch.bool)),
    "dropout": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dropout_p=0.5),
    "double": lambda q, k, v: F.scaled_dot_product_attention(q.double(), k.double(), v.double()),
    "math": by_math,
    "by hand": by_hand,
    "einsum": einsum,
    "baddbmm": with_a_bias,
}


@pytest.mark.parametrize("attend", ATTENTIONS.values(), ids=ATTENTIONS)
@pytest.mark.parametrize("wide", [4, 6])
def test_attention_in_all_its_forms(attend, wide):
    heads, queries, keys, width = 2, 5, 7, 4
    q, k, v = (
        torch.randn(3, heads, queries, width),
        torch.randn(3, heads, keys, width),
        torch.randn(3, heads, keys, wide),
    )
    model = Call(lambda m, *inputs: attend(*inputs))
    assert count(model, q, k, v) == Macs(heads * queries * keys * (width + wide), ())


def test_heads_that_share_keys_count_as_often_as_they_run():
    q, k = torch.randn(2, 6, 5, 4), torch.randn(2, 2, 7, 4)
    fused = Call(lambda m, q, k: F.scaled_dot_product_attention(q, k, k, enable_gqa=True))
    repeated = Call(lambda m, q, k: by_hand(q, k.repeat_interleave(3, 1), k.repeat_interleave(3, 1)))
    assert count(fused, q, k) == count(repeated, q, k) == Macs(2 * 6 * 5 * 7 * 4, ())


@pytest.mark.parametrize("fast", [False, True], ids=["slow", "fast path"])
def test_an_encoder_and_a_decoder(fast):
    source, target, width, hidden, layers = 7, 5, 8, 12, 2
    model = nn.Transformer(width, 2, layers, layers, hidden, batch_first=True).requires_grad_(not fast)
    own = [n * 4 * width**2 + 2 * n**2 * width + 2 * n * width * hidden for n in (source, target)]
    across = 2 * target * width**2 + 2 * source * width**2 + 2 * target * source * width
    inputs = torch.randn(2, source, width), torch.randn(2, target, width)
    assert count(model, *inputs) == Macs(layers * (sum(own) + across), ())


def weight(*shape):
    return nn.Parameter(torch.randn(shape))


PRODUCTS = {
    "grouped": (nn.Conv2d(6, 4, 3, groups=2), (6, 8, 8), 6 * 6 * 4 * 3 * 9),
    "depthwise": (nn.Conv1d(6, 6, 3, groups=6), (6, 9), 7 * 6 * 3),
    "strided, dilated": (nn.Conv2d(3, 4, 3, stride=2, dilation=2, padding=1), (3, 9, 9), 4 * 4 * 4 * 3 * 9),
    "3-D": (nn.Conv3d(2, 3, 2, bias=False), (2, 4, 5, 6), 3 * 4 * 5 * 3 * 2 * 8),
    "transposed": (nn.ConvTranspose2d(4, 3, 2, stride=2), (4, 5, 5), 5 * 5 * 4 * 3 * 4),
    "transposed, grouped": (nn.ConvTranspose1d(4, 6, 3, groups=2), (4, 5), 5 * 4 * 3 * 3),
    "linear in space": (nn.Linear(5, 7), (2, 3, 5), 2 * 3 * 5 * 7),
    "addmm": (Call(lambda m, x: torch.addmm(m.b, x, m.w), w=weight(5, 7), b=weight(7)), (5,), 5 * 7),
    "weight on the left": (Call(lambda m, x: m.w @ x, w=weight(3, 5)), (5, 4), 3 * 5 * 4),
    "weights of heads": (Call(lambda m, x: torch.einsum("btd,dhk->bhtk", x, m.w), w=weight(5, 2, 3)), (4, 5), 4 * 30),
    "addbmm": (Call(lambda m, x: torch.addbmm(torch.zeros(1), x, x.mT)), (3, 5), 3 * 5 * 3),
    "outer product of maps": (Call(lambda m, x: torch.matmul(x.flatten(2), x.flatten(2).mT)), (3, 4, 4), 3 * 16 * 3),
    "vector": (Call(lambda m, x: m.w @ x[0], w=weight(3, 5)), (5,), 3 * 5),
}  # fmt: skip


@pytest.mark.parametrize(("model", "shape", "macs"), PRODUCTS.values(), ids=PRODUCTS)
def test_products(model, shape, macs):
    assert count(model, torch.randn(2, *shape)) == Macs(macs, ())


def test_bilinear_counts_each_weight_once():
    assert count(nn.Bilinear(3, 4, 2), torch.zeros(2, 3), torch.zeros(2, 4)) == Macs(2 * 3 * 4, ())


def test_looking_up_costs_nothing():
    layers = {"words": nn.Embedding(50, 6), "bag": nn.EmbeddingBag(50, 6), "head": nn.Linear(6, 50)}
    model = Call(lambda m, ids: m.head(m.words(ids) + m.bag(ids)[:, None]), **layers)
    model.head.weight = model.words.weight
    assert count(model, torch.arange(8).reshape(2, 4)) == Macs(4 * 6 * 50, ())


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
@pytest.mark.parametrize("both_ways", [False, True])
def test_recurrent(kind, gates, both_ways):
    steps, features, hidden, ways = 4, 3, 5, 1 + both_ways
    model = kind(features, hidden, num_layers=2, batch_first=True, bidirectional=both_ways)
    one_way = [gates * hidden * (width + hidden) for width in (features, ways * hidden)]
    assert count(model, torch.zeros(2, steps, features)) == Macs(steps * ways * sum(one_way), ())


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_recurrent_in_other_forms():
    x = torch.zeros(2, 4, 3)
    assert count(nn.LSTM(3, 5, batch_first=True).double(), x).total == 4 * 20 * (3 + 5)
    assert count(nn.LSTM(3, 5, batch_first=True, proj_size=2), x).total == 4 * (20 * (3 + 2) + 5 * 2)
    for cell, gates in ((nn.LSTMCell, 4), (nn.GRUCell, 3), (nn.RNNCell, 1)):
        assert count(cell(3, 5), x[:, 0]) == Macs(gates * 5 * (3 + 5), ())

    def packed(m, x):
        return m.lstm(nn.utils.rnn.pack_padded_sequence(x, torch.full((len(x),), 3), batch_first=True))[0].data

    assert count(Call(packed, lstm=nn.LSTM(3, 5)), x) == Macs(3 * 20 * (3 + 5), ())


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


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
def test_a_table_of_positions_that_is_resized_counts_nothing(mode):
    model = Call(lambda m, x: x + F.interpolate(m.table, size=x.shape[2:], mode=mode), table=weight(1, 3, 4, 4))
    assert count(model, torch.zeros(2, 3, 7, 7)) == Macs(0, ())


def test_a_weightless_network_counts_nothing():
    assert count(nn.ReLU(), torch.zeros(1, 3)) == Macs(0, ())


class OverTime(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(3, 4, 5)), nn.Parameter(torch.randn(5))

    def forward(self, x):
        return torch.conv_tbc(x.transpose(0, 1), self.weight, self.bias).transpose(0, 1)


@pytest.mark.parametrize(
    "model",
    [OverTime(), torch.nn.utils.parametrizations.weight_norm(OverTime())],
    ids=["parameter", "made of parameters"],
)
def test_an_op_without_a_formula_is_named(model):
    assert count(model, torch.zeros(2, 6, 4)) == Macs(0, ("aten.conv_tbc",))


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

"""Tensors get other shapes by hand; then every number of a standard layer has to follow."""

import copy
import io

import pytest
import torch
from torch import nn

from gasl.errors import InputError
from gasl.removal.resize import changed_attributes, fit_attributes, set_attributes, set_tensors
from gasl.structure.running import output_tensors


def cut(layer, attributes=None, **shapes):
    """The layer with each tensor cut to its first entries."""
    tensors = dict(layer.named_parameters()) | dict(layer.named_buffers())
    slices = {name.replace("__", "."): tuple(slice(size) for size in shape) for name, shape in shapes.items()}
    set_tensors(layer, {name: tensors[name].detach()[at].clone() for name, at in slices.items()})
    set_attributes(layer, attributes or {})
    fit_attributes(layer)
    return layer


def norm(kind, width, *args, **kwargs):
    layer = kind(width, *args, **kwargs)
    return cut(layer, **dict.fromkeys((name for name, t in layer.state_dict().items() if t.ndim), (3,)))


def recurrent(kind, gates, **kwargs):
    layer = kind(4, 5, batch_first=True, **kwargs)
    rows, inner = 3 * gates, 2 if layer.proj_size else 3
    shapes = {"weight_ih_l0": (rows, 2), "weight_hh_l0": (rows, inner), "bias_ih_l0": (rows,), "bias_hh_l0": (rows,)}
    return cut(layer, **shapes, **({"weight_hr_l0": (2, 3)} if layer.proj_size else {}))


def smaller_attention():
    layer = nn.MultiheadAttention(8, 4, kdim=5, batch_first=True)
    weights = {"q_proj_weight": (6, 6), "k_proj_weight": (6, 4), "v_proj_weight": (6, 5), "in_proj_bias": (18,)}
    return cut(layer, {"num_heads": 3, "vdim": 5}, **weights, out_proj__weight=(6, 6), out_proj__bias=(6,))


LAYERS = {
    "conv": (lambda: cut(nn.Conv2d(4, 6, 3), weight=(5, 2), bias=(5,)), lambda: nn.Conv2d(2, 5, 3)),
    "depthwise": (
        lambda: cut(nn.Conv1d(6, 6, 3, groups=6), {"groups": 4}, weight=(4,), bias=(4,)),
        lambda: nn.Conv1d(4, 4, 3, groups=4),
    ),
    "grouped": (
        lambda: cut(nn.Conv2d(8, 8, 3, groups=4), {"groups": 2}, weight=(4, 2), bias=(4,)),
        lambda: nn.Conv2d(4, 4, 3, groups=2),
    ),
    "transposed": (
        lambda: cut(nn.ConvTranspose2d(6, 4, 3, bias=False, groups=2), weight=(4, 1)),
        lambda: nn.ConvTranspose2d(4, 2, 3, bias=False, groups=2),
    ),
    "bilinear": (lambda: cut(nn.Bilinear(4, 5, 6), weight=(3, 2, 4), bias=(3,)), lambda: nn.Bilinear(2, 4, 3)),
    "embedding": (lambda: cut(nn.Embedding(9, 4, padding_idx=1), weight=(9, 3)), lambda: nn.Embedding(9, 3, 1)),
    "bag": (lambda: cut(nn.EmbeddingBag(9, 4), weight=(9, 3)), lambda: nn.EmbeddingBag(9, 3)),
    "batch norm": (lambda: norm(nn.BatchNorm2d, 5), lambda: nn.BatchNorm2d(3)),
    "batch norm without weights": (
        lambda: norm(nn.BatchNorm1d, 5, affine=False),
        lambda: nn.BatchNorm1d(3, affine=False),
    ),
    "sync norm": (lambda: norm(nn.SyncBatchNorm, 5), lambda: nn.SyncBatchNorm(3)),
    "instance norm": (
        lambda: norm(nn.InstanceNorm2d, 5, affine=True),
        lambda: nn.InstanceNorm2d(3, affine=True),
    ),
    "layer norm": (lambda: norm(nn.LayerNorm, 5), lambda: nn.LayerNorm(3)),
    "layer norm without weights": (
        lambda: cut(nn.LayerNorm((2, 5), elementwise_affine=False), {"normalized_shape": (2, 3)}),
        lambda: nn.LayerNorm((2, 3), elementwise_affine=False),
    ),
    "rms norm": (lambda: cut(nn.RMSNorm(5), {"eps": 1e-3}, weight=(3,)), lambda: nn.RMSNorm(3, eps=1e-3)),
    "group norm": (
        lambda: cut(nn.GroupNorm(4, 8), {"num_groups": 2}, weight=(4,), bias=(4,)),
        lambda: nn.GroupNorm(2, 4),
    ),
    "prelu": (lambda: cut(nn.PReLU(5), weight=(3,)), lambda: nn.PReLU(3)),
    "cell": (
        lambda: cut(nn.GRUCell(4, 5, bias=False), weight_ih=(9, 2), weight_hh=(9, 3)),
        lambda: nn.GRUCell(2, 3, bias=False),
    ),
    "lstm": (lambda: recurrent(nn.LSTM, 4), lambda: nn.LSTM(2, 3, batch_first=True)),
    "projected lstm": (
        lambda: recurrent(nn.LSTM, 4, proj_size=3),
        lambda: nn.LSTM(2, 3, batch_first=True, proj_size=2),
    ),
    "gru": (lambda: recurrent(nn.GRU, 3), lambda: nn.GRU(2, 3, batch_first=True)),
    "rnn": (lambda: recurrent(nn.RNN, 1), lambda: nn.RNN(2, 3, batch_first=True)),
    "attention": (smaller_attention, lambda: nn.MultiheadAttention(6, 3, kdim=4, vdim=5, batch_first=True)),
}
INPUTS = {
    "conv": [(2, 2, 5, 5)], "depthwise": [(2, 4, 5)], "grouped": [(2, 4, 5, 5)], "transposed": [(2, 4, 5, 5)],
    "bilinear": [(2, 2), (2, 4)], "batch norm": [(2, 3, 5, 5)], "batch norm without weights": [(2, 3)],
    "instance norm": [(2, 3, 5, 5)], "layer norm": [(2, 3)], "layer norm without weights": [(4, 2, 3)],
    "rms norm": [(2, 3)], "group norm": [(2, 4, 5)], "prelu": [(2, 3)], "cell": [(2, 2)], "lstm": [(2, 4, 2)],
    "projected lstm": [(2, 4, 2)], "gru": [(2, 4, 2)], "rnn": [(2, 4, 2)],
    "attention": [(2, 5, 6), (2, 7, 4), (2, 7, 5)],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", LAYERS)
def test_the_layer_is_as_one_built_small(name):
    make, build = LAYERS[name]
    layer, wanted = make(), build()
    numbers = {name: value for name, value in vars(wanted).items() if not name.startswith("_")}
    assert {k: vars(layer)[k] for k in numbers} == numbers
    wanted.load_state_dict(layer.state_dict())
    if name in INPUTS:
        inputs = [torch.randn(shape).double() for shape in INPUTS[name]]
        outputs = output_tensors([layer.double()(*inputs)])
        expected = output_tensors([wanted.double()(*inputs)])
        for a, b in zip(outputs, expected, strict=True):  # an attention is another class, which rounds in its own way
            torch.testing.assert_close(a, b, rtol=1e-12 if name == "attention" else 0, atol=0)


def test_changed_numbers_stay_with_the_module_and_out_of_its_state():
    model = nn.Sequential(nn.Conv1d(4, 4, 1, groups=4), nn.GroupNorm(4, 4))
    keys = list(model.state_dict())
    set_attributes(model, {"0.groups": 2})
    set_attributes(model, {"1.num_groups": 2, "1.eps": 1})
    wanted = {"0.groups": 2, "1.num_groups": 2, "1.eps": 1.0}
    assert changed_attributes(model) == wanted
    assert changed_attributes(nn.Sequential(model)) == {f"0.{path}": value for path, value in wanted.items()}
    twin = copy.deepcopy(model)
    set_attributes(twin, {"0.groups": 1})
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    again = torch.load(buffer, weights_only=False)
    assert changed_attributes(again) == changed_attributes(model) == wanted
    assert changed_attributes(twin) == wanted | {"0.groups": 1}
    assert list(model.state_dict()) == keys


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("1.num_groups", 2, "there is none"),
        ("0.heads", 2, "there is none"),
        ("0.weight", 2, "there is none"),
        ("0.training", 2, "the module has True"),
        ("0.num_groups", 2.5, "the module has 4"),
        ("0.num_groups", True, "the module has 4"),
        ("0.eps", "exec", "the module has 1e-05"),
        ("0.shape", [1, 2, 3], r"the module has \(1, 2\)"),
        ("0.shape", [1, "2"], r"the module has \(1, 2\)"),
    ],
)
def test_what_is_no_such_number_is_refused_before_any_change(path, value, words):
    model = nn.Sequential(nn.GroupNorm(4, 8))
    model[0].shape = (1, 2)
    with pytest.raises(InputError, match=words):
        set_attributes(model, {"0.num_groups": 2, path: value})
    assert model[0].num_groups == 4
    assert changed_attributes(model) == {}


def test_a_buffer_that_the_class_cannot_make_again_is_state_from_then_on():
    model = nn.Module()
    model.register_buffer("frequencies", torch.arange(4.0), persistent=False)
    model.register_buffer("other", torch.arange(4.0), persistent=False)
    set_tensors(model, {"frequencies": torch.arange(2.0)})
    assert list(model.state_dict()) == ["frequencies"]

"""Networks of every kind as files for other runtimes; what is written is run here as its users run it."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from gasl.errors import InputError
from gasl.files.export import export
from gasl.removal import shrink
from gasl.structure.running import output_tensors
from structure.nets import Fn


class Words(nn.Module):
    """Whole numbers and a mask by name; a dict with a list in it comes out."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(20, 6), nn.Linear(6, 3)

    def forward(self, ids, mask=None):
        hidden = self.embed(ids) * mask[..., None]
        return {"scores": self.head(hidden), "parts": [hidden, hidden.sum(1)]}


def attention():
    return Fn(lambda m, x, y: m.attend(x, y, y), attend=nn.MultiheadAttention(8, 2, batch_first=True))


def recurrent(kind):
    return Fn(lambda m, x: m.head(m.cells(x)[0][:, -1]), cells=kind(8, 5, batch_first=True), head=nn.Linear(5, 3))


def encoder():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)


def several():
    return Fn(lambda m, x, y, n: (m.layer(x) * n, [y + 1, x.argmax(-1)], {"sum": x.sum(1)}), layer=nn.Linear(8, 3))


KINDS = {
    "encoder": (encoder, lambda batch: (torch.randn(batch, 5, 8),)),
    "attention": (attention, lambda batch: (torch.randn(batch, 5, 8), torch.randn(batch, 7, 8))),
    "lstm": (lambda: recurrent(nn.LSTM), lambda batch: (torch.randn(batch, 4, 8),)),
    "gru": (lambda: recurrent(nn.GRU), lambda batch: (torch.randn(batch, 4, 8),)),
    "several": (several, lambda batch: (torch.randn(batch, 5, 8), torch.randn(batch, 2), 2.5)),
    "words": (Words, lambda batch: {"mask": torch.ones(batch, 4), "ids": torch.randint(20, (batch, 4))}),
    "half": (lambda: nn.Linear(4, 2).half(), lambda batch: (torch.randn(batch, 4),)),
}


def outputs_of(path, inputs):
    """What the file gives, run without this library; inputs in the order of the network's own arguments."""
    if path.suffix == ".pt2":
        program = torch.export.load(path).module()
        return output_tensors(program(**inputs) if isinstance(inputs, dict) else program(*inputs))
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    if not isinstance(inputs, dict):
        tensors = [value for value in inputs if isinstance(value, torch.Tensor)]
        inputs = dict(zip((given.name for given in session.get_inputs()), tensors, strict=True))
    return [torch.as_tensor(o) for o in session.run(None, {name: value.numpy() for name, value in inputs.items()})]


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_file_gives_the_same_for_any_batch(tmp_path, kind, suffix):
    build, inputs = KINDS[kind]
    model, path = build().eval(), tmp_path / f"net.{suffix}"
    assert export(model, path, inputs(2)) < (1e-3 if kind == "half" else 1e-5)
    other = inputs(3)
    if kind == "half":
        other = tuple(tensor.half() for tensor in other)
    with torch.no_grad():
        wanted = output_tensors(model(**other) if isinstance(other, dict) else model(*other))
    got = outputs_of(path, other)
    assert [tensor.shape for tensor in got] == [tensor.shape for tensor in wanted]
    for ours, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(ours.detach(), theirs, rtol=1e-3, atol=1e-5)


def test_a_smaller_encoder_is_the_same_in_its_file(tmp_path):
    model, x = encoder().double().eval(), torch.randn(2, 5, 8).double()
    with torch.no_grad():
        model.layers[0].linear1.weight[::2], model.layers[0].linear1.bias[::2] = 0, 0
    small, _ = shrink(model, x)
    assert small.layers[0].linear1.out_features == 8
    assert export(small, tmp_path / "small.onnx", x) < 1e-7  # ONNX Runtime normalises layers in float32
    with torch.no_grad():  # PyTorch runs a whole layer as one op here
        torch.testing.assert_close(small(x), model(x))
        torch.testing.assert_close(outputs_of(tmp_path / "small.onnx", (x,))[0], model(x), rtol=1e-6, atol=1e-7)


@dataclass
class Result:
    scores: torch.Tensor


def test_what_the_exporter_does_not_take_is_said(tmp_path):
    model = Fn(lambda m, x: Result(m.layer(x)), layer=nn.Linear(4, 2))
    with pytest.raises(InputError, match=r"Fn cannot be exported: .*Result.* register a pytree"):
        export(model, tmp_path / "net.pt2", torch.ones(2, 4))
    with pytest.raises(InputError, match=r"ONNX Runtime does not take .*; another type of weights"):
        export(nn.Linear(4, 2).bfloat16(), tmp_path / "net.onnx", torch.ones(2, 4))
    assert list(tmp_path.iterdir()) == []

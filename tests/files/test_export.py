import importlib
import logging
import sys

import pytest
import torch
from torch import nn

from gasl.errors import InputError, MissingExtraError
from gasl.files.export import export

module = importlib.import_module("gasl.files.export")  # the package's attribute of that name is the function


class TwoInputs(nn.Module):
    """A network with an argument by name, nested arguments, a gather and two outputs."""

    def __init__(self):
        super().__init__()
        self.register_buffer("index", torch.tensor([0, 2]))
        self.linear, self.norm = nn.Linear(2, 3), nn.BatchNorm1d(3)

    def forward(self, x, pair, shift=None):
        hidden = self.norm(self.linear(x.index_select(1, self.index)))
        return hidden + shift, {"product": pair[0] * pair[1]}


def two_inputs(batch):
    return {
        "shift": torch.randn(batch, 3),
        "x": torch.randn(batch, 4),
        "pair": [torch.randn(batch, 5), torch.randn(batch, 5)],
    }


def onnx_session(path):
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_any_batch_size(tmp_path, suffix):
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16, 4))
    path = tmp_path / f"net.{suffix}"
    difference = export(model, path, torch.randn(1, 1, 6, 6))
    assert 0 <= difference < 1e-5
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    x = torch.randn(9, 1, 6, 6)
    if suffix == "onnx":
        session = onnx_session(path)
        (out,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    else:
        out = torch.export.load(path).module()(x).detach()
    torch.testing.assert_close(torch.as_tensor(out), model(x).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_named_and_nested_arguments_and_several_outputs(tmp_path, suffix):
    model = TwoInputs()
    assert export(model, tmp_path / f"net.{suffix}", two_inputs(3)) < 1e-5
    assert model.training
    assert model.norm.num_batches_tracked == 0


def test_a_fixed_batch(tmp_path):
    path = tmp_path / "net.onnx"
    export(nn.Linear(4, 2), path, torch.randn(3, 4), dynamic_batch=False)
    assert onnx_session(path).get_inputs()[0].shape == [3, 4]


def test_a_network_with_a_fixed_batch_says_what_to_do(tmp_path):
    class Fixed(nn.Module):
        def forward(self, x):
            return x.reshape(2, 12) * 2

    with pytest.raises(InputError, match="dynamic_batch=False"):
        export(Fixed(), tmp_path / "net.pt2", torch.zeros(2, 12))
    assert list(tmp_path.iterdir()) == []
    export(Fixed(), tmp_path / "net.pt2", torch.zeros(2, 12), dynamic_batch=False)


def test_a_network_that_cannot_be_traced(tmp_path):
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(InputError, match="Branch cannot be exported"):
        export(Branch(), tmp_path / "net.onnx", torch.ones(2, 3))


def test_different_outputs_leave_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "net.pt2"
    path.write_text("old")
    write = module._write_program

    def wrong(program, temporary):
        run = write(program, temporary)
        return lambda example: [1.01 * output for output in run(example)]

    monkeypatch.setitem(module._WRITERS, ".pt2", wrong)
    with pytest.raises(InputError, match=r"differs .* by 0\.01 .* was not written"):
        export(nn.Linear(4, 2), path, torch.randn(2, 4))
    assert path.read_text() == "old"
    assert export(nn.Linear(4, 2), path, torch.randn(2, 4), tolerance=0.02) == pytest.approx(0.01, rel=1e-4)


def test_nan_agrees_with_nan_alone(tmp_path, monkeypatch):
    model, x = nn.Linear(2, 2), torch.ones(2, 2)
    nn.init.constant_(model.bias, float("nan"))
    assert export(model, tmp_path / "nan.pt2", x) == 0
    write = module._write_program
    monkeypatch.setitem(module._WRITERS, ".pt2", lambda *given: lambda one: [write(*given)(one)[0].nan_to_num(0.0)])
    with pytest.raises(InputError, match="differs from the network by inf"):
        export(model, tmp_path / "other.pt2", x)


def test_a_network_that_draws_numbers_cannot_be_checked(tmp_path):
    class Restless(nn.Module):
        def forward(self, x):
            return nn.functional.dropout(x, 0.5, training=True)

    with pytest.raises(InputError, match="other outputs each time"):
        export(Restless(), tmp_path / "net.pt2", torch.ones(2, 50))
    assert list(tmp_path.iterdir()) == []


def test_unknown_suffix(tmp_path):
    with pytest.raises(InputError, match=r"'\.onx'; did you mean '\.onnx'"):
        export(nn.Linear(4, 2), tmp_path / "net.onx", torch.zeros(2, 4))


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r'onnxruntime; pip install "gasl\[export\]"'):
        export(nn.Linear(4, 2), tmp_path / "net.onnx", torch.zeros(2, 4))


def test_the_exporter_is_silent(tmp_path, capfd):
    heard = []
    listener = logging.Handler(logging.WARNING)
    listener.emit = heard.append
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx._internal.exporter._registration")]
    for logger in loggers:
        logger.addHandler(listener)
    try:
        export(nn.Linear(4, 2), tmp_path / "net.onnx", torch.zeros(2, 4))
    finally:
        for logger in loggers:
            logger.removeHandler(listener)
    assert [record.getMessage() for record in heard] == []
    assert capfd.readouterr() == ("", "")

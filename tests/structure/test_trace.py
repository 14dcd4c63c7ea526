"""What tracing promises around the pass: nothing is touched, nothing is hidden, errors say what to do."""

import copy
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from gasl.errors import InputError
from gasl.removal import shrink
from gasl.structure.gather import GatherLinear
from gasl.structure.inputs import copied
from gasl.structure.running import output_tensors, unwrapped
from gasl.structure.trace import trace
from structure.nets import Fn, axes_of, image


class Restless(nn.Module):
    """Draws random numbers and counts its calls even in evaluation mode, and works in place."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.out = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("total", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        self.total = self.total + 1
        x.mul_(2)
        return self.out(self.bn(self.conv(x)) + 0 * torch.rand(1))


def test_the_model_its_inputs_and_the_random_state_are_left_untouched():
    model = Restless()
    model.bn.eval()
    handle = model.conv.register_forward_hook(lambda *_: None)
    model.out(model.conv(image())).sum().backward()
    total = model.total
    before = copy.deepcopy(model)
    grads = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    x = image()
    kept, state = x.clone(), torch.get_rng_state()
    trace(model, x)
    assert torch.equal(x, kept)
    assert torch.equal(torch.get_rng_state(), state)
    assert [m.training for m in model.modules()] == [m.training for m in before.modules()]
    assert all(torch.equal(v, before.state_dict()[k]) for k, v in model.state_dict().items())
    assert model.total is total
    for parameter, grad in zip(model.parameters(), grads, strict=True):
        assert parameter.grad is None if grad is None else torch.equal(parameter.grad, grad)
    assert list(model.conv._forward_hooks) == [handle.id]
    assert torch.backends.mha.get_fastpath_enabled()


def test_everything_is_restored_after_an_error_too():
    model = Restless()
    with pytest.raises(InputError, match=r"does not run on example_inputs of shapes \[\(2, 5, 8, 8\)\]"):
        trace(model, image(channels=5))
    assert model.training
    assert float(model.calls) == float(model.total) == 0
    assert torch.backends.mha.get_fastpath_enabled()


class Demanding(nn.Module):
    def forward(self, x):
        assert x.shape[1] == 7, "seven channels, please"
        return x


@pytest.mark.parametrize(
    ("model", "inputs", "words"),
    [
        (nn.Linear(3, 2), torch.zeros(2, 4), "does not run"),
        (nn.Linear(3, 2), {"wrong": torch.zeros(2, 3)}, "unexpected keyword"),
        (nn.Linear(3, 2), (), "missing 1 required positional"),
        (Demanding(), torch.zeros(2, 3), "seven channels"),
        (Fn(lambda m, x: None), torch.zeros(2, 3), "returns no tensor"),
        (Fn(lambda m, x: torch.distributions.Normal(x, 1.0)), torch.zeros(2, 3), "returns a Normal"),
    ],
)
def test_what_cannot_be_traced_is_an_input_error(model, inputs, words):
    with pytest.raises(InputError, match=words):
        trace(model, inputs)


@dataclass
class Result:
    scores: torch.Tensor
    hidden: object = None


def test_outputs_in_a_dataclass_are_seen():
    layers = {"a": nn.Linear(3, 4), "b": nn.Linear(4, 2)}
    x = torch.randn(2, 3)
    assert axes_of(Fn(lambda m, x: Result(m.b(m.a(x))), **layers), x) == {"a": 4}
    assert axes_of(Fn(lambda m, x: Result(m.b(h := m.a(x)), {"h": [h]}), **layers), x) == {}
    assert len(output_tensors(Result(x, [x, (x, 1.0, "a", None)]))) == 3


def test_inputs_by_keyword_and_by_position():
    model = Fn(lambda m, x: m.b(m.a(x)), a=nn.Linear(3, 4), b=nn.Linear(4, 2))
    x = torch.randn(2, 3)
    assert str(trace(model, x)) == str(trace(model, [x])) == str(trace(model, (x,)))
    named = nn.Sequential(nn.Linear(3, 2))
    assert str(trace(named, x)) == str(trace(named, {"input": x}))


def test_copied_inputs_keep_what_autograd_needs():
    x = torch.randn(2, requires_grad=True)
    fresh = copied({"x": x, "n": 3}, nn.Linear(2, 2))
    assert fresh["x"] is not x and fresh["x"].requires_grad and fresh["x"].is_leaf and fresh["n"] == 3  # noqa: PT018


def test_inputs_follow_a_network_that_a_trainer_converted():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        model[0].weight[0] = 0
    x = torch.randn(2, 3)
    assert axes_of(model, x) == {"0": 4}
    small, _ = shrink(model, x)
    assert small[0].weight.dtype == torch.float64
    assert small[0].out_features == 3


def test_compiled_models_and_parts_are_looked_through():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    compiled = torch.compile(model, backend="eager")
    assert unwrapped(compiled) is model
    assert axes_of(compiled, torch.randn(2, 3)) == {"0": 4}
    inner = nn.Sequential(torch.compile(nn.Linear(3, 4), backend="eager"), nn.Linear(4, 2))
    assert axes_of(inner, torch.randn(2, 3)) == {"0._orig_mod": 4}


def test_frozen_parameters_and_no_grad_do_not_matter():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Conv2d(4, 2, 1))
    pages = {str(trace(model, image()))}
    with torch.no_grad():
        pages.add(str(trace(model, image())))
    pages.add(str(trace(model.requires_grad_(False), image())))
    assert len(pages) == 1


def test_the_table_names_axes_members_and_reasons():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.LayerNorm([4, 8, 8]), nn.Conv2d(4, 5, 1), nn.Conv2d(5, 2, 1))
    lines = str(trace(model, image())).splitlines()
    assert lines[0].split() == ["axis", "size", "kind", "members"]
    assert lines[1].split(maxsplit=3) == ["2", "5", "width", "2.weight[0], 2.bias[0], 3.weight[1]"]
    assert lines[3] == "protected"
    assert lines[4].startswith("0  4  aten.native_layer_norm: the norm's mean")
    assert lines[5] == "3  2  model output"


def test_an_unknown_axis_is_named():
    structure = trace(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), torch.randn(2, 3))
    assert structure.axis("0").size == 4
    with pytest.raises(InputError, match=r"unknown axis '0.im'; did you mean '0.in'"):
        structure.axis("0.im")


def test_gathering_layers_are_followed():
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(), GatherLinear(torch.tensor([6, 0, 1]), 3), nn.Linear(3, 2))
    structure = trace(model, image(size=2))
    assert [(a.name, a.size, a.kind) for a in structure.axes] == [
        ("0", 2, "width"),
        ("2.in", 3, "features"),
        ("2", 3, "width"),
    ]
    affine = structure.affines[1]
    assert affine.index.tolist() == [6, 0, 1]
    assert affine.source.numel() == 8
    a, b = structure.units_of(structure.axis("0")).tolist()
    assert affine.labels.tolist() == [b, a, a]


def test_a_gathering_layer_that_is_called_twice_is_protected():
    model = Fn(
        lambda m, x: m.out(m.gather(m.a(x)) + m.gather(m.b(x))),
        a=nn.Linear(3, 4), b=nn.Linear(3, 4), gather=GatherLinear(torch.tensor([1, 3]), 5), out=nn.Linear(5, 2),
    )  # fmt: skip
    assert axes_of(model, torch.randn(2, 3)) == {"gather": 5}


@pytest.mark.parametrize(
    ("units", "words"),
    [
        (
            torch.tensor([False, True] * 4),
            r"units 0\.\.7; .* a mask of 8 .* mask\.nonzero\(\)\.flatten\(\)\.tolist\(\)",
        ),
        ([False, True] * 4, "a mask of 8 truth values"),
        ([1.7], r"takes whole numbers, got \[1\.7"),
        ([8], r"has units 0\.\.7, got \[8\]"),
        ([-1], r"has units 0\.\.7, got \[-1\]"),
        (None, "takes their numbers, got None"),
        ("12", "takes their numbers, got '12'"),
    ],
)
def test_units_that_are_no_numbers_are_refused(units, words):
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    axis = trace(model, torch.zeros(1, 4)).axis("0")
    with pytest.raises(InputError, match=words):
        axis.zero_(units)
    assert bool((model[0].weight != 0).all())
    axis.zero_([])
    axis.zero_(torch.tensor([3]))
    assert (model[0].weight == 0).all(1).nonzero().flatten().tolist() == [3]

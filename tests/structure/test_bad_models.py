"""Networks that are broken, wrapped or odd: each has a defined answer, the right result or one clear error."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations, prune

import gasl
from gasl.errors import InputError
from structure.nets import Fn


def x(batch=3):
    return torch.randn(batch, 4)


def mlp():
    """Three of eight units are dead."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        model[0].weight[:3], model[0].bias[:3] = 0, 0
    return model


def changed(change):
    model = mlp()
    change(model)
    return model


def quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao moves to another package
        return torch.ao.quantization.quantize_dynamic(mlp(), {nn.Linear})


def scripted(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is old
        return torch.jit.script(model)


def traced(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(model, x())


def in_inference_mode():
    with torch.inference_mode():
        return mlp()


def a_float8_weight(model):
    model[0].weight = nn.Parameter(model[0].weight.detach().to(torch.float8_e4m3fn), requires_grad=False)


USES = {
    "trace": lambda model, path: gasl.trace(model, x()),
    "shrink": lambda model, path: gasl.shrink(model, x()),
    "Sparsifier": lambda model, path: gasl.Sparsifier(model, gasl.GroupLasso(strength=0.1), x()),
    "measure": lambda model, path: gasl.measure(model, x(), seconds=0.001),
    "save": lambda model, path: gasl.save(model, path / "net.safetensors"),
    "export": lambda model, path: gasl.export(model, path / "net.pt2", x()),
}
UNREADABLE = {
    "a function": (lambda: F.relu, "must be an nn.Module, got function"),
    "a class": (lambda: nn.Linear, "got the class Linear; make one of it"),
    "meta": (lambda: mlp().to("meta"), "'0.weight' on the meta device, without values; load its weights"),
    "partly meta": (lambda: changed(lambda m: m[2].to("meta")), "'2.weight' on the meta device"),
    "scripted": (lambda: scripted(mlp()), "compiled by TorchScript; take the nn.Module"),
    "with a scripted part": (lambda: nn.Sequential(mlp(), scripted(nn.ReLU())), "has '1', which is compiled by Torch"),
    "traced": (lambda: traced(mlp()), "compiled by TorchScript"),
    "an exported program": (lambda: torch.export.export(mlp(), (x(),)).module(), r"a program of torch\.export"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3)), "'0.weight' not yet initialised; call the network once"),
    "quantised": (quantised, "has '0', which is quantised; take the network before"),
    "float8": (lambda: changed(a_float8_weight), "'0.weight' quantised"),
}  # fmt: skip
UNTRACEABLE = {
    "complex": (lambda: mlp().to(torch.complex64), "'0.weight' of type torch.complex64; complex weights have no rule"),
    "no elements": (lambda: nn.Sequential(nn.Linear(4, 0), nn.Linear(0, 3)), r"'0.weight' of shape \(0, 4\), without"),
    "inference mode": (in_inference_mode, "'0.weight' made in torch.inference_mode"),
}
PROCESSING = ("trace", "shrink", "Sparsifier")


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors", "ignore:.*are a new feature")
@pytest.mark.parametrize(
    ("kind", "use"),
    [(kind, use) for kind in UNREADABLE for use in USES] + [(kind, use) for kind in UNTRACEABLE for use in PROCESSING],
)
def test_what_cannot_be_done_is_one_clear_error(kind, use, tmp_path):
    make, words = (UNREADABLE | UNTRACEABLE)[kind]
    with pytest.raises(InputError, match=words):
        USES[use](make(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def processes():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:FSDP is switching")
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("version", [1, 2])
def test_sharded_networks_are_named(processes, tmp_path, version, use):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

    if version == 1:
        model = nn.Sequential(FullyShardedDataParallel(mlp(), device_id=torch.device("cpu")))
    else:
        model = mlp()
        fully_shard(model[0], mesh=init_device_mesh("cpu", (1,)))
    with pytest.raises(InputError, match="'0', which is sharded over processes by FSDP"):
        USES[use](model, tmp_path)


WRAPPERS = {
    "DataParallel": nn.DataParallel,
    "DistributedDataParallel": nn.parallel.DistributedDataParallel,
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "both": lambda model: nn.parallel.DistributedDataParallel(torch.compile(model, backend="eager")),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrapped_networks_are_unwrapped(processes, tmp_path, wrapper):
    bare, inputs = mlp(), x()
    model = WRAPPERS[wrapper](bare)
    assert [axis.name for axis in gasl.trace(model, inputs).axes] == ["0.in", "0"]
    small, removal = gasl.shrink(model, inputs)
    assert type(small) is nn.Sequential
    assert removal.widths["0"] == (8, 5)
    torch.testing.assert_close(small(inputs), bare(inputs))
    assert gasl.Sparsifier(model, gasl.GroupLasso(strength=0.1), inputs).model is bare
    assert gasl.measure(model, inputs, seconds=0.001).params == 67
    gasl.save(model, tmp_path / "net")
    assert torch.equal(gasl.load(tmp_path / "net", build=mlp)(inputs), bare(inputs))
    assert gasl.export(model, tmp_path / "net.pt2", inputs) < 1e-6


def test_active_dropout_is_out_of_the_way_and_stays_on():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)).train()
    with torch.no_grad():
        model[0].weight[:3] = 0
        model[0].bias[:3] = 0
    small, removal = gasl.shrink(model, x())
    assert removal.widths["0"] == (8, 5)
    assert all(module.training for module in [*model.modules(), *small.modules()])


def test_a_forward_that_always_draws_numbers_keeps_those_units():
    def forward(m, x):
        return m.out(F.dropout(m.mid(F.relu(m.a(x))), 0.5, training=True))

    model = Fn(forward, a=nn.Linear(4, 8), mid=nn.Linear(8, 6), out=nn.Linear(6, 3))
    with torch.no_grad():
        for layer in (model.a, model.mid):
            layer.weight[:3], layer.bias[:3] = 0, 0
    widths = {axis.name: axis.size for axis in gasl.trace(model, x()).axes}
    assert "mid" not in widths
    assert widths["a"] == 8


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("use", ["shrink", "Sparsifier"])
def test_weights_that_are_no_numbers_are_named(tmp_path, use, value):
    model = mlp()
    model[2].weight.data[0, :2] = value
    with pytest.raises(InputError, match=r"'2.weight' holds 2 values that are no number \(NaN or infinity\); load"):
        USES[use](model, tmp_path)


def test_nan_does_not_matter_where_no_value_is_judged(tmp_path):
    model, inputs = mlp(), x()
    model[2].weight.data[0, 0] = float("nan")
    assert [axis.name for axis in gasl.trace(model, inputs).axes] == ["0.in", "0"]
    assert gasl.measure(model, inputs, seconds=0.001).macs == 56
    gasl.save(model, tmp_path / "net")
    back = gasl.load(tmp_path / "net", build=mlp)
    torch.testing.assert_close(back(inputs), model(inputs), equal_nan=True)
    assert gasl.export(model, tmp_path / "net.pt2", inputs) < 1e-6


def test_a_mask_of_infinities_and_large_weights_are_numbers():
    model, inputs = mlp().half(), x()
    model.register_buffer("mask", torch.full((3, 3), float("-inf")).triu(1))
    model[0].weight.data[3:] = 4e4  # their sum is beyond the type
    _, removal = gasl.shrink(model, inputs * 1e-3)
    assert removal.widths["0"] == (8, 5)


def three(change):
    """Dead units in both hidden layers; the change makes the first one's weight a computed one."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight[:3] *= 1e-3
            layer.bias[:3] = 0
        model[2].weight[:3] = 0
    change(model[0])
    return model


def mask(layer):
    prune.ln_structured(layer, "weight", 0.5, 2, 0)


def old_weight_norm(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.nn.utils.weight_norm(layer)


@pytest.mark.parametrize(
    "change", [parametrizations.weight_norm, parametrizations.spectral_norm, mask, old_weight_norm]
)
def test_a_computed_weight_is_left_whole(tmp_path, change):
    model, inputs = three(change).eval(), x()
    structure = gasl.trace(model, inputs)
    assert "2" in [axis.name for axis in structure.axes]
    small, removal = gasl.shrink(model, inputs)
    assert removal.widths["2"] == (6, 3)
    assert small[2].in_features == 8
    assert {n: p.shape for n, p in small[0].named_parameters()} == {n: p.shape for n, p in model[0].named_parameters()}
    torch.testing.assert_close(small(inputs), model(inputs))
    gasl.save(small, tmp_path / "net")
    torch.testing.assert_close(gasl.load(tmp_path / "net", build=lambda: three(change))(inputs), model(inputs))
    assert gasl.export(small, tmp_path / "net.pt2", inputs) < 1e-6


def test_hooks_are_part_of_the_forward():
    model, inputs, calls = mlp(), x(), []
    model[1].register_forward_hook(lambda module, given, output: output + 1)
    model[0].register_forward_pre_hook(lambda module, given: (2 * given[0],))
    model[2].register_full_backward_hook(lambda *given: calls.append(given[0]))
    small, removal = gasl.shrink(model, inputs)
    assert removal.widths["0"] == (8, 5)
    torch.testing.assert_close(small(inputs), model(inputs))
    small(inputs).sum().backward()
    assert calls == [small[2]]


def test_a_parameter_that_no_forward_reads_is_left_whole():
    model, inputs = mlp(), x()
    model.centres = nn.Parameter(torch.randn(5, 8))  # a loss reads it
    model.twin = model[0].weight  # this is the weight itself
    small, _ = gasl.shrink(model, inputs)
    assert torch.equal(small.centres, model.centres)
    assert small.twin is small[0].weight
    assert small.twin.shape == (5, 4)


BRANCHES = {
    "if": lambda m, x: m.out(m.a(x).relu() if x.sum() > 0 else m.a(x).sigmoid()),
    "other layers": lambda m, x: m.out(m.a(x).relu() if x.mean().item() > 0 else m.b(x)),
    "activations": lambda m, x: m.out(m.a(x).relu()) if float(m.out(m.a(x)).max()) > 0 else m.out(m.b(x)),
    "routing": lambda m, x: m.out((m.a, m.b)[int(m.gate(x)[0].argmax())](x)),
    "equal": lambda m, x: m.out(m.a(x) if torch.equal(x, x.abs()) else m.b(x)),
    "found": lambda m, x: m.out(m.a(x) if len((x > 9).nonzero()) == 0 else m.b(x)),
}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("kind", BRANCHES)
def test_a_forward_that_chooses_by_values_is_left_whole(kind, sign):
    model = Fn(BRANCHES[kind], a=nn.Linear(4, 8), b=nn.Linear(4, 8), gate=nn.Linear(4, 2), out=nn.Linear(8, 3))
    with torch.no_grad():
        model.a.weight[:3], model.a.bias[:3], model.b.weight[:3], model.b.bias[:3] = 0, 0, 0, 0
    inputs = sign * x().abs()
    structure = gasl.trace(model, inputs)
    assert [axis.name for axis in structure.axes if axis.kind == "width"] == []
    assert any("chooses its path by values (aten." in protected.reason for protected in structure.protected)


def test_what_python_reads_of_masks_and_parameters_is_no_choice():
    def forward(m, x):
        mask = torch.ones(x.shape[0], 1, dtype=torch.bool)
        hidden = m.a(x) if mask.all() and float(m.scale) > 0 else m.b(x)
        return m.out(hidden * mask)

    model = Fn(forward, a=nn.Linear(4, 8), b=nn.Linear(4, 8), out=nn.Linear(8, 3))
    model.scale = nn.Parameter(torch.ones(()))
    assert "a" in [axis.name for axis in gasl.trace(model, x()).axes]


@pytest.mark.parametrize("choice", ["tokens", "values"])
def test_tokens_and_masks_may_be_read_but_not_what_they_stand_for(choice):
    def forward(m, ids, mask):
        embedded = m.embed(ids[:, : int(mask.sum(1).max())])
        read = embedded.mean() if choice == "values" else ids.max()
        return m.out(m.a(embedded)) if float(read) < 1e9 else m.out(m.b(embedded))

    layers = {"embed": nn.Embedding(9, 4), "a": nn.Linear(4, 8), "b": nn.Linear(4, 8), "out": nn.Linear(8, 3)}
    ids, mask = torch.arange(6).reshape(2, 3), torch.ones(2, 3, dtype=torch.bool)
    structure = gasl.trace(Fn(forward, **layers), (ids, mask))
    assert ("a" in [axis.name for axis in structure.axes]) == (choice == "tokens")

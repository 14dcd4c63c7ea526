import copy
import importlib
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gasl.errors import FileError, InputError
from gasl.files.store import load, save
from gasl.models import LeNet5
from gasl.removal import GatherLinear, shrink
from gasl.removal.resize import fit_attributes, set_attributes, set_tensors

module = importlib.import_module("gasl.files.store")


def small_lenet():
    torch.manual_seed(0)
    model = LeNet5().double()
    with torch.no_grad():
        model.conv2.weight[::2] = 0  # with biases: constants to fold
        model.fc1.weight[:, ::3] = 0
        model.fc1.weight[::5] = 0
    return shrink(model, torch.randn(2, 1, 28, 28).double())[0]


class NoBias(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2, bias=False)

    def forward(self, x):
        return self.b(torch.sigmoid(self.a(x)))


class Tied(nn.Module):
    def __init__(self, tied=True):
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4)
        if tied:
            self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.norm(self.a(x)))


def assert_same_state(left, right):
    ours, theirs = left.state_dict(), right.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(v, theirs[k]) and v.dtype == theirs[k].dtype for k, v in ours.items())


def test_a_shrunk_and_gathered_network_comes_back(tmp_path):
    small = small_lenet()
    save(small, tmp_path / "a" / "small.safetensors")
    back = load(tmp_path / "a" / "small.safetensors", build=LeNet5)
    assert_same_state(back, small)
    assert isinstance(back.fc1, GatherLinear)
    assert not back.training
    assert (back.conv2.out_channels, back.fc1.in_features) == (small.conv2.out_channels, small.fc1.in_features)
    x = torch.randn(3, 1, 28, 28).double()
    assert torch.equal(back(x), small.eval()(x))
    assert all(p.requires_grad for p in back.parameters())


def test_a_bias_that_folding_made_comes_back(tmp_path):
    model = NoBias().double()
    with torch.no_grad():
        model.a.weight[1] = 0
    small, _ = shrink(model, torch.randn(2, 3).double())
    assert small.b.bias is not None
    save(small, tmp_path / "m")
    back = load(tmp_path / "m", build=NoBias)
    assert_same_state(back, small)


def test_ties_and_buffers_come_back(tmp_path):
    model = Tied()
    model(torch.randn(8, 4))
    save(model, tmp_path / "m")
    back = load(tmp_path / "m", build=Tied)
    assert back.a.weight is back.b.weight
    assert_same_state(back, model)
    assert int(back.norm.num_batches_tracked) == 1


def test_compiled_networks_and_all_dtypes(tmp_path):
    model = nn.Linear(3, 2).bfloat16()
    model.register_buffer("mask", torch.tensor([True, False]))
    model.register_buffer("empty", torch.zeros(0, 3))
    model.register_buffer("strided", torch.arange(6).reshape(2, 3).t())

    def build():
        layer = nn.Linear(3, 2)
        layer.register_buffer("mask", torch.zeros(2, dtype=torch.bool))
        layer.register_buffer("empty", torch.zeros(0, 3))
        layer.register_buffer("strided", torch.zeros(3, 2))
        return layer

    save(torch.compile(model, backend="eager"), tmp_path / "m")
    assert_same_state(load(tmp_path / "m", build=build), model)


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "m"
    save(nn.Linear(3, 2), path)
    old = path.read_bytes()

    class Odd(nn.Linear):
        def get_extra_state(self):
            return {"a": 1}

    class Counted(nn.Linear):
        def get_extra_state(self):
            return torch.zeros(2)

    with pytest.raises(InputError, match="'_extra_state' is a dict"):
        save(Odd(3, 2), path)
    with pytest.raises(InputError, match=r"'0._extra_state' is a Tensor"):
        save(nn.Sequential(Counted(3, 2)), path)
    assert path.read_bytes() == old
    save(nn.Linear(5, 2), path)
    assert load(path, build=lambda: nn.Linear(9, 9)).in_features == 5
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_no_byte_can_be_altered_and_no_length_lost(tmp_path):
    path = tmp_path / "m"
    torch.manual_seed(0)
    save(nn.Linear(2, 1), path)
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(FileError):
            load(path, build=lambda: nn.Linear(2, 1))
    for length in (0, 1, 8, 100, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(FileError, match="truncated"):
            load(path, build=lambda: nn.Linear(2, 1))
    path.write_bytes(data)
    load(path, build=lambda: nn.Linear(2, 1))


class Trap:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code from a file ran')",))


def test_foreign_files_are_refused_and_never_run(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(FileError, match="not a safetensors file"):
        load(path, build=LeNet5)
    torch.save({"w": torch.zeros(2)}, path)
    with pytest.raises(FileError, match="not a safetensors file"):
        load(path, build=LeNet5)
    save_file({"weight": torch.zeros(1, 2)}, path)
    with pytest.raises(FileError, match=r"not written by gasl\.save \(format None, wanted 'gasl-1'\)"):
        load(path, build=LeNet5)
    save_file({"weight": torch.zeros(1, 2)}, path, metadata={"format": "gasl-1"})
    with pytest.raises(FileError, match=r"not written by gasl\.save"):
        load(path, build=LeNet5)
    with pytest.raises(FileError, match="there is no file"):
        load(tmp_path / "none", build=LeNet5)
    with pytest.raises(FileError, match="there is no file"):
        load(tmp_path, build=LeNet5)


@pytest.mark.parametrize(
    ("model", "build", "words"),
    [
        (lambda: nn.Linear(3, 2), NoBias, "does not fit NoBias: a.bias, a.weight"),
        (
            lambda: nn.Sequential(nn.Linear(3, 2)),
            lambda: nn.Sequential(nn.Linear(3, 2, bias=True), nn.PReLU()),
            "1.weight",
        ),
        (lambda: nn.Conv2d(3, 2, 5), lambda: nn.Conv2d(3, 2, 3), r"'weight' has shape \(2, 3, 5, 5\) in the file"),
        (lambda: nn.Conv1d(3, 2, 5), lambda: nn.Conv2d(3, 2, 5), "only widths may differ"),
        (Tied, lambda: Tied(False), "'b.weight' is tied to another in only one of them"),
        (lambda: Tied(False), Tied, "'b.weight' is tied to another in only one of them"),
        (small_lenet, lambda: nn.Sequential(nn.Conv2d(1, 20, 5)), "fit Sequential: the file has a linear layer 'fc1'"),
    ],
)
def test_another_class_is_refused(tmp_path, model, build, words):
    save(model(), tmp_path / "m")
    with pytest.raises(FileError, match=words):
        load(tmp_path / "m", build=build)


def test_build_must_make_a_network(tmp_path):
    save(nn.Linear(3, 2), tmp_path / "m")
    with pytest.raises(InputError, match=r"build must make an nn\.Module, got int"):
        load(tmp_path / "m", build=lambda: 3)


def test_a_bias_is_only_added_where_there_is_room_for_one(tmp_path):
    save(nn.Sequential(nn.Linear(3, 2)), tmp_path / "m")
    back = load(tmp_path / "m", build=lambda: nn.Sequential(nn.Linear(3, 2, bias=False)))
    assert back[0].bias.shape == (2,)


class Heads(nn.Module):
    """Attention whose forward holds its heads, its scale and a mask's shape as numbers, and cached frequencies."""

    def __init__(self, heads=4, head_width=6):
        super().__init__()
        self.heads, self.scale, self.shape = heads, head_width**-0.5, (heads, head_width)
        self.qkv, self.out = nn.Linear(8, 3 * heads * head_width), nn.Linear(heads * head_width, 8)
        self.register_buffer("frequencies", torch.linspace(1, 2, head_width), persistent=False)
        self.register_buffer("cache", torch.zeros(0), persistent=False)

    def forward(self, x):
        if self.cache.numel() == 0:
            self.cache = torch.arange(x.shape[1], dtype=x.dtype)
        q, k, v = self.qkv(x).unflatten(-1, (3, *self.shape)).permute(2, 0, 3, 1, 4)
        q, k = q * self.frequencies, k * self.frequencies
        weights = torch.softmax(self.scale * q @ k.mT, -1)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


def fewer_heads():
    """Two of four heads and four of six channels in each, by hand."""
    model, wanted = nn.Sequential(Heads()), Heads(2, 4)
    tensors = {f"0.{name}": value.detach() for name, value in wanted.state_dict().items()}
    set_tensors(model, tensors | {"0.frequencies": wanted.frequencies})
    set_attributes(model, {"0.heads": 2, "0.scale": 0.5, "0.shape": (2, 4)})
    fit_attributes(model)
    x = torch.randn(2, 3, 8)
    assert torch.equal(model(x), wanted(x))
    return model


def test_changed_numbers_and_cut_caches_come_back(tmp_path):
    model, x = fewer_heads(), torch.randn(2, 3, 8)
    save(model, tmp_path / "m")
    back = load(tmp_path / "m", build=lambda: nn.Sequential(Heads()))
    assert_same_state(back, model)
    assert torch.equal(back(x), model(x))
    assert back[0].shape == (2, 4)
    save(back, tmp_path / "again")  # the numbers are noted in what was loaded, too
    assert torch.equal(load(tmp_path / "again", build=lambda: nn.Sequential(Heads()))(x), model(x))


def test_a_part_of_a_network_keeps_its_numbers(tmp_path):
    model, x = fewer_heads(), torch.randn(2, 3, 8)
    save(model[0], tmp_path / "m")
    assert torch.equal(load(tmp_path / "m", build=Heads)(x), model(x))


def test_hooks_that_rename_the_state_do_not_matter(tmp_path):
    def build():
        model = nn.Sequential(nn.Linear(3, 2))
        model.register_state_dict_post_hook(
            lambda module, state, prefix, _: state.update({"old.w": state.pop(prefix + "0.weight")})
        )
        return model

    model = build()
    assert set(model.state_dict()) == {"0.bias", "old.w"}
    save(model, tmp_path / "m")
    assert_same_state(load(tmp_path / "m", build=build), model)


def test_a_number_that_the_class_lacks_is_refused(tmp_path):
    class Renamed(Heads):
        def __init__(self):
            super().__init__()
            del self.scale

    save(fewer_heads()[0], tmp_path / "m")
    with pytest.raises(FileError, match=r"does not fit Renamed: 'scale' cannot become 0.5: there is none"):
        load(tmp_path / "m", build=Renamed)


def test_widths_beyond_the_second_dimension_may_differ(tmp_path):
    class Positions(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.positions = nn.Parameter(torch.randn(1, 4, width))
            self.mix = nn.Parameter(torch.randn(2, 3, width))

    model = Positions(5)
    save(model, tmp_path / "m")
    assert_same_state(load(tmp_path / "m", build=lambda: Positions(7)), model)


def test_a_bias_made_in_a_layer_with_two_names_comes_back(tmp_path):
    def build():
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2, bias=False))
        model.head = model[1]
        return model

    model = build()
    set_tensors(model, {"1.bias": torch.randn(2)})
    save(model, tmp_path / "m")
    back = load(tmp_path / "m", build=build)
    assert back.head.bias is back[1].bias
    assert_same_state(back, model)


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("[]", "cannot read"),
        ('{"aliases": {}, "gathers": [], "attributes": {}, "code": "import os"}', "cannot read"),
        ('{"aliases": {"bias": "none"}}', "cannot read"),
        ('{"aliases": {"bias": "weight"}}', "cannot read"),
        ('{"aliases": []}', "cannot read"),
        ('{"gathers": 3}', "cannot read"),
        ('{"attributes": [1]}', "cannot read"),
        ('{"gathers": ["weight"]}', "has a linear layer 'weight'"),
        ('{"gathers": [""]}', "has a linear layer ''"),
        ('{"attributes": {"in_features.real": 1}}', "there is none"),
        ('{"attributes": {"training": 1}}', "the module has True"),
        ('{"attributes": {"forward": 1}}', "there is none"),
        ('{"attributes": {"_parameters": {}}}', "cannot become"),
    ],
)
def test_a_layout_made_by_hand_is_refused(tmp_path, layout, words):
    tensors = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}
    digest = module._digest(tensors, layout)
    save_file(tensors, tmp_path / "m", metadata={"format": "gasl-1", "layout": layout, "sha256": digest})
    with pytest.raises(FileError, match=words):
        load(tmp_path / "m", build=lambda: nn.Linear(3, 2))


def test_an_altered_layout_is_refused(tmp_path):
    save(fewer_heads(), tmp_path / "m")
    data = (tmp_path / "m").read_bytes()
    old, new = rb"\"0.heads\": 2", rb"\"0.heads\": 4"
    assert old in data
    (tmp_path / "m").write_bytes(data.replace(old, new))
    with pytest.raises(FileError, match="was altered"):
        load(tmp_path / "m", build=lambda: nn.Sequential(Heads()))


def test_what_was_loaded_is_compiled_copied_and_shrunk_again(tmp_path):
    small = small_lenet()
    save(small, tmp_path / "m")
    back, x = load(tmp_path / "m", build=LeNet5), torch.randn(3, 1, 28, 28).double()
    assert torch.equal(torch.compile(back, backend="aot_eager", fullgraph=True)(x), small.eval()(x))
    assert torch.equal(copy.deepcopy(back)(x), small(x))
    with torch.no_grad():
        back.conv1.weight[:3] = 0
        back.fc1.weight[:7] = 0
    smaller, removal = shrink(back, x)
    assert (removal.axes[0].alive, smaller.conv1.out_channels) == (17, 17)
    torch.testing.assert_close(smaller(x), back(x))
    save(smaller, tmp_path / "m")
    assert torch.equal(load(tmp_path / "m", build=LeNet5)(x), smaller.eval()(x))


@pytest.mark.parametrize("path", [".", "..", "made/.."])
def test_a_folder_is_no_file(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match="is a folder, a file is wanted; give a name in it"):
        save(nn.Linear(2, 1), path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("device", ["foo", "cuda:99", ("cpu",)])
def test_a_device_that_is_not_there_is_refused(tmp_path, device):
    save(nn.Linear(2, 1), tmp_path / "m")
    with pytest.raises(InputError, match=r"device must be one of this machine, e.g. 'cpu' or 'cuda:0', got \(?'"):
        load(tmp_path / "m", build=lambda: nn.Linear(2, 1), device=device)

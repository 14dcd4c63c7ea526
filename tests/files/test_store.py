import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gasl.errors import FileError, InputError
from gasl.files.store import load, save
from gasl.models import LeNet5
from gasl.removal import GatherLinear, shrink


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

    with pytest.raises(InputError, match="'_extra_state' is a dict"):
        save(Odd(3, 2), path)
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
        (small_lenet, lambda: nn.Sequential(nn.Conv2d(1, 20, 5)), "has a linear layer 'fc1' and Sequential has none"),
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

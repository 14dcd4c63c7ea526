"""A constant that depends on the size of the input is not folded: outputs are the same at every size."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import gasl
from gasl.removal import steady
from gasl.removal.verify import largest_difference
from gasl.structure.inputs import repeated


class Net(nn.Module):
    """Sequences of 12 features, eight hidden units, four outputs."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.join = nn.Linear(12, 8), nn.Linear(8, 4), join

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.join(self.a(x), x))


class TalkingHeads(nn.Module):
    """Attention maps are mixed before the softmax and behind it: a dead map is 1 / length everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = nn.Linear(12, 20), nn.Linear(12, 20), nn.Linear(12, 20), nn.Linear(20, 12)
        self.a, self.t = nn.Conv2d(4, 6, 1), nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, t, _ = x.shape
        q, k, v = (f(x).view(b, t, 4, 5).transpose(1, 2) for f in (self.q, self.k, self.v))
        heads = self.t(self.a(q @ k.mT).softmax(-1)) @ v
        return self.out(heads.transpose(1, 2).reshape(b, t, -1))


class Images(nn.Sequential):
    """A sigmoid's values summed over all places."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 8, 3), nn.Linear(8, 4))

    @property
    def a(self) -> nn.Module:
        return self[0]

    def forward(self, x: Tensor) -> Tensor:
        return self[1](torch.sigmoid(self[0](x)).sum((2, 3)))


def by_batch(values: Tensor, x: Tensor) -> Tensor:
    """Time first: what is summed up is dimension 0."""
    return torch.sigmoid(values).sum(0)


MOVING = {
    "sum": (lambda: Net(lambda values, x: torch.sigmoid(values).sum(1)), (2, 6, 12), [(2, 9, 12), (3, 5, 12)]),
    "softmax over time": (lambda: Net(lambda values, x: values.softmax(1)), (2, 6, 12), [(2, 9, 12)]),
    "root of the length": (
        lambda: Net(lambda values, x: torch.tanh(values) * x.shape[1] ** 0.5),
        (2, 7, 12),
        [(2, 9, 12), (2, 3, 12)],
    ),
    "time first": (lambda: Net(by_batch), (6, 2, 12), [(9, 2, 12)]),
    "talking heads": (TalkingHeads, (2, 6, 12), [(2, 9, 12)]),
    "sum of an image": (Images, (2, 3, 9, 9), [(2, 3, 12, 12), (2, 3, 9, 12)]),
    "an image of three pixels a side": (Images, (2, 3, 3, 3), [(2, 3, 12, 12)]),
    "no square": (Images, (2, 3, 8, 10), [(2, 3, 12, 8)]),
    "as long as wide": (
        lambda: Net(lambda values, x: torch.sigmoid(values).sum(1)),
        (2, 12, 12),
        [(2, 9, 12)],
    ),
}


def killed(build: Callable[[], nn.Module]) -> nn.Module:
    """A network of which three units are constants."""
    torch.manual_seed(0)
    model = build().eval()
    with torch.no_grad():
        model.a.weight[:3] = 0
    return model


@pytest.mark.parametrize("name", MOVING)
def test_what_is_another_constant_at_another_size_stays(name: str) -> None:
    build, size, others = MOVING[name]
    model = killed(build)
    small, removal = gasl.shrink(model, torch.randn(size))
    assert all(before == after for before, after in removal.widths.values())
    for other in others:
        x = torch.randn(other)
        assert largest_difference(model(x), small(x)) <= 1e-6


@pytest.mark.parametrize(
    ("build", "size", "others"),
    [
        (lambda: Net(lambda values, x: torch.sigmoid(values).mean(1)), (2, 997, 12), [(2, 40, 12)]),
        (lambda: Net(lambda values, x: torch.sigmoid(values).amax(1)), (2, 6, 12), [(2, 9, 12)]),
        (lambda: Net(lambda values, x: torch.sigmoid(values)), (12, 12, 12), [(2, 9, 12)]),
        (lambda: Net(lambda values, x: torch.relu(values - 9).sum(1)), (2, 6, 12), [(2, 9, 12)]),
        (lambda: Net(lambda values, x: values.unflatten(1, (2, 3)).sum((1, 2))), (2, 6, 12), [(3, 6, 12)]),
    ],
    ids=["mean", "largest", "token by token", "zero", "one size only"],
)
def test_what_is_the_same_at_every_size_goes(
    build: Callable[[], nn.Module], size: tuple[int, ...], others: list[tuple[int, ...]]
) -> None:
    model = killed(build)
    small, removal = gasl.shrink(model, torch.randn(size))
    assert removal.widths["a"][1] <= 5
    for other in [size, *others]:
        x = torch.randn(other)
        assert largest_difference(model(x), small(x)) <= 1e-5


class Translator(nn.Module):
    """Two sequences with a length each, and a mask of the second; it keeps the largest length."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.a, self.b = nn.Embedding(9, 12), nn.Linear(12, 8), nn.Linear(8, 4)
        self.longest = 0

    def forward(self, source: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        self.longest = max(self.longest, source.shape[1], x.shape[1])
        tokens = self.source(source).mean(1, keepdim=True) + x * mask.unsqueeze(2)
        return self.b(torch.sigmoid(self.a(tokens)) * x.shape[1] / source.shape[1])


def test_sizes_that_belong_together_change_together_and_the_model_keeps_no_trace() -> None:
    model = killed(Translator)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    example = {"source": torch.randint(9, (2, 4)), "x": torch.randn(2, 6, 12), "mask": torch.ones(2, 6)}
    small, removal = gasl.shrink(model, example)
    assert removal.widths["a"] == (8, 8)
    longer = {"source": torch.randint(9, (2, 5)), "x": torch.randn(2, 7, 12), "mask": torch.ones(2, 7)}
    assert largest_difference(model(**longer), small(**longer)) <= 1e-6
    model.longest = 0
    gasl.shrink(model, example)
    assert model.longest == 6
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_the_sparsity_on_the_way_is_the_one_of_the_removal() -> None:
    x = torch.randn(2, 6, 12)
    for name, left in (("sum", 8), ("token by token", 5)):
        model = killed(lambda n=name: Net(lambda v, x: torch.sigmoid(v).sum(1) if n == "sum" else torch.sigmoid(v)))
        found = {axis.name: axis.alive for axis in gasl.Sparsifier(model, gasl.GroupLasso(), x).sparsity()}
        assert found["a"] == left
        assert gasl.shrink(model, x)[1].widths["a"] == (8, left)


def test_the_network_is_looked_at_again_only_where_a_number_would_be_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    trace = steady.trace
    monkeypatch.setattr(steady, "trace", lambda *args: passes.append(1) or trace(*args))
    x = torch.randn(2, 6, 12)
    model = killed(lambda: Net(lambda values, x: torch.sigmoid(values).mean(1)))
    gasl.shrink(model, x)
    assert len(passes) >= 2  # half the batch, half the length
    passes.clear()
    whole = Net(lambda values, x: torch.sigmoid(values).mean(1))
    gasl.shrink(whole, x)
    silent = killed(lambda: Net(lambda values, x: torch.relu(values).mean(1)))
    with torch.no_grad():
        silent.a.bias[:3] = 0
    assert gasl.shrink(silent, x)[1].widths["a"][1] == 5
    assert not passes


@pytest.mark.parametrize("wanted", [1, 2, 4, 9])
def test_another_size_is_cut_or_goes_on_from_the_start(wanted: int) -> None:
    x, index = torch.arange(24.0).view(2, 4, 3), torch.arange(8).view(2, 4)
    got = repeated({"x": x, "more": [index, 4]}, 4, wanted, {1})
    assert isinstance(got, dict)
    for k in range(wanted):
        assert torch.equal(got["x"][:, k], x[:, k % 4])
        assert torch.equal(got["more"][0][:, k], index[:, k % 4])
    assert got["more"][1] == 4
    assert torch.equal(got["x"], repeated((x,), 4, wanted, {0, 1})[0])

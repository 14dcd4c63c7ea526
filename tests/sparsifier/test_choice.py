"""What is made sparse and what is left alone: frozen layers, protected axes, floors, seeds, single weights."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import gasl
from gasl.errors import InputError
from gasl.models import LeNet5
from sparsifier.nets import batchnorm, examples, mlp, same, setup, sgd, task, train, weights


@pytest.mark.parametrize("scope", ["filter", "coupled"])
def test_frozen_layers_are_not_penalised_and_stay_frozen(scope):
    model = mlp()
    for p in model[2].parameters():
        p.requires_grad_(False)
    frozen = [p.clone() for p in model[2].parameters()]
    sparsifier = gasl.Sparsifier(model, gasl.GASL(strength=0.5, scope=scope), examples(model))
    # The coupled groups of "0" and "2" hold weights of the frozen layer; of filter groups only those of "0" do.
    assert set(sparsifier.groups.names) == ({"0.in"} if scope == "coupled" else {"0.in", "2"})
    optimizer = sgd(sparsifier, momentum=0.9, weight_decay=0.1)
    assert len(optimizer.param_groups[0]["params"]) == 4
    train(model, sparsifier, optimizer, 40)
    assert same(frozen, model[2].parameters())
    small = sparsifier.finish()
    assert not small.get_parameter("2.weight").requires_grad
    assert not small.get_parameter("2.bias").requires_grad
    assert small.get_parameter("0.weight").requires_grad
    assert sparsifier.removal.widths["0.in"][1] < 6


def test_a_frozen_normalisation_keeps_its_axis_whole():
    model = batchnorm()
    model[1].requires_grad_(False)
    for scope in ("filter", "coupled"):
        sparsifier = gasl.Sparsifier(model, gasl.GASL(strength=0.5, scope=scope), examples(model))
        assert "0" not in sparsifier.groups.names
        assert "3" in sparsifier.groups.names


def test_a_network_that_is_frozen_whole_is_refused_with_the_reason():
    model = mlp().requires_grad_(False)
    with pytest.raises(InputError, match=r"nothing to make sparse.*2: protected or frozen"):
        gasl.Sparsifier(model, gasl.GASL(strength=0.1), examples(model))
    with pytest.raises(InputError, match="no weight to make sparse"):
        gasl.Sparsifier(model, gasl.GASL(strength=0.1, granularity="weight"), examples(model))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(6, 8)
        self.block = nn.Sequential(nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 8))
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.stem(x)
        return self.head(x + self.block(x))


@pytest.mark.parametrize(
    ("protect", "left"),
    [
        (["stem"], {"block.0"}),  # its output and its single inputs
        (["stem.in"], {"stem", "block.0"}),
        (["block.2"], {"stem.in", "block.0"}),  # ends in the same sum as the stem, whose name the axis has
        (["block"], {"stem.in"}),
        (["block.?"], {"stem.in"}),
        (["*.in", "bl*0"], {"stem"}),
        (["head"], {"stem.in", "stem", "block.0"}),
    ],
)
def test_protected_names_modules_and_patterns(protect, left):
    model = Residual()
    sparsifier = gasl.Sparsifier(model, gasl.GroupLasso(strength=50.0), torch.randn(2, 6), protect=protect)
    names = {"stem.in", "stem", "block.0"}
    assert names & set(sparsifier.groups.names) == left
    optimizer = sgd(sparsifier)
    before = {axis.name: axis.alive for axis in sparsifier.sparsity()}
    for _ in range(3):
        (model(torch.randn(4, 6)).square().mean() + sparsifier.penalty()).backward()
        optimizer.step()
        sparsifier.step(optimizer)
    small = sparsifier.finish()
    for name in names - left:
        assert sparsifier.removal.widths[name][1] == before[name]
    assert isinstance(small, Residual)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protect": ["fc9"]}, "unknown axis or module 'fc9'; did you mean 'fc2'"),
        ({"protect": ["convs*"]}, r"unknown axis or module 'convs\*'"),
        ({"protect": "conv1"}, r"list of names, got the string 'conv1'; write protect=\['conv1'\]"),
        ({"protect": ["*"]}, "nothing to make sparse"),
        ({"min_units": 0}, "min_units must be at least 1, got 0"),
        ({"min_units": {"conv3": 2}}, "unknown axis 'conv3'; did you mean 'conv"),
        ({"min_units": {"conv1": 21}}, r"min_units of 'conv1' must lie in 1\.\.20, got 21"),
        ({"min_units": {"conv1": 0}}, r"must lie in 1\.\.20, got 0"),
    ],
)
def test_wrong_choices_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        gasl.Sparsifier(LeNet5(), gasl.GASL(strength=0.1), torch.zeros(1, 1, 28, 28), **options)


@pytest.mark.parametrize("method", [gasl.L1(), gasl.MagnitudePruning(), gasl.L0(granularity="weight")])
@pytest.mark.parametrize("min_units", [3, {"0": 2}])
def test_units_are_not_held_where_single_weights_go(method, min_units):
    with pytest.raises(InputError, match=f"what {type(method).__name__} takes here are single weights"):
        setup(method, min_units=min_units)
    setup(method, min_units={"0": 1})
    setup(gasl.SparseVD(), min_units=min_units)  # whose weights are held for their units


@pytest.mark.parametrize("scope", ["filter", "coupled"])
@pytest.mark.parametrize("min_units", [1, 3, {"0": 4}, 100])
def test_no_axis_falls_below_its_floor_and_the_largest_are_spared(min_units, scope):
    model, sparsifier, optimizer = setup(gasl.GroupLasso(strength=500.0, scope=scope), min_units=min_units)
    floors = {
        name: min_units.get(name, 1) if isinstance(min_units, dict) else min(min_units, norms.numel())
        for name, norms in zip(sparsifier.groups.names, sparsifier.groups.norms(), strict=True)
    }
    for _ in range(3):
        before = [n.detach() for n in sparsifier.groups.norms()]
        train(model, sparsifier, optimizer, 1)
        for name, n, dead in zip(sparsifier.groups.names, before, sparsifier.groups.dead(), strict=True):
            assert int((~dead).sum()) >= floors[name]
            if bool(dead.any()) and not bool((n == 0).any()):
                assert int((~dead).sum()) == floors[name]
                assert not bool(dead[n.argmax()])
    if min_units != 100:
        assert [int((~d).sum()) for d in sparsifier.groups.dead()] == list(floors.values())


def test_the_same_seed_is_the_same_run_and_another_is_not():
    runs = {}
    for key, seed in {"a": 0, "b": 0, "c": 1}.items():
        model, sparsifier, optimizer = setup(gasl.GASL(strength=0.1, beta="fresh"), seed=seed)
        state = torch.get_rng_state()
        train(model, sparsifier, optimizer, 3)
        assert torch.equal(torch.get_rng_state(), state)  # the user's own random numbers are left alone
        runs[key] = weights(model)
    assert same(runs["a"], runs["b"])
    assert not same(runs["a"], runs["c"])


def test_single_weights():
    model = mlp()
    x, y = task(model)
    method = gasl.Attention(strength=0.5, granularity="weight")
    sparsifier = gasl.Sparsifier(model, method, examples(model), protect=["0"])
    assert sparsifier.groups.names == ("2.weight", "4.weight")
    optimizer = sgd(sparsifier)
    first = model[2].weight.detach().clone()
    norms = first.abs().flatten()
    z = (norms - norms.mean()) / norms.var(correction=0).sqrt()
    gradient = torch.autograd.grad(cross_entropy(model(x), y), model[2].weight)[0]
    rate = (0.5 / norms.numel() ** 0.5 * (1 - z).clamp(min=0)).view_as(first)
    train(model, sparsifier, optimizer, 1)
    stepped = first - 0.1 * gradient
    torch.testing.assert_close(model[2].weight.detach(), stepped.sign() * (stepped.abs() - 0.1 * rate).clamp(min=0))
    train(model, sparsifier, optimizer, 60)
    assert 0 < int((model[2].weight == 0).sum()) < model[2].weight.numel()
    assert (model[0].weight != 0).all()
    sparsifier.freeze()
    zeros = model[2].weight == 0
    train(model, sparsifier, sgd(sparsifier, momentum=0.9), 5)
    assert bool((model[2].weight[zeros] == 0).all())
    torch.testing.assert_close(sparsifier.finish()(x), model(x))


def test_neurons_by_their_rows():
    model = mlp()
    x, _ = task(model)
    sparsifier = gasl.Sparsifier(model, gasl.GASL(strength=0.5, scope="filter", linear="out"), examples(model))
    assert sparsifier.groups.names == ("0", "2")
    torch.testing.assert_close(sparsifier.groups.norms()[0], model[0].weight.norm(dim=1))
    train(model, sparsifier, sgd(sparsifier), 60)
    small = sparsifier.finish()
    assert sparsifier.removal.widths["0"][1] < 8
    torch.testing.assert_close(small(x), model(x))


def test_the_wrapper_of_distributed_training_is_looked_through(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        model = mlp()
        wrapped = nn.parallel.DistributedDataParallel(model)
        sparsifier = gasl.Sparsifier(wrapped, gasl.GASL(strength=0.1), examples(model))
        assert sparsifier.model is model
        assert not any(name.startswith("module.") for name in sparsifier.groups.tensors)
        compiled = torch.compile(wrapped, backend="eager")
        assert gasl.Sparsifier(compiled, gasl.GASL(strength=0.1), examples(model)).model is model
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"protect": [nn.Linear(1, 1)]}, "protect takes names of axes or modules, got Linear"),
        ({"min_units": 0.5}, "min_units must be a whole number of units, or one by axis, got 0.5"),
        ({"min_units": {"0": "2"}}, "min_units must be a whole number of units, or one by axis, got '2'"),
        ({"seed": 2**63}, "seed must be a whole number from 0 to"),
        ({"example_inputs": torch.zeros(0, 6)}, r"at least one example, got a tensor of shape \(0, 6\)"),
        ({"example_inputs": torch.zeros(2, 6).numpy()}, "must be a tensor, .*, got ndarray"),
        ({"example_inputs": None}, "must be a tensor, .*, got NoneType"),
    ],
)
def test_what_is_of_another_kind_is_refused(options, words):
    model = mlp()
    given = {"example_inputs": examples(model), **options}
    with pytest.raises(InputError, match=words):
        gasl.Sparsifier(model, gasl.GASL(), **given)

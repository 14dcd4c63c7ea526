"""Methods with parameters of their own: in the network while it trains, and gone without a trace afterwards."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import gasl
from gasl.errors import InputError
from gasl.methods import L0
from sparsifier.nets import batchnorm, examples, mlp, task, train

PAIRS = pytest.mark.parametrize("build", [mlp, batchnorm])


def made(build, strength=0.01, seed=0, **options):
    model = build().double()
    sparsifier = gasl.Sparsifier(model, L0(strength=strength), examples(model), seed=seed, **options)
    return model, sparsifier, torch.optim.Adam(sparsifier.param_groups(), lr=0.05)


def states(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@PAIRS
def test_test_mode_is_what_comes_out(build):
    model, sparsifier, optimizer = made(build)
    train(model, sparsifier, optimizer, 80)
    model.eval()
    x = task(model, n=50, seed=9)[0]
    with torch.no_grad():
        out = model(x)
        folded = sparsifier.folded()
        torch.testing.assert_close(folded(x), out, rtol=1e-12, atol=1e-12)
        small = sparsifier.finish()
        torch.testing.assert_close(small(x), out, rtol=1e-10, atol=1e-10)
    assert min(after / before for before, after in sparsifier.removal.widths.values()) < 1
    assert [type(m) for m in folded.modules()] == [type(m) for m in build().modules()]


@PAIRS
def test_what_is_fixed_follows_the_network(build):
    model, sparsifier, _ = made(build)
    sparsifier.posterior.freeze(dict(model.named_parameters()))
    model.float()
    assert model(examples(model).float()).dtype == torch.float32


@PAIRS
def test_detach_leaves_the_network_as_it_was(build):
    untouched = build().double()
    model, sparsifier, _ = made(build)
    sparsifier.detach()
    assert [type(m) for m in model.modules()] == [type(m) for m in untouched.modules()]
    assert list(model.state_dict()) == list(untouched.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(states(model).values(), states(untouched).values(), strict=True))


@PAIRS
def test_passes_of_one_step_see_the_same_gates_and_steps_other_ones(build):
    model, sparsifier, optimizer = made(build)
    x, y = task(model)
    first = model(x)
    torch.testing.assert_close(model(x), first, rtol=0, atol=0)
    cross_entropy(first, y).backward()
    optimizer.step()
    with torch.no_grad():
        torch.testing.assert_close(model(x), model(x), rtol=0, atol=0)
    moved = [p.detach().clone() for p in model.parameters()]
    same = model(x).detach()
    sparsifier.step(optimizer)
    assert all(torch.equal(a, b) for a, b in zip(moved, model.parameters(), strict=True))  # no clamp was needed
    assert not torch.equal(model(x), same)


@PAIRS
@pytest.mark.parametrize("middle", [False, True])
def test_a_run_goes_on_to_the_bit(build, middle):
    def loop(model, sparsifier, optimizer, steps):
        train(model, sparsifier, optimizer, steps)
        if middle:
            model(task(model)[0])  # a pass that the checkpoint forgets

    model, sparsifier, optimizer = made(build)
    loop(model, sparsifier, optimizer, 7)
    kept = copy.deepcopy((model.state_dict(), optimizer.state_dict(), sparsifier.state_dict()))
    train(model, sparsifier, optimizer, 5)
    other, again, fresh = made(build, seed=5)
    other.load_state_dict(kept[0])
    fresh.load_state_dict(kept[1])
    again.load_state_dict(kept[2])
    train(other, again, fresh, 5)
    assert all(torch.equal(a, b) for a, b in zip(states(model).values(), states(other).values(), strict=True))


@PAIRS
def test_frozen_gates_stay_what_they_are(build):
    model, sparsifier, optimizer = made(build)
    train(model, sparsifier, optimizer, 80)
    before = {a.name: a.alive for a in sparsifier.sparsity()}
    gates = [p.clone() for p in sparsifier.posterior.parameters()]
    sparsifier.freeze()
    x = task(model)[0]
    torch.testing.assert_close(model(x), model(x), rtol=0, atol=0)
    assert sparsifier.penalty() == 0
    optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.05, momentum=0.9)
    train(model, sparsifier, optimizer, 10)
    assert all(torch.equal(a, b) for a, b in zip(gates, sparsifier.posterior.parameters(), strict=True))
    assert {a.name: a.alive for a in sparsifier.sparsity()} == before
    model.eval()
    with torch.no_grad():
        out = model(x)
        torch.testing.assert_close(sparsifier.finish()(x), out, rtol=1e-10, atol=1e-10)


@PAIRS
def test_what_is_left_is_learned_as_without_gates(build):
    """Behind a factor of a few percent a weight would learn by its square more slowly."""
    model, sparsifier, optimizer = made(build)
    train(model, sparsifier, optimizer, 80)
    plain = sparsifier.folded().train()
    for _ in range(2):  # once more changes nothing
        sparsifier.freeze()
    x, y = task(model)
    found = dict(model.named_parameters())
    for net in (model, plain):
        net.zero_grad()
        (net(x) - y).square().mean().backward() if y.is_floating_point() else cross_entropy(net(x), y).backward()
    for name, parameter in plain.named_parameters():
        alive = parameter != 0
        assert torch.equal(found[name], parameter)
        torch.testing.assert_close(found[name].grad[alive], parameter.grad[alive])


@pytest.mark.parametrize("method", [L0(strength=0.01), gasl.SparseVD(strength=0.01)])
@pytest.mark.parametrize("carried", [lambda net: pickle.loads(pickle.dumps(net)), copy.deepcopy])
def test_a_network_with_gates_is_carried_to_another_process(carried, method):
    model = mlp()
    sparsifier = gasl.Sparsifier(model, method, examples(model))
    x = task(model)[0]
    other = carried(model)
    assert type(other[0]) is type(model[0])
    for net in (model.eval(), other.eval()):
        assert torch.equal(net(x), model(x))
    assert not other.train()(x).equal(other(x)) or isinstance(method, L0)  # noise of its own
    sparsifier.detach()
    with torch.no_grad():
        model[0].weight.zero_()
    assert bool((dict(other.named_parameters())["0.weight"] != 0).all())


def test_a_floor_is_kept():
    model, sparsifier, optimizer = made(mlp, strength=10.0, min_units={"0": 3})
    train(model, sparsifier, optimizer, 100)
    own = {a.name: a.alive_own for a in sparsifier.sparsity()}
    assert own["0"] == 3
    assert own["2"] == 1


def test_who_reads_the_gates_parameters():
    model, sparsifier, optimizer = made(mlp)
    own = list(sparsifier.posterior.parameters())
    groups = sparsifier.param_groups()
    assert [len(group["params"]) for group in groups] == [6, len(own)]
    assert groups[1]["weight_decay"] == 0.0
    assert list(model.parameters())[6:] == own
    decaying = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    with pytest.raises(InputError, match=r"weight decay of 0.1.*sparsifier.param_groups"):
        sparsifier.attach(decaying)
    with pytest.raises(InputError, match="is in no param group"):
        sparsifier.attach(torch.optim.SGD(list(model.parameters())[:6], lr=0.1))
    sparsifier.attach(optimizer)


def test_what_cannot_host_them_is_refused():
    model, _, _ = made(mlp)
    with pytest.raises(InputError, match="has gates or a posterior"):
        gasl.trace(model, examples(model))
    with pytest.raises(InputError, match="has gates or a posterior"):
        gasl.Sparsifier(model, L0(strength=0.1), examples(model))
    with pytest.raises(InputError, match="has gates or a posterior"):
        gasl.shrink(model, examples(model))
    with pytest.raises(InputError, match="make the sparsifier of the network first"):
        gasl.Sparsifier(nn.DataParallel(mlp()), L0(strength=0.1), torch.zeros(2, 6).double())


def test_heads_and_their_width():
    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.attend, self.head = nn.MultiheadAttention(8, 4, batch_first=True), nn.Linear(8, 3)

        def forward(self, x):
            return self.head(self.attend(x, x, x, need_weights=False)[0].mean(1))

    torch.manual_seed(0)
    model = Small().double()
    x = torch.randn(6, 5, 8).double()
    sparsifier = gasl.Sparsifier(model, L0(strength=0.5), x)
    assert {site.name for site in sparsifier.posterior.units} >= {"attend.num_heads", "attend.head_dim"}
    optimizer = torch.optim.Adam(sparsifier.param_groups(), lr=0.1)
    for _ in range(60):
        loss = model(x).square().mean() + sparsifier.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sparsifier.step(optimizer)
    model.eval()
    with torch.no_grad():
        out = model(x)
        small = sparsifier.finish()
        torch.testing.assert_close(small(x), out, rtol=1e-10, atol=1e-10)
    assert sparsifier.removal.widths["attend.num_heads"] == (4, 1)
    assert sparsifier.removal.widths["attend.head_dim"] == (2, 1)

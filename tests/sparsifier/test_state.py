"""What lives is in the state, a run goes on from it to the bit, and nothing of the sparsifier stays behind."""

import copy
import io
import pickle

import pytest
import torch

import gasl
from gasl.errors import InputError
from sparsifier.nets import batchnorm, examples, mlp, same, setup, sgd, train, weights


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


METHODS = [
    gasl.GASL(strength=0.1, beta="fresh"),
    gasl.GASL(strength=0.1, beta="fixed", scope="filter"),
    gasl.GASL(strength=0.1, beta="rank"),
    gasl.GASL(strength=0.05, beta="fresh", step="loss"),
    gasl.GroupLasso(strength=0.1),
    gasl.GroupLasso(strength=0.1, scope="shape"),
    gasl.Attention(strength=0.1, granularity="weight"),
    gasl.MagnitudePruning(density=0.4, start=3, every=4, rounds=2),
    gasl.MagnitudePruning(density=0.4, start=6, rounds=1, granularity="unit"),
    gasl.DepGraphNorm(strength=0.1, fraction=0.4, cut_at=3),
    gasl.DepGraphNorm(strength=0.1, fraction=0.4, cut_at=7),
]


@pytest.mark.parametrize("weights_first", [True, False])
@pytest.mark.parametrize("drawn", [False, True])  # between two steps, and after the penalty of the next was taken
@pytest.mark.parametrize(
    "method", METHODS, ids=lambda m: f"{type(m).__name__}-{getattr(m, 'beta', '')}-{getattr(m, 'step', '')}"
)
@pytest.mark.parametrize("make", [mlp, batchnorm])
def test_a_run_goes_on_to_the_bit(make, method, drawn, weights_first):
    model = make()
    sparsifier = gasl.Sparsifier(model, method, examples(model))
    optimizer = sgd(sparsifier, momentum=0.9)
    train(model, sparsifier, optimizer, 5)
    if drawn:
        sparsifier.penalty()
    saved = through_a_file([model.state_dict(), optimizer.state_dict(), sparsifier.state_dict()])
    train(model, sparsifier, optimizer, 3)
    again = make()
    other = gasl.Sparsifier(again, method, examples(again), seed=7)
    other_optimizer = sgd(other, momentum=0.9)
    if weights_first:
        again.load_state_dict(saved[0])
    other.load_state_dict(saved[2])
    if not weights_first:
        again.load_state_dict(saved[0])
    other_optimizer.load_state_dict(saved[1])
    assert other.state.step == 5
    train(again, other, other_optimizer, 3)
    assert same(weights(model), weights(again))


def test_rates_that_were_found_for_a_step_are_those_of_that_step():
    runs = []
    for interrupted in (False, True):
        model, sparsifier, optimizer = setup(gasl.GASL(strength=0.1, beta="fresh"))
        sparsifier.penalty()
        if interrupted:
            state, kept = through_a_file(sparsifier.state_dict()), model.state_dict()
            model, sparsifier, optimizer = setup(gasl.GASL(strength=0.1, beta="fresh"), seed=5)
            model.load_state_dict(kept)
            sparsifier.load_state_dict(state)
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step()
        sparsifier.step(optimizer)
        runs.append(weights(model))
    assert same(*runs)


def test_the_state_is_a_copy():
    model, sparsifier, optimizer = setup(gasl.GASL(strength=0.1, beta="fixed"))
    train(model, sparsifier, optimizer, 2)
    state = sparsifier.state_dict()
    kept = [b.clone() for b in state["beta"]]
    sparsifier.load_state_dict(state)
    for b in sparsifier.state.beta:
        b.zero_()
    assert same(state["beta"], kept)


def test_frozen_units_and_a_missing_strength_are_part_of_the_state():
    model, sparsifier, optimizer = setup(gasl.GroupLasso(strength=0.3))
    train(model, sparsifier, optimizer, 45)
    sparsifier.freeze()
    again, other, other_optimizer = setup(gasl.GroupLasso(strength=0.3))
    other.load_state_dict(through_a_file(sparsifier.state_dict()))
    again.load_state_dict(model.state_dict())
    train(again, other, other_optimizer, 3)
    train(model, sparsifier, optimizer, 3)
    assert same(weights(model), weights(again))
    dead = sparsifier.groups.dead()
    assert any(1 <= int(d.sum()) <= d.numel() - 2 for d in dead)  # one alone would not be shrunk anyway
    assert same(other.groups.dead(), dead)
    _, unknown, _ = setup(gasl.GroupLasso())
    other.load_state_dict(through_a_file(unknown.state_dict()))
    assert other.strength != other.strength


def test_a_state_of_something_else_is_refused():
    _, sparsifier, _ = setup()
    model = batchnorm()
    other = gasl.Sparsifier(model, gasl.GASL(strength=0.1), examples(model))
    with pytest.raises(InputError, match=r"state is of axes \['0.in', '0', '2'\], the network has \['0', '3'"):
        other.load_state_dict(sparsifier.state_dict())
    with pytest.raises(InputError, match="no state of a sparsifier: it lacks axes, beta"):
        other.load_state_dict({"strength": 1.0})
    _, gates, _ = setup(gasl.L0())
    with pytest.raises(InputError, match="is of the method L0, the sparsifier has GASL; make it with L0"):
        sparsifier.load_state_dict(gates.state_dict())
    x = examples(sparsifier.model)
    aimed = gasl.Sparsifier(sparsifier.model, gasl.GASL(strength=0.1), x, target=gasl.Target(macs=0.5))
    for one, two, words in ((aimed, sparsifier, "without a target"), (sparsifier, aimed, "with a target")):
        with pytest.raises(InputError, match=f"training {words}, the sparsifier has"):
            one.load_state_dict(two.state_dict())


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (gasl.GASL(strength=0.1), "10 in axis '0', the network has 12"),
        (gasl.L0(strength=1e-3), "10 in axis '0', the network has 12"),
        (gasl.GroupLasso(strength=0.1, scope="shape"), r"\[10, 6\] in weight '0.weight', the network has \[12, 6\]"),
        (gasl.MagnitudePruning(every=2), r"\[10, 6\] in weight '0.weight', the network has \[12, 6\]"),
        (gasl.SparseVD(strength=1e-3), r"\[10, 6\] in weight '0.weight', the network has \[12, 6\]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_state_of_other_widths_is_refused(method, words):
    def made(width, seed=0):
        model = torch.nn.Sequential(torch.nn.Linear(6, width), torch.nn.ReLU(), torch.nn.Linear(width, 4))
        return gasl.Sparsifier(model, method, torch.zeros(2, 6), seed=seed)

    state = through_a_file(made(10).state_dict())
    other = made(12)
    before = other.state_dict()
    with pytest.raises(InputError, match=f"this state is of {words}; make the network as it was"):
        other.load_state_dict(state)
    assert torch.equal(other.state_dict()["generator"], before["generator"])
    again = made(10, seed=7)
    del state["sizes"]  # as before sizes were kept
    again.load_state_dict(state)
    assert torch.equal(again.state_dict()["generator"], state["generator"])


@pytest.mark.parametrize("method", [gasl.L0(strength=1e-3), gasl.SparseVD(strength=1e-3)])
def test_what_is_gone_after_the_end_is_missed_in_words(method):
    model, sparsifier, optimizer = setup(method)
    train(model, sparsifier, optimizer, 2)
    small = sparsifier.finish()
    removal = sparsifier.removal
    for late in (sparsifier.finish, sparsifier.penalty, sparsifier.sparsity):
        with pytest.raises(InputError, match=r"is gone since finish\(\) or detach\(\); look with folded\(\)"):
            late()
    assert sparsifier.removal is removal
    assert removal.widths["0"][1] == small[0].out_features


def test_arguments_of_another_kind_are_refused_in_words():
    model = mlp()
    x = examples(model)
    for method, words in (
        (gasl.GASL, "got the class GASL; call it"),
        ("gasl", r"gasl.GASL\(strength=0.1\), got 'gasl'"),
    ):
        with pytest.raises(InputError, match=words):
            gasl.Sparsifier(model, method, x)
    for target in (0.5, {"macs": 0.5}):
        with pytest.raises(InputError, match=r"target must be a target as gasl.Target\(macs=0.25\), got"):
            gasl.Sparsifier(model, gasl.GASL(), x, target=target)
    with pytest.raises(InputError, match=r"strength must be a finite number >= 0, got '0\.1'"):
        gasl.GASL(strength="0.1")
    for words, wrong in {
        "sparsity must name an axis or be a number": {"sparsity": {}},
        r"macs must be a number, got '0\.5'": {"macs": "0.5"},
        "steps must be a whole number, got 10\\.5": {"macs": 0.5, "steps": 10.5},
    }.items():
        with pytest.raises(InputError, match=words):
            gasl.Target(**wrong)
    sparsifier = gasl.Sparsifier(model, gasl.GASL(), x)
    for wrong in (None, torch.optim.lr_scheduler.ConstantLR(sgd(sparsifier))):
        for late in (sparsifier.step, sparsifier.attach):
            with pytest.raises(InputError, match="an optimizer of PyTorch is wanted"):
                late(wrong)


def hooks(optimizer):
    return len(optimizer._optimizer_step_pre_hooks) + len(optimizer._optimizer_step_post_hooks)


@pytest.mark.parametrize("ending", ["detach", "finish"])
def test_it_leaves_optimizers_and_the_network_as_they_were(ending):
    model = batchnorm()
    modules = [(name, id(m), type(m)) for name, m in model.named_modules()]
    parameters = [(name, id(p), p.requires_grad) for name, p in model.named_parameters()]
    buffers = [(name, id(b)) for name, b in model.named_buffers()]
    sparsifier = gasl.Sparsifier(model, gasl.GASL(strength=0.1), examples(model))
    attached, stepped = sgd(sparsifier), sgd(sparsifier)
    sparsifier.attach(attached)
    train(model, sparsifier, attached, 2, attached=True)
    train(model, sparsifier, stepped, 2)
    assert hooks(attached) == hooks(stepped) == 2
    before, flags = weights(model), [m.training for m in model.modules()]
    if ending == "finish":
        small = sparsifier.finish()
        assert {id(p) for p in small.parameters()}.isdisjoint({id(p) for p in model.parameters()})
    else:
        sparsifier.detach()
    assert hooks(attached) == hooks(stepped) == 0
    assert same(weights(model), before)
    assert [m.training for m in model.modules()] == flags
    assert [(name, id(m), type(m)) for name, m in model.named_modules()] == modules
    assert [(name, id(p), p.requires_grad) for name, p in model.named_parameters()] == parameters
    assert [(name, id(b)) for name, b in model.named_buffers()] == buffers
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())


def test_after_detaching_one_may_go_on():
    model, sparsifier, optimizer = setup()
    sparsifier.attach(optimizer)
    train(model, sparsifier, optimizer, 2, attached=True)
    sparsifier.detach()
    train(model, sparsifier, optimizer, 2, attached=True)
    assert sparsifier.state.step == 2
    train(model, sparsifier, optimizer, 2)
    assert sparsifier.state.step == 4


def test_a_sparsifier_is_bound_to_its_network():
    model = mlp()
    sparsifier = gasl.Sparsifier(model, gasl.GASL(strength=0.1), examples(model))
    for carried in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(InputError, match=r"make another one of the copy, with this one's state_dict"):
            carried(sparsifier)

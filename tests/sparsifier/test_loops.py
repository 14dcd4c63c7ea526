"""The loops that people write: accumulated gradients, clipping, mixed precision, compiled and wrapped models."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import gasl
from sparsifier.nets import batchnorm, examples, mlp, same, setup, sgd, task, train, weights


@pytest.mark.parametrize("beta", ["fresh", "rank"])
@pytest.mark.parametrize("step", ["proximal", "loss"])
def test_accumulated_micro_batches_are_one_batch(step, beta):
    """The same guidance in all parts of one step, the penalty in each part by its share."""
    runs = []
    for parts in (1, 3):
        model, sparsifier, optimizer = setup(gasl.GASL(strength=0.05, step=step, beta=beta))
        x, y = task(model)
        for _ in range(3):
            optimizer.zero_grad()
            for some_x, some_y in zip(x.chunk(parts), y.chunk(parts), strict=True):
                ((cross_entropy(model(some_x), some_y) + sparsifier.penalty()) / parts).backward()
                if parts == 3:
                    sparsifier.step(optimizer)  # nothing was stepped yet
            optimizer.step()
            sparsifier.step(optimizer)
        runs.append(weights(model))
        assert sparsifier.state.step == 3
    for one, other in zip(*runs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


def test_clipping_touches_the_loss_term_only():
    moved = {}
    for step in ("loss", "proximal"):
        for clip in (False, True):
            model, sparsifier, optimizer = setup(gasl.GroupLasso(strength=0.5, step=step))
            before = torch.cat([w.flatten() for w in weights(model)])
            (sum(0 * p.sum() for p in model.parameters()) + sparsifier.penalty()).backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
            optimizer.step()
            sparsifier.step(optimizer)
            moved[step, clip] = float((torch.cat([w.flatten() for w in weights(model)]) - before).norm())
    assert moved["loss", True] == pytest.approx(0.1 * 1e-3)
    assert moved["loss", False] > 0.01
    assert moved["proximal", True] == moved["proximal", False] > 0.01


@pytest.mark.parametrize("step", ["proximal", "loss"])
def test_under_autocast_norms_and_term_stay_in_single_precision(step):
    results = []
    for enabled in (True, False):
        model = mlp(torch.float32)
        sparsifier = gasl.Sparsifier(model, gasl.GASL(strength=0.05, step=step), examples(model))
        optimizer = sgd(sparsifier)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            penalty = sparsifier.penalty()
        assert penalty.dtype == torch.float32
        (penalty + sum(0 * p.sum() for p in model.parameters())).backward()
        optimizer.step()
        sparsifier.step(optimizer)
        results.append(weights(model))
    assert same(*results)


def test_training_under_autocast_kills_units_and_loses_nothing():
    model = mlp(torch.float32)
    sparsifier = gasl.Sparsifier(model, gasl.GASL(strength=0.3), examples(model))
    optimizer = sgd(sparsifier)
    x, y = task(model)
    for _ in range(60):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = cross_entropy(model(x), y) + sparsifier.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sparsifier.step(optimizer)
    small = sparsifier.finish()
    assert any(after < before for before, after in sparsifier.removal.widths.values())
    torch.testing.assert_close(small(x), model(x))


def test_bfloat16_weights():
    model = mlp(torch.bfloat16)
    sparsifier = gasl.Sparsifier(model, gasl.GASL(strength=0.5), examples(model))
    train(model, sparsifier, sgd(sparsifier), 40)
    assert all(p.dtype == torch.bfloat16 and p.isfinite().all() for p in model.parameters())
    assert any(bool(dead.any()) for dead in sparsifier.groups.dead())


@pytest.mark.filterwarnings("ignore:.*deprecated.*:DeprecationWarning")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_model_trains_as_the_plain_one(backend):
    runs = []
    for compiled in (False, True):
        model = mlp()
        running = torch.compile(model, backend=backend) if compiled else model
        sparsifier = gasl.Sparsifier(running, gasl.GASL(strength=0.2), examples(model))
        assert sparsifier.model is model
        optimizer = sgd(sparsifier)
        x, y = task(model)
        for _ in range(15):
            loss = cross_entropy(running(x), y) + sparsifier.penalty()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sparsifier.step(optimizer)
        runs.append(weights(model))
        torch.testing.assert_close(sparsifier.finish()(x), running(x))
    for one, other in zip(*runs, strict=True):
        torch.testing.assert_close(one, other)
        assert torch.equal(one == 0, other == 0)


def test_channels_last_training_is_the_same():
    runs = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        model = batchnorm().double().to(memory_format=memory_format)
        sparsifier = gasl.Sparsifier(model, gasl.GASL(strength=0.1), examples(model))
        train(model, sparsifier, sgd(sparsifier), 10)
        assert model[3].weight.is_contiguous(memory_format=memory_format)
        runs.append(weights(model))
    for one, other in zip(*runs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("optimizer_class", [torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_other_optimizers(optimizer_class):
    model = mlp()
    sparsifier = gasl.Sparsifier(model, gasl.GASL(strength=2.0), examples(model))
    optimizer = optimizer_class(sparsifier.param_groups(), lr=0.01, foreach=True)
    sparsifier.attach(optimizer)
    train(model, sparsifier, optimizer, 60, attached=True)
    assert any(bool(dead.any()) for dead in sparsifier.groups.dead())
    x, _ = task(model)
    torch.testing.assert_close(sparsifier.finish()(x), model(x))


def test_a_pretrained_start_followed_by_fine_tuning():
    """Train plainly, sparsify, freeze, fine-tune with momentum and weight decay; what is dead stays exactly zero."""
    model = mlp()
    x, y = task(model)
    plain = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(20):
        plain.zero_grad()
        cross_entropy(model(x), y).backward()
        plain.step()
    sparsifier = gasl.Sparsifier(model, gasl.GASL(strength=0.5), examples(model))
    optimizer = sgd(sparsifier, momentum=0.9, weight_decay=1e-2)
    sparsifier.attach(optimizer)
    train(model, sparsifier, optimizer, 40, attached=True)
    sparsifier.freeze()
    zeros = [w == 0 for w in weights(model)]
    dead = sparsifier.groups.dead()
    assert any(bool(d.any()) for d in dead)
    loss = cross_entropy(model(x), y)
    for _ in range(20):
        assert sparsifier.penalty() == 0
        train(model, sparsifier, optimizer, 1, attached=True)
        assert all(torch.equal(a, b) for a, b in zip(sparsifier.groups.dead(), dead, strict=True))
    assert all(bool((w[z] == 0).all()) for w, z in zip(weights(model), zeros, strict=True))
    assert cross_entropy(model(x), y) < loss
    torch.testing.assert_close(sparsifier.finish()(x), model(x))


def test_frozen_before_a_strength_is_known_needs_none():
    model, sparsifier, optimizer = setup(gasl.GASL())
    sparsifier.freeze()
    train(model, sparsifier, optimizer, 2)
    assert sparsifier.state.step == 2

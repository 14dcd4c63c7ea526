"""One step: its closed form, when its rates are read, and that it happens once for each step of the optimizer."""

import gc

import pytest
import torch
from torch.nn.functional import cross_entropy

import gasl
from gasl.errors import InputError
from sparsifier.nets import batchnorm, examples, mlp, same, setup, sgd, task, train, weights


def test_one_step_by_hand():
    """Structured attention on the outgoing weights of each input and hidden unit, rates before, norms after."""
    model, sparsifier, optimizer = setup(gasl.StructuredAttention(strength=0.3, alpha=0.7, scope="filter"), lr=0.2)
    x, y = task(model)
    loss = cross_entropy(model(x), y) + sparsifier.penalty()
    gradients = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    expected = []
    for weight, gradient in zip(model.parameters(), gradients, strict=True):
        weight, gradient = weight.detach(), gradient.detach()
        stepped = weight - 0.2 * gradient
        if weight.ndim == 2:
            before = weight.square().sum(0).sqrt()
            z = (before - before.mean()) / ((before - before.mean()) ** 2).mean().sqrt()
            rate = 0.3 / before.numel() ** 0.5 * (1 - 0.7 * z).clamp(min=0)
            stepped = stepped * (1 - 0.2 * rate / stepped.square().sum(0).sqrt()).clamp(min=0)
        expected.append(stepped)
    loss.backward()
    optimizer.step()
    sparsifier.step(optimizer)
    for got, want in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(got.detach(), want, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("scope", ["filter", "coupled"])
def test_attached_hooks_and_calls_by_hand_are_the_same_run_to_the_bit(scope):
    runs = []
    for attached in (True, False):
        model, sparsifier, optimizer = setup(gasl.GASL(strength=0.1, scope=scope))
        if attached:
            sparsifier.attach(optimizer)
        train(model, sparsifier, optimizer, 8, attached=attached)
        runs.append(weights(model))
        assert sparsifier.state.step == 8
    assert same(*runs)


def test_without_penalty_attached_hooks_still_read_the_rates_before_the_step():
    runs = []
    for call in (True, False):
        model, sparsifier, optimizer = setup(gasl.GASL(strength=0.1))
        sparsifier.attach(optimizer)
        x, y = task(model)
        for _ in range(4):
            loss = cross_entropy(model(x), y) + (sparsifier.penalty() if call else 0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        runs.append(weights(model))
    assert same(*runs)


def test_again_and_again_is_once():
    model, sparsifier, optimizer = setup()
    train(model, sparsifier, optimizer, 2)
    after = weights(model)
    for _ in range(3):
        sparsifier.step(optimizer)
    assert same(weights(model), after)
    assert sparsifier.state.step == 2
    sparsifier.attach(optimizer)  # from now on the hooks do it, and only they
    sparsifier.attach(optimizer)
    train(model, sparsifier, optimizer, 1)
    assert sparsifier.state.step == 3


def test_a_penalty_that_is_looked_at_between_the_two_steps_changes_nothing():
    runs = []
    for look in (False, True):
        model, sparsifier, optimizer = setup(gasl.GASL(strength=0.1))
        train(model, sparsifier, optimizer, 1)
        x, y = task(model)
        optimizer.zero_grad()
        (cross_entropy(model(x), y) + sparsifier.penalty()).backward()
        optimizer.step()
        if look:
            sparsifier.penalty()
        sparsifier.step(optimizer)
        runs.append(weights(model))
    assert same(*runs)


def test_rates_follow_weights_that_are_loaded_between_steps():
    runs = []
    for early in (True, False):
        model, sparsifier, optimizer = setup(gasl.GASL(strength=0.1, beta="fixed"))
        train(model, sparsifier, optimizer, 1)
        if not early:
            sparsifier.penalty()
        other = {name: 2 * value for name, value in mlp().state_dict().items()}
        model.load_state_dict(other)
        train(model, sparsifier, optimizer, 1)
        runs.append(weights(model))
    assert same(*runs)


@pytest.mark.parametrize("attach", [True, False])
@pytest.mark.parametrize("skipped", [0, 1])  # the first step, and a later one
def test_a_step_that_the_scaler_skips_does_nothing(attach, skipped):
    model, sparsifier, optimizer = setup(gasl.GASL(strength=0.1), mlp(torch.float32))
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    if attach:
        sparsifier.attach(optimizer)
    x, y = task(model)
    for turn in range(3):
        before, generator = weights(model), sparsifier.state.generator.get_state()
        loss = cross_entropy(model(x), y) + sparsifier.penalty()
        optimizer.zero_grad()
        scaler.scale(loss * (float("inf") if turn == skipped else 1)).backward()
        scaler.step(optimizer)
        sparsifier.step(optimizer)
        scaler.update()
        if turn == skipped:
            assert same(weights(model), before)
        elif turn == skipped + 1:  # the factors that were drawn for the skipped step are those of this one
            assert torch.equal(sparsifier.state.generator.get_state(), generator)
        else:
            assert not same(weights(model), before)
    assert sparsifier.state.step == 2


def test_each_tensor_takes_the_learning_rate_of_its_own_group():
    model = mlp()
    sparsifier = gasl.Sparsifier(model, gasl.GroupLasso(strength=0.5), examples(model))
    fast, slow = [model[2].weight], [p for p in model.parameters() if p is not model[2].weight]
    optimizer = torch.optim.SGD([{"params": fast, "lr": 0.4}, {"params": slow}], lr=0.0)
    before = weights(model)
    norm = torch.cat([model[0].weight, model[0].bias[:, None], model[2].weight.t()], 1).norm(dim=1).detach()
    other = torch.cat([model[2].weight, model[2].bias[:, None], model[4].weight.t()], 1).norm(dim=1).detach()
    model[2].weight.grad = torch.zeros_like(model[2].weight)
    sparsifier.penalty()
    optimizer.step()
    sparsifier.step(optimizer)
    columns = (1 - 0.4 * 0.5 / 8**0.5 / norm).clamp(min=0)
    rows = (1 - 0.4 * 0.5 / 5**0.5 / other).clamp(min=0)
    torch.testing.assert_close(model[2].weight.detach(), before[2] * columns * rows[:, None])
    assert same(
        [p for p in model.parameters() if p is not model[2].weight], [b for i, b in enumerate(before) if i != 2]
    )


def test_a_weight_that_the_optimizer_lacks_is_named_and_nothing_is_changed():
    model = mlp()
    sparsifier = gasl.Sparsifier(model, gasl.GroupLasso(strength=0.5), examples(model))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p is not model[2].bias], lr=0.1)
    x, y = task(model)
    (cross_entropy(model(x), y) + sparsifier.penalty()).backward()
    optimizer.step()
    before = weights(model)
    with pytest.raises(InputError, match=r"'2\.bias' is made sparse but is in no param group.*param_groups\(\)"):
        sparsifier.step(optimizer)
    assert same(weights(model), before)


def test_an_optimizer_that_is_gone_leaves_nothing_behind():
    model, sparsifier, _ = setup()
    for _ in range(3):  # a new one may get the id of an old one
        optimizer = sgd(sparsifier)
        sparsifier.attach(optimizer)
        train(model, sparsifier, optimizer, 1)
        del optimizer
        gc.collect()
    assert sparsifier.state.step == 3


@pytest.mark.parametrize("step", ["proximal", "loss"])
@pytest.mark.parametrize("scope", ["filter", "coupled"])
def test_strength_zero_changes_nothing(step, scope):
    runs = []
    for method in (gasl.GASL(strength=0.0, step=step, scope=scope), None):
        model = batchnorm()
        sparsifier = gasl.Sparsifier(model, method or gasl.GASL(strength=9.0), examples(model))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        x, y = task(model)
        for _ in range(3):
            loss = cross_entropy(model(x), y) + (sparsifier.penalty() if method else 0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if method:
                sparsifier.step(optimizer)
        runs.append(weights(model))
    assert same(*runs)


def test_strength_is_set_live_and_checked():
    model, sparsifier, optimizer = setup(gasl.GroupLasso(strength=1e6))
    sparsifier.strength = 0
    before = weights(model)
    train(model, sparsifier, torch.optim.SGD(model.parameters(), lr=0.0), 1)
    assert same(weights(model), before)
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="strength must be a finite number >= 0"):
            sparsifier.strength = wrong
    assert sparsifier.strength == 0.0
    sparsifier.strength = 1e6
    train(model, sparsifier, optimizer, 1)
    assert sparsifier.groups.dead()[0].sum() == 5  # of 6: one is spared


def test_a_missing_strength_makes_the_lasso_a_fifth_of_the_first_loss():
    model, sparsifier, optimizer = setup(gasl.GASL())
    assert sparsifier.strength != sparsifier.strength
    with pytest.raises(InputError, match=r"no strength.*penalty\(loss\)"):
        sparsifier.penalty()
    for wrong in (float("nan"), -1.0):
        with pytest.raises(InputError, match=f"first loss of {wrong}"):
            sparsifier.penalty(torch.tensor(wrong))
    loss = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    sparsifier.penalty(loss)
    theta = gasl.GroupLasso().value(sparsifier.groups.norms(), sparsifier.strength).detach()
    assert float(theta / (theta + 2)) == pytest.approx(0.2)
    found = sparsifier.strength
    train(model, sparsifier, optimizer, 1)
    sparsifier.penalty(100 * loss)
    assert sparsifier.strength == found

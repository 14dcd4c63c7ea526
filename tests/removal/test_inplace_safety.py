"""Hooks, live graphs and compiled wrappers go on after a cut in place; and whatever fails, nothing was changed."""

import copy
import os
import random
import tempfile

import numpy as np
import pytest
import torch
from torch import nn

import gasl.removal.inplace as inplace
from gasl.errors import InputError, RemovalError
from gasl.removal import shrink_
from removal.training import OPTIMIZERS, backward, batch, network, setup, small_part
from removal.zeros import assert_same, ignore, kill


@pytest.mark.parametrize("to_none", [True, False])
def test_it_works_while_the_last_loss_is_alive(to_none):
    model, optimizer, large, large_optimizer = setup(OPTIMIZERS["momentum"])
    x, _ = batch()
    loss = backward(model)
    backward(large)
    removal = shrink_(model, x, optimizer=optimizer)
    for one, its in ((model, optimizer), (large, large_optimizer)):
        its.zero_grad(set_to_none=to_none)
        assert all((p.grad is None) == to_none for p in one.parameters())
        backward(one, 1)
    assert loss.grad_fn is not None
    for (name, p), old in zip(model.named_parameters(), large.parameters(), strict=True):
        torch.testing.assert_close(p.grad, small_part(name, old.grad, removal), rtol=1e-10, atol=1e-13)


def test_gradients_go_on_adding_up():
    model, _, large, _ = setup(OPTIMIZERS["sgd"])
    for one in (model, large):
        backward(one, 1)
    removal = shrink_(model, batch()[0])
    for one in (model, large):
        backward(one, 2)
    for (name, p), old in zip(model.named_parameters(), large.parameters(), strict=True):
        torch.testing.assert_close(p.grad, small_part(name, old.grad, removal), rtol=1e-10, atol=1e-13)


def test_a_graph_from_before_is_refused_by_autograd():
    model, _, _, _ = setup(OPTIMIZERS["sgd"])
    x, _ = batch()
    loss = model(x).sum()
    shrink_(model, x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_hooks_go_on():
    model, optimizer, _, _ = setup(OPTIMIZERS["adam"])
    seen = []
    weight = model[3].weight
    weight.register_hook(lambda g: seen.append(("gradient", g.shape)))
    weight.register_post_accumulate_grad_hook(lambda p: seen.append(("accumulated", p.grad.shape)))
    model[3].register_forward_hook(lambda m, x, y: seen.append(("forward", y.shape)))
    model[7].register_forward_pre_hook(lambda m, x: seen.append(("before", x[0].shape)))
    model[3].register_full_backward_hook(lambda m, g, h: seen.append(("backward", h[0].shape)))
    optimizer.register_step_post_hook(lambda *_: seen.append(("step", weight.shape)))
    loss = backward(model)
    shrink_(model, batch()[0], optimizer=optimizer)
    assert loss.requires_grad
    seen.clear()
    backward(model)
    optimizer.step()
    assert weight.shape == (4, 5, 3, 3)
    assert seen == [
        ("forward", (7, 4, 6, 6)), ("before", (7, 36)), ("gradient", weight.shape), ("accumulated", weight.shape),
        ("backward", (7, 4, 6, 6)), ("step", weight.shape),
    ]  # fmt: skip


def test_an_optimizer_inside_of_backward_goes_on():
    model, _, _, _ = setup(OPTIMIZERS["sgd"])
    optimizers = {p: torch.optim.Adam([p], lr=0.01) for p in model.parameters()}

    def step(parameter):
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(step)
    backward(model)
    kill(model[0], 1, 2)
    shrink_(model, batch()[0], optimizer=optimizers.values())
    before = [p.detach().clone() for p in model.parameters()]
    backward(model)
    assert all(p.grad is None for p in model.parameters())
    assert all(not torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_network_goes_on(backend):
    torch._dynamo.reset()
    model, optimizer, _, _ = setup(OPTIMIZERS["adam"])
    compiled = torch.compile(model, backend=backend)
    x, _ = batch()
    compiled(x).sum().backward()
    kill(model[3], 1, bias=True)
    large = copy.deepcopy(model)
    removal = shrink_(compiled, x, optimizer=optimizer)
    assert removal.widths["3"] == (6, 3)
    assert_same(compiled.eval(), large.eval(), x)
    compiled.train()
    optimizer.zero_grad()
    compiled(x).sum().backward()
    optimizer.step()
    assert_same(compiled, model, x)
    torch._dynamo.reset()


# What fails changes nothing.


def everything(model, optimizer):
    """All that a cut may touch: objects, values, gradients, state, classes, attributes."""
    facts = [(p, p.data_ptr(), p.grad, p.requires_grad) for p in model.parameters()]
    facts += [(b, b.data_ptr()) for b in model.buffers()]
    facts += [(m, type(m), repr(m), m.training, list(vars(m))) for m in model.modules()]
    for group in optimizer.param_groups:
        facts.append((group["params"], tuple(group["params"])))
    facts += [(p, k, v) for p, state in optimizer.state.items() for k, v in state.items()]
    values = [t.detach().clone() for t in [*model.parameters(), *model.buffers()]]
    values += [p.grad.clone() for p in model.parameters() if p.grad is not None]
    values += [v.clone() for state in optimizer.state.values() for v in state.values() if isinstance(v, torch.Tensor)]
    return facts, values


def same(before, after):
    def equal(a, b):
        return a is b or (type(a) is type(b) and not isinstance(a, (torch.Tensor, tuple, list)) and a == b) or (
            isinstance(a, (tuple, list)) and len(a) == len(b) and all(equal(c, d) for c, d in zip(a, b, strict=True))
        )  # fmt: skip

    return all(equal(a, b) for a, b in zip(before[0], after[0], strict=True)) and all(
        torch.equal(a, b) for a, b in zip(before[1], after[1], strict=True)
    )


def test_same_can_tell():
    model, optimizer, _, _ = setup(OPTIMIZERS["adam"])
    before = everything(model, optimizer)
    assert same(before, everything(model, optimizer))
    shrink_(model, batch()[0], optimizer=optimizer)
    assert len(before[0]) != len((after := everything(model, optimizer))[0]) or not same(before, after)


class BrokenError(Exception):
    pass


def without_bias():
    """A network whose last layer will be given a bias."""
    model, optimizer, _, _ = setup(OPTIMIZERS["adam"])
    model[9].bias = None
    optimizer.param_groups[0]["params"].pop()
    backward(model)
    return model, optimizer


SITES = [("_set", 0), ("_set", 5), ("cut", 2), ("smaller_states", 0)]
SITES += [(name, check_or_cut) for name in ("set_tensors", "fit_structure") for check_or_cut in (0, 1)]


@pytest.mark.parametrize(("name", "before_it"), SITES)
def test_a_failure_in_the_middle_of_a_cut_is_undone(name, before_it, monkeypatch):
    model, optimizer = without_bias()
    before = everything(model, optimizer)
    real, calls = getattr(inplace, name), []

    def fail(*args, **options):
        calls.append(name)
        if len(calls) == before_it + 1:
            raise BrokenError
        return real(*args, **options)

    monkeypatch.setattr(inplace, name, fail)
    with pytest.raises(BrokenError):
        shrink_(model, batch()[0], optimizer=optimizer)
    monkeypatch.undo()
    assert same(before, everything(model, optimizer))
    shrink_(model, batch()[0], optimizer=optimizer)
    assert len(list(model.parameters())) == len(optimizer.param_groups[0]["params"]) == 9
    backward(model)
    optimizer.step()


def test_a_failure_while_groups_and_state_are_written_is_undone():
    class Fragile(dict):
        armed = False

        def __setitem__(self, key, value):
            if Fragile.armed and key == "exp_avg_sq":
                Fragile.armed = False
                raise BrokenError
            super().__setitem__(key, value)

    model, optimizer = without_bias()
    state = optimizer.state[model[7].weight]
    optimizer.state[model[7].weight] = Fragile(state)
    before = everything(model, optimizer)
    Fragile.armed = True
    with pytest.raises(BrokenError):
        shrink_(model, batch()[0], optimizer=optimizer)
    assert same(before, everything(model, optimizer))


class Numbers(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 6), nn.Linear(6, 4), nn.Linear(4, 2)

    def forward(self, x):
        x = self.b(torch.relu(self.a(x)))
        return self.c(x * (1 if x.shape[1] == 4 else 2))


def test_a_refused_removal_changes_nothing():
    model = Numbers()
    kill(model.a, 1, bias=True)
    kill(model.b, 2, bias=True)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    kill(model.a, 1, bias=True)
    kill(model.b, 2, bias=True)
    before = everything(model, optimizer)
    with pytest.raises(RemovalError, match=r"protect=\['b'\]"):
        shrink_(model, torch.randn(5, 3), optimizer=optimizer)
    assert same(before, everything(model, optimizer))
    assert shrink_(model, torch.randn(5, 3), optimizer=optimizer, protect=["b"]).widths["a"] == (6, 5)


def test_generators_and_flags_are_left_alone():
    model = nn.Sequential(kill(nn.Linear(3, 4), 1), nn.Dropout(), nn.Linear(4, 2), nn.BatchNorm1d(2))
    model[3].eval()
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    shrink_(model, torch.randn(1, 3, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]  # noqa: NPY002
    assert [m.training for m in model] == [True, True, True, False]


def test_a_network_that_cannot_be_copied_can_be_cut():
    model = ignore(nn.Linear(5, 2), 1, 2).double()
    model.lock = (i for i in range(3))
    wanted, x = copy.copy(model.weight.detach()), torch.randn(4, 5).double()
    model.bias.data.zero_()
    shrink_(model, x)
    torch.testing.assert_close(model(x), x @ wanted.t(), rtol=1e-12, atol=0)
    assert next(model.lock) == 0


def test_distributed_wrappers_are_refused():
    with tempfile.NamedTemporaryFile() as file:
        torch.distributed.init_process_group("gloo", init_method=f"file://{file.name}", rank=0, world_size=1)
        try:
            model = network().float()
            kill(model[3], 1, bias=True)
            wrapped = nn.parallel.DistributedDataParallel(model)
            x = batch()[0].float()
            for one in (wrapped, nn.Sequential(wrapped), model):
                with pytest.raises(InputError, match=r"wrapped by DistributedDataParallel.*take gasl\.shrink"):
                    shrink_(one, x)
            assert model[3].weight.shape == (6, 8, 3, 3)
            other = network().float()
            kill(other[3], 1, bias=True)
            shrink_(other, x)
            assert other[3].weight.shape == (5, 8, 3, 3)
        finally:
            torch.distributed.destroy_process_group()
    assert not os.environ.get("RANK")


def test_weights_that_are_tied_by_memory_alone_are_refused():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)).double()
    model[2].weight.data = model[1].weight.data
    kill(model[0], 1, bias=True)
    x = torch.randn(2, 3).double()
    with pytest.raises(InputError, match=r"'1.weight' and '2.weight' share their memory but are two tensors"):
        shrink_(model, x)
    assert model[0].weight.shape == (4, 3)
    model[2].weight = model[1].weight
    assert shrink_(model, x, gather=False).widths["0"] == (4, 4)  # both read it, and one reads another layer's units
    flat = torch.randn(2, 4, 4).double()
    model[1].weight.data, model[2].weight = flat[0], nn.Parameter(flat[1])  # side by side is no tie
    assert shrink_(model, x).widths["0"] == (4, 3)

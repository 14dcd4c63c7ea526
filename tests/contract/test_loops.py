"""The loops that people write, under every method: other precisions, accumulation, wrappers, frozen layers."""

import copy

import torch

from contract.table import every_case
from contract.training import Training, evaluated, posterior_parameters, same, zeros


@every_case("residual", "transformer")
def test_precision_and_device_are_kept(case):
    dtype = torch.float32
    training = Training(case, dtype=dtype)
    before = {name: (t.dtype, t.device, t.shape) for name, t in training.model.state_dict().items()}
    for _ in range(2):
        (penalty,) = training.step()
        assert (penalty.dtype, penalty.device) == (dtype, training.x.device)
    assert {name: (t.dtype, t.device, t.shape) for name, t in training.model.state_dict().items()} == before
    assert training.model(training.x).dtype == dtype
    assert evaluated(training.model, training.x).dtype == dtype
    assert all(p.dtype == dtype for p in training.model.parameters())
    assert all(p.dtype == dtype for p in training.sparsifier.finish().parameters())


@every_case()
def test_under_autocast(case):
    training = Training(case, dtype=torch.float32)
    for _ in range(4):
        training.optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = training.loss()
            penalty = training.sparsifier.penalty(loss)
        assert penalty.dtype == torch.float32
        (loss + penalty).backward()
        for p in training.model.parameters():
            assert p.grad is None or (p.grad.dtype == torch.float32 and bool(p.grad.isfinite().all()))
        assert all(bool((p.grad != 0).any()) for p in posterior_parameters(training.model).values())
        training.optimizer.step()
        training.sparsifier.step(training.optimizer)
    assert all(p.dtype == torch.float32 and bool(p.isfinite().all()) for p in training.model.parameters())
    expected = evaluated(training.model, training.x)
    small = training.sparsifier.finish()
    torch.testing.assert_close(evaluated(small, training.x), expected, rtol=1e-4, atol=1e-5)


@every_case()
def test_two_half_batches_are_one_step(case):
    """The same penalty in both halves, hence the same random numbers; and in all the same step as the batch."""
    whole, halves = Training(case), Training(case)
    for _ in range(3):
        (penalty,) = whole.step()
        first, second = halves.step(parts=2)
        assert torch.equal(first, second)
        if case.network != "residual" and case.setting.draws != "example":  # a half has its own batch statistics
            torch.testing.assert_close(first, penalty, rtol=1e-9, atol=1e-12)
    assert halves.sparsifier.state.step == 3
    if case.network != "residual" and case.setting.draws != "example":
        for name, value in whole.tensors().items():
            torch.testing.assert_close(halves.tensors()[name], value, rtol=1e-8, atol=1e-10)


@every_case("residual", "transformer")
def test_attached_hooks_and_calls_by_hand_are_the_same_run(case):
    by_hand, attached = Training(case), Training(case)
    attached.sparsifier.attach(attached.optimizer)
    assert same(by_hand.train(3).tensors(), attached.train(3).tensors())
    assert attached.sparsifier.state.step == 3


@every_case("residual", "transformer")
def test_a_copy_computes_the_same(case):
    """Averages of weights and snapshots are made by ``deepcopy`` in the middle of a training."""
    training = Training(case).train(3)
    twin = copy.deepcopy(training.model)
    expected = evaluated(training.model, training.x)
    assert torch.equal(evaluated(twin, training.x), expected)
    training.train(1)  # what the copy computes is its own
    assert torch.equal(evaluated(twin, training.x), expected)
    assert not torch.equal(evaluated(training.model, training.x), expected)


@every_case("mlp", "residual")
def test_frozen_it_is_fine_tuned_with_its_zeros(case):
    training = Training(case).train(case.setting.steps)
    training.sparsifier.freeze()
    dead = zeros(training.model)
    for _ in range(3):
        assert training.step()[0] == 0
        assert zeros(training.model) == dead
    expected = evaluated(training.model, training.x)
    small = training.sparsifier.finish()
    torch.testing.assert_close(evaluated(small, training.x), expected, rtol=1e-10, atol=1e-10)


@every_case("lenet")
def test_a_frozen_layer_and_a_protected_axis_stay_as_they_are(case):
    training = Training(case, frozen=("conv1",), protect=["fc1"])
    conv = training.model.conv1
    before = {name: p.clone() for name, p in conv.named_parameters()}
    training.train(case.setting.steps)
    expected = evaluated(training.model, training.x)
    small = training.sparsifier.finish()
    assert all(torch.equal(p, before[name]) for name, p in conv.named_parameters())
    assert training.sparsifier.removal.widths["fc1"] == (6, 6)
    torch.testing.assert_close(evaluated(small, training.x), expected, rtol=1e-10, atol=1e-12)

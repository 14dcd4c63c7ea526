"""Every method on a network that moves to a GPU after it was attached, as under Lightning, and back for the removal."""

import io

import pytest
import torch
from torch import Tensor

import gasl
from contract.table import every_case
from contract.training import Training, evaluated, zeros
from gasl.errors import InputError

if not torch.cuda.is_available():
    pytest.skip("needs a GPU", allow_module_level=True)

TARGET = gasl.Target(sparsity=0.4, steps=15)
EVERY = every_case("residual", "mlp")


def on_gpu(case, **options) -> Training:
    """Attached on the CPU, then moved."""
    training = Training(case, **options)
    training.model.cuda()
    training.x, training.y = training.x.cuda(), training.y.cuda()
    return training


def at_target(case) -> Training:
    try:
        Training(case, target=TARGET)
    except InputError as error:
        pytest.skip(f"no target: {error}")
    return on_gpu(case, target=TARGET)


def removed(training: Training) -> tuple[Tensor, Tensor]:
    """Outputs on the CPU before and after the removal there."""
    x = training.x.cpu()
    before = evaluated(training.model.cpu(), x)
    return before, training.sparsifier.finish().eval()(x)


def reloaded(state: list[dict]) -> list[dict]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, map_location="cpu", weights_only=True)


@EVERY
def test_what_was_trained_on_a_gpu_is_removed_on_the_cpu(case):
    training = on_gpu(case).train(case.setting.steps)
    assert zeros(training.model) > 0 or not case.setting.exact
    before, after = removed(training)
    assert torch.allclose(before, after, rtol=1e-9, atol=1e-9)


@EVERY
def test_a_target_on_a_gpu(case):
    training = at_target(case).train(case.setting.steps)
    assert zeros(training.model) > 0
    before, after = removed(training)
    assert torch.allclose(before, after, rtol=1e-9, atol=1e-9)


@EVERY
def test_a_state_from_a_gpu_goes_on_there(case):
    whole = at_target(case).train(12)
    saved = reloaded(whole.state())
    whole.train(10)
    resumed = on_gpu(case, target=TARGET).load(saved).train(10)
    assert all(torch.allclose(a, b, rtol=1e-6, atol=1e-9) for a, b in zip(*map(values, (whole, resumed)), strict=True))


@every_case("residual")
def test_without_draws_a_gpu_trains_what_the_cpu_does(case):
    if case.setting.draws != "nothing":
        pytest.skip("its random numbers are others on a GPU")
    there, here = on_gpu(case).train(15), Training(case).train(15)
    there.model.cpu()
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-7) for a, b in zip(*map(values, (there, here)), strict=True))


def values(training: Training) -> list[Tensor]:
    return list(training.tensors().values())

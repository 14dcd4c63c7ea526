"""A network from which a method was detached is the network that it was given, but for the values of a training."""

import copy

import pytest
import torch
from torch import nn

from contract.networks import batch, build
from contract.table import every_case
from contract.training import Training, evaluated, same

HOOKS = [name for name in vars(nn.Module()) if name.endswith(("hooks", "hooks_with_kwargs", "always_called"))]


def picture(model: nn.Module) -> list[object]:
    """Everything about a network that is no value: classes, names, order, identities, flags and hooks."""
    parts: list[object] = []
    for name, module in model.named_modules():
        parts += [name, id(module), type(module), list(vars(module)), module.training]
        parts += [(key, id(p), id(getattr(module, key)), type(p)) for key, p in module._parameters.items()]
        parts += [(key, id(b)) for key, b in module._buffers.items()]
        parts += [(key, id(m)) for key, m in module._modules.items()]
        parts += [(key, list(getattr(module, key).values())) for key in HOOKS]
    parts += [(name, p.requires_grad, p.dtype, p.is_leaf) for name, p in model.named_parameters()]
    return [*parts, list(model.state_dict()), repr(model)]


@every_case()
@pytest.mark.parametrize(("steps", "ending"), [(0, "detach"), (2, "finish")])
def test_nothing_is_left_behind(case, steps, ending):
    model = build(case.network)
    x, _ = batch(case.network)
    before, outputs, state = picture(model), evaluated(model, x), copy.deepcopy(model.state_dict())
    training = Training(case, model=model)
    assert len(HOOKS) >= 8
    assert training.model is model
    training.sparsifier.attach(training.optimizer)
    training.train(steps)
    (training.sparsifier.detach if ending == "detach" else training.sparsifier.finish)()
    assert picture(model) == before
    assert not any(training.optimizer._optimizer_step_pre_hooks) + any(training.optimizer._optimizer_step_post_hooks)
    if steps == 0:
        assert same(model.state_dict(), state)
        assert torch.equal(evaluated(model, x), outputs)
    fresh = build(case.network)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(evaluated(fresh, x), evaluated(model, x))
    assert torch.equal(evaluated(copy.deepcopy(model), x), evaluated(model, x))
    assert torch.equal(fresh.train()(x), model.train()(x))


@every_case("residual", "transformer")
def test_a_second_method_can_follow(case):
    """The same network twice: what the first attachment did must not stand in the way of another."""
    once = Training(case).train(2)
    once.sparsifier.detach()
    again = Training(case, model=once.model)
    assert bool(again.step()[0].isfinite())
    again.sparsifier.detach()
    assert list(once.model.state_dict()) == list(build(case.network).state_dict())

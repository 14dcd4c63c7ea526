"""The optimizer's state of dead units is cleared, so that it does not fade into denormal numbers."""

import pytest
import torch

import gasl
from sparsifier.nets import examples, mlp, train


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.05)


def momentum(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


@pytest.mark.parametrize(("granularity", "strength", "floor"), [("unit", 2.0, 2), ("weight", 0.5, 1)])
@pytest.mark.parametrize("make", [adam, momentum])
def test_dead_groups_have_no_momentum(make, granularity, strength, floor):
    model = mlp(torch.float32)
    method = gasl.GroupLasso(strength=strength, granularity=granularity)
    sparsifier = gasl.Sparsifier(model, method, examples(model), min_units=floor)
    optimizer = make(sparsifier.param_groups())
    train(model, sparsifier, optimizer, 3 * 64)
    for name in ("0.weight", "2.weight"):
        weight = model.get_parameter(name)
        dead = weight == 0
        assert 0 < int(dead.sum()) < weight.numel()
        for state in optimizer.state[weight].values():
            if state.shape == weight.shape:
                assert (state[dead] == 0).all()
                assert (state[~dead] != 0).any()


def test_no_state_becomes_denormal_in_a_long_run():
    model = mlp(torch.float32)
    sparsifier = gasl.Sparsifier(model, gasl.GroupLasso(strength=0.5), examples(model), min_units=2)
    optimizer = momentum(sparsifier.param_groups())
    train(model, sparsifier, optimizer, 1300)
    tiny = torch.finfo(torch.float32).tiny
    for weight in sparsifier.groups.tensors.values():
        state = optimizer.state[weight]["momentum_buffer"].abs()
        assert not ((state > 0) & (state < tiny)).any()

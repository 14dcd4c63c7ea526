import pytest
import torch
from torch import nn

from gasl.errors import InputError
from gasl.measure import Example
from gasl.structure.running import undisturbed


def test_batch_is_cut_and_repeated_in_order():
    x = torch.arange(6.0).reshape(3, 2)
    assert torch.equal(Example.of(x).at(2).args[0], x[:2])
    assert torch.equal(Example.of(x).at(5).args[0], torch.cat([x, x[:2]]))
    assert Example.of(x).at(3).args[0] is x


def test_only_tensors_of_the_batch_follow_it():
    mask, scale = torch.zeros(7, 7), torch.tensor(2.0)
    example = Example.of({"x": torch.zeros(2, 4), "more": [torch.ones(2), mask], "scale": scale, "n": 3}).at(6)
    assert example.kwargs["x"].shape == (6, 4)
    assert example.kwargs["more"][0].shape == (6,)
    assert example.kwargs["more"][1] is mask
    assert example.kwargs["scale"] is scale
    assert example.kwargs["n"] == 3


@pytest.mark.parametrize("bad", [3, torch.tensor(1.0), (), {"x": "text"}, torch.zeros(0, 3)])
def test_no_batch_is_refused(bad):
    with pytest.raises(InputError, match="dimension 0 is a batch"):
        Example.of(bad)


def test_batch_below_one_is_refused():
    with pytest.raises(InputError, match="got 0"):
        Example.of(torch.zeros(2, 3)).at(0)


class Counting(nn.Module):
    """Breaks every rule of eval mode: it writes a buffer and draws a number in each call."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.drop = nn.Dropout()

    def forward(self, x):
        self.calls += 1
        torch.rand(3)
        return self.drop(x)


def test_the_network_is_left_as_it_was():
    model = nn.Sequential(Counting(), nn.BatchNorm1d(3))
    model[0].drop.eval()  # a mixture of flags, as a user with frozen parts has
    random, statistics = torch.get_rng_state(), model[1].running_mean.clone()
    with undisturbed(model):
        assert not torch.is_grad_enabled()
        assert not any(module.training for module in model.modules())
        model(torch.ones(4, 3))
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert model[0].calls == 0
    assert torch.equal(model[1].running_mean, statistics)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.is_grad_enabled()


def test_the_network_is_left_as_it_was_after_an_error():
    model = Counting()
    with pytest.raises(TypeError, match="forward"), undisturbed(model):
        model(1, 2, 3)
    assert model.training

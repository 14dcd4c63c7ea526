"""Large images are checked on noise of fewer places; what depends on their size is checked on all of them."""

import pytest
import torch
from torch import nn

from gasl.errors import RemovalError
from gasl.removal import shrink, shrink_
from gasl.removal.verify import Reference
from gasl.structure.inputs import fewer_places
from gasl.structure.trace import traced
from removal.zeros import ignore, kill
from structure.nets import Fn


def large(batch=1, side=128):
    return torch.randn(batch, 3, side, side)


@pytest.mark.parametrize(
    ("shape", "half", "least"),
    [((2, 3, 224, 224), 128, 64), ((1, 1, 128, 128), 64, 64), ((1, 2, 128, 128, 128), 64, 64)],
)
def test_the_corner_of_an_image(shape, half, least):
    x = torch.randn(shape)
    assert fewer_places(x).shape == (*shape[:2], *[half] * (len(shape) - 2))
    assert fewer_places({"x": x, "n": torch.ones(2)}, least)["x"].shape == (*shape[:2], *[least] * (len(shape) - 2))


@pytest.mark.parametrize(
    "inputs",
    [
        torch.zeros(1, 3, 127, 224),
        torch.zeros(4, 300, 300),
        (torch.zeros(1, 3, 224, 224), torch.zeros(1, 224, 224)),
        (torch.zeros(1, 3, 224, 224), torch.zeros(1, 1, 224, 224, dtype=torch.bool)),
    ],
)
def test_what_is_small_or_no_image_is_taken_whole(inputs):
    assert fewer_places(inputs) is None


def seen(model, x, **options):
    sizes = []
    hook = model.register_forward_pre_hook(lambda m, args: sizes.append((args[0].shape[-1], m.training)))
    Reference(model, x, **options)
    hook.remove()
    return sizes


def test_which_passes_are_made():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    x = large(side=224)
    assert seen(model, x) == [(224, False), (224, False), (224, True)]
    assert seen(model, x, outputs=[model(x)], brief=True) == [(64, False), (128, True)]
    fixed = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.Flatten(), nn.Linear(4 * 111 * 111, 2))
    assert seen(fixed, x, outputs=[fixed(x)], brief=True) == [(64, False), (224, False), (128, True), (224, True)]
    assert not Reference(fixed, x, brief=True).brief


def test_a_norm_that_has_too_few_places_in_training_gets_all():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AvgPool2d(64), nn.BatchNorm2d(4))
    assert seen(model, large(), brief=True)[-2:] == [(64, True), (128, True)]
    assert Reference(model, large(), brief=True).training_difference(model) == 0


def test_the_traced_outputs_are_the_networks_own():
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), large()
    _, (output,) = traced(model, x)
    assert torch.equal(output, model(x))
    assert not output.requires_grad
    assert traced(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.randn(1, 3, 8))[1] is None
    assert traced(nn.Sequential(nn.LSTM(3, 4)), torch.randn(1, 3, 3))[1] is None


def hidden(m, x):
    """Wrong once a unit is gone, but not where the input adds up to 0."""
    return m.b(torch.relu(m.a(x)) * (1 + x.sum() * (len(m.a.weight.detach().numpy()) - 4)))


@pytest.mark.parametrize("cut", [shrink, shrink_])
def test_a_difference_that_a_large_example_hides_shows_on_noise(cut):
    model = Fn(hidden, a=kill(nn.Conv2d(3, 4, 1), 1), b=ignore(nn.Conv2d(4, 2, 1), 1))
    with pytest.raises(RemovalError, match="removing units of 'a'"):
        cut(model, torch.zeros(1, 3, 128, 128))
    assert model.a.weight.shape[0] == 4


@pytest.mark.parametrize("cut", [shrink, shrink_])
def test_a_difference_in_training_mode_alone_shows_too(cut):
    def forward(m, x):
        y = torch.relu(m.a(x))
        return m.b(y * y.shape[1] if m.training else y)

    model = Fn(forward, a=kill(nn.Conv2d(3, 4, 1), 1), b=nn.Conv2d(4, 2, 1))
    with pytest.raises(RemovalError, match="in training mode"):
        cut(model, large())


@pytest.mark.parametrize("cut", [shrink, shrink_])
@pytest.mark.parametrize(
    ("forward", "left"),
    [
        (lambda m, x: m.b(torch.relu(m.a(x)).sum((2, 3)) / 100), 4),  # at half the size it is another constant
        (lambda m, x: m.b(torch.relu(m.a(x)).mean((2, 3)) * (2 if x.shape[-1] > 70 else 1)), 3),  # at 64 alone
    ],
    ids=["everywhere", "in the corner"],
)
def test_a_constant_that_the_size_decides(cut, forward, left):
    """The corner alone would refuse both: of the first the trace at half the size knows, of the second nothing does."""
    model = Fn(forward, a=kill(nn.Conv2d(3, 4, 1), 1), b=nn.Linear(4, 2)).double().eval()
    with torch.no_grad():
        model.a.bias[1] = 1.0
    x = large(side=150).double()
    before = model(x)
    made = cut(model, x)
    small = model if cut is shrink_ else made[0]
    assert small.a.weight.shape[0] == left
    torch.testing.assert_close(small(x), before)


def test_a_dropout_ends_the_pass_in_training_mode():
    model = nn.Sequential(kill(nn.Linear(3, 4), 1), nn.Dropout(0.5), nn.ReLU(), nn.Linear(4, 2)).train()
    modes, x = [], torch.randn(5, 3)
    model[2].register_forward_pre_hook(lambda m, args: modes.append(m.training))
    state = torch.get_rng_state()
    _, removal = shrink(model, x)
    assert removal.max_rel_diff_train is None
    assert not any(modes)
    assert torch.equal(state, torch.get_rng_state())
    assert all(not module._forward_pre_hooks for module in (model, model[1]))

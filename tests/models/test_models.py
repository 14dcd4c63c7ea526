"""Shapes, parameter counts and multiply-adds of the networks, each against a count made by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gasl.errors import InputError
from gasl.models import MLP, MODELS, VGG16, LeNet5, ResNet18


def weight_count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.ndim > 1)


def macs(model: nn.Module, images: Tensor) -> int:
    """Multiply-adds for one image: weights times the positions at which each layer is applied."""
    counts = []

    def count(module: nn.Module, _: object, out: Tensor) -> None:
        assert isinstance(module.weight, Tensor)
        counts.append(module.weight.numel() * out[0, 0].numel())

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    model.eval()(images)
    return sum(counts)


def test_lenet5_counts() -> None:
    model = LeNet5()
    by_layer = {name: p.numel() for name, p in model.named_parameters() if p.ndim > 1}
    assert by_layer == {"conv1.weight": 500, "conv2.weight": 25_000, "fc1.weight": 400_000, "fc2.weight": 5_000}
    assert weight_count(model) == 430_500
    assert macs(model, torch.zeros(1, 1, 28, 28)) == 500 * 24 * 24 + 25_000 * 8 * 8 + 400_000 + 5_000 == 2_293_000


def test_mlp_counts() -> None:
    assert weight_count(MLP()) == macs(MLP(), torch.zeros(1, 1, 28, 28)) == 784 * 500 + 500 * 300 + 300 * 10


def test_vgg16_counts() -> None:
    # 14,710,464 weights in 13 convolutions (published for VGG-16), 5,120 in the last layer, 2 x 4,224 in batch norms.
    model = VGG16()
    assert weight_count(model) == 14_710_464 + 5_120
    assert sum(p.numel() for p in model.parameters()) == 14_715_584 + 10 + 2 * 4_224
    assert macs(model, torch.zeros(1, 3, 32, 32)) == 313_201_664


def test_resnet18_counts() -> None:
    # 11,173,962 parameters is the published count of this form with 10 classes.
    model = ResNet18()
    assert sum(p.numel() for p in model.parameters()) == 11_173_962
    shortcuts = [m for n, m in model.named_modules() if "downsample" in n and isinstance(m, nn.Conv2d)]
    assert [tuple(m.kernel_size) for m in shortcuts] == [(1, 1)] * 3


@pytest.mark.parametrize("name", sorted(MODELS))
def test_classes_are_an_argument(name: str) -> None:
    model = MODELS[name](num_classes=7)
    channels, size = (1, 28) if name in ("lenet5", "mlp") else (3, 32)
    assert model.eval()(torch.zeros(2, channels, size, size)).shape == (2, 7)


@pytest.mark.parametrize("build", [VGG16, ResNet18])
def test_width_scales_every_channel_count(build: Callable[..., nn.Module]) -> None:
    full, half = ([m.out_channels for m in build(width=w).modules() if isinstance(m, nn.Conv2d)] for w in (1.0, 0.5))
    assert half == [c // 2 for c in full]


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_width_is_refused(width: float) -> None:
    with pytest.raises(InputError, match="width must be"):
        VGG16(width=width)


def test_input_dropout_takes_pixels_in_training_alone() -> None:
    model, images = MLP(input_dropout=0.5), torch.ones(4, 1, 28, 28)
    seen: list[Tensor] = []
    model.fc1.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model.train()(images)
    model.eval()(images)
    kept = seen[0].count_nonzero() / seen[0].numel()
    assert 0.4 < kept < 0.6
    assert torch.equal(seen[0].unique(), torch.tensor([0.0, 2.0]))
    assert torch.equal(seen[1], images.flatten(1))
    assert MLP(input_dropout=0.5).state_dict().keys() == MLP().state_dict().keys()


@pytest.mark.parametrize("part", [-0.1, 1.0, float("nan")])
def test_bad_dropout_is_refused(part: float) -> None:
    with pytest.raises(InputError, match="input_dropout must be"):
        MLP(input_dropout=part)

"""The LightningModule: decay, numbers that are logged, clipping of the total gradient."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from gasl.data import Batches, DataSplits
from gasl.errors import InputError
from gasl.training import Classifier, TrainConfig
from gasl.training.classifier import param_groups
from gasl.training.shell import lightning, quiet

Train = Callable[..., lightning.Trainer]


@pytest.fixture
def train() -> Train:
    def train(module: lightning.LightningModule, data: DataSplits, epochs: int = 1, **settings: object) -> object:
        with quiet():
            trainer = lightning.Trainer(
                accelerator="cpu",
                max_epochs=epochs,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                **settings,
            )
            trainer.fit(module, Batches(data.train, 20), Batches(data.validation, 20))
        return trainer

    return train


def test_scores_with_something_beside_them_are_refused(net: nn.Module, splits: DataSplits, train: Train) -> None:
    """As of networks with auxiliary classifiers, in training alone."""

    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, images: torch.Tensor) -> object:
            scores = self.net(images)
            return (scores, scores) if self.training else scores

    with pytest.raises(InputError, match="one tensor of class scores, this one a tuple in training mode"):
        train(Classifier(Auxiliary(), TrainConfig()), splits)


def test_only_weights_decay(net: nn.Module) -> None:
    names = {id(p): name for name, p in net.named_parameters()}
    groups = {g["weight_decay"]: {names[id(p)] for p in g["params"]} for g in param_groups(net, 0.1)}
    assert groups == {
        0.1: {"conv.weight", "conv2.weight", "fc.weight"},
        0.0: {"norm.weight", "norm.bias", "conv2.bias", "fc.bias"},
    }


def test_what_a_method_adds_does_not_decay(net: nn.Module) -> None:
    net.add_module("_gasl", nn.Linear(2, 3))
    added = {id(p) for p in net.get_submodule("_gasl").parameters()}
    decaying, still, own = param_groups(net, 0.1)
    assert [group["weight_decay"] for group in (decaying, still, own)] == [0.1, 0.0, 0.0]
    assert {id(p) for p in own["params"]} == added
    rates = [
        group["lr"] for group in Classifier(net, TrainConfig(lr=0.2, own_lr=2.0)).configure_optimizers().param_groups
    ]
    assert rates == [0.2, 0.2, 2.0]


def test_frozen_parameters_are_left_out() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    assert len(param_groups(layer, 0.1)) == 1


def test_logged_numbers_are_means_over_images(splits: DataSplits, train: Train) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    before = [p.clone() for p in net.parameters()]
    # A learning rate too small to change anything, so that the numbers can be computed afterwards.
    metrics = train(Classifier(net, TrainConfig(lr=1e-30)), splits).callback_metrics
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    for part, name in ((splits.train, "train_loss"), (splits.validation, "val_loss")):
        loss = functional.cross_entropy(net(part.images / 255), part.labels)
        assert metrics[name].item() == pytest.approx(loss.item(), rel=1e-5)
    wrong = (net(splits.validation.images / 255).argmax(1) != splits.validation.labels).float().mean()
    assert metrics["val_error"].item() == pytest.approx(100 * wrong.item(), rel=1e-5)


def test_gradient_is_clipped_by_value(splits: DataSplits, train: Train) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    before = net[1].weight.detach().clone()
    small = splits.train.select(torch.arange(20))
    config = TrainConfig(lr=1000.0, clip=0.01, momentum=0.0, weight_decay=0.0)
    train(Classifier(net, config), DataSplits(small, splits.validation, splits.test))
    moved = (net[1].weight.detach() - before).abs()
    assert moved.max().item() == pytest.approx(0.01, rel=1e-4)


def test_without_clipping_a_large_rate_moves_far(splits: DataSplits, train: Train) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    train(Classifier(net, TrainConfig(lr=1000.0, clip=None)), splits)
    assert net[1].weight.abs().max() > 10


def test_adam_is_chosen(net: nn.Module) -> None:
    optimizer = Classifier(net, TrainConfig(optimizer="adam", momentum=0.95)).configure_optimizers()
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.param_groups[0]["betas"] == (0.95, 0.999)
    optimizer = Classifier(net, TrainConfig(momentum=0.7)).configure_optimizers()
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.param_groups[0]["momentum"] == 0.7

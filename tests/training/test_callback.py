"""The callback in a LightningModule that knows nothing of gasl, against the same training in a bare loop."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from gasl.data import Batches, DataSplits
from gasl.errors import InputError
from gasl.methods import GASL, GroupLasso, Method
from gasl.sparsifier import Sparsifier
from gasl.training import SparsityCallback
from gasl.training.callback import add_gradient_
from gasl.training.shell import lightning, quiet

EXAMPLE = torch.zeros(1, 1, 8, 8)
METHODS = [
    GroupLasso(strength=0.05),
    GroupLasso(strength=0.05, step="loss"),
    GASL(strength=0.02),
    GASL(strength=0.02, step="loss"),
]


class Theirs(lightning.LightningModule):
    """A user's module: own optimizer, own step, no validation."""

    def __init__(self, net: nn.Module, lr: float = 0.05) -> None:
        super().__init__()
        self.net = net
        self.lr = lr

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        return functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)


def net() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(180, 8), nn.ReLU(), nn.Linear(8, 3))


def train(module: nn.Module, data: DataSplits, *callbacks: object, ckpt: Path | None = None, **settings: Any) -> object:
    batches = Batches(data.train, 12)
    with quiet():
        options = {
            "accelerator": "cpu",
            "max_epochs": 2,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }
        trainer = lightning.Trainer(callbacks=list(callbacks), **(options | settings))
        trainer.fit(module, batches, ckpt_path=ckpt, weights_only=True)
    return trainer


def bare_loop(model: nn.Module, method: Method, data: DataSplits, *, accumulate: int = 1) -> Sparsifier:
    sparsifier = Sparsifier(model, method, EXAMPLE, seed=4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(2):
        for index, (images, labels) in enumerate(Batches(data.train, 12)):
            last = (index + 1) % accumulate == 0
            loss = functional.cross_entropy(model(images), labels) / accumulate
            (loss + sparsifier.penalty() if last else loss).backward()
            if last:
                optimizer.step()
                sparsifier.step(optimizer)
                optimizer.zero_grad()
    return sparsifier


def same(one: nn.Module, two: nn.Module, tolerance: float = 1e-6) -> bool:
    pairs = zip(one.parameters(), two.parameters(), strict=True)
    return all(torch.allclose(a, b, rtol=tolerance, atol=tolerance) for a, b in pairs)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{type(m).__name__}-{m.step}")
@pytest.mark.parametrize("accumulate", [1, 2])
def test_same_weights_as_a_bare_loop(splits: DataSplits, method: Method, accumulate: int) -> None:
    expected, model, plain = net(), net(), net()
    bare_loop(expected, method, splits, accumulate=accumulate)
    train(
        Theirs(model),
        splits,
        SparsityCallback(method, EXAMPLE, module="net", seed=4),
        accumulate_grad_batches=accumulate,
    )
    train(Theirs(plain), splits, accumulate_grad_batches=accumulate)
    assert same(model, expected)
    assert not same(model, plain, 1e-3)


def test_steps_are_counted_once(splits: DataSplits) -> None:
    callback = SparsityCallback(GroupLasso(strength=0.05), EXAMPLE, module="net")
    train(Theirs(net()), splits, callback, accumulate_grad_batches=2)
    assert callback.sparsifier.state.step == 4


def test_loss_term_is_clipped_with_the_rest(splits: DataSplits) -> None:
    model = net()
    before = copy.deepcopy(model)
    method = GroupLasso(strength=1e4, step="loss")
    train(
        Theirs(model),
        splits,
        SparsityCallback(method, EXAMPLE, module="net"),
        gradient_clip_val=1e-3,
        gradient_clip_algorithm="value",
        max_steps=1,
        max_epochs=-1,
    )
    pairs = zip(model.parameters(), before.parameters(), strict=True)
    moved = max((a - b).abs().max().item() for a, b in pairs)
    assert moved == pytest.approx(0.05 * 1e-3, rel=1e-2)


def test_sparsity_is_logged_and_the_small_network_agrees(splits: DataSplits) -> None:
    model = net()
    callback = SparsityCallback(GroupLasso(strength=3.0), EXAMPLE, module="net")
    trainer = train(Theirs(model), splits, callback)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert logged["strength"] == 3.0
    axes = callback.sparsifier.sparsity()
    assert {axis.name for axis in axes} >= {"0", "3"}
    assert any(axis.sparsity_propagated > 0 for axis in axes)
    for axis in axes:
        assert logged[f"sparsity_own/{axis.name}"] == pytest.approx(axis.sparsity_own)
        assert logged[f"sparsity_propagated/{axis.name}"] == pytest.approx(axis.sparsity_propagated)
    small = callback.sparsifier.finish()
    images = splits.test.images / 255
    assert torch.allclose(small(images), model(images), atol=1e-5)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())


def test_strength_is_calibrated_on_the_first_loss(splits: DataSplits) -> None:
    model, expected = net(), net()
    callback = SparsityCallback(GroupLasso(), EXAMPLE, module="net")
    train(Theirs(model), splits, callback, accumulate_grad_batches=2)
    sparsifier = Sparsifier(expected, GroupLasso(), EXAMPLE)
    images, labels = next(iter(Batches(splits.train, 12)))
    sparsifier.penalty(functional.cross_entropy(expected(images), labels))
    assert callback.sparsifier.strength == pytest.approx(sparsifier.strength, rel=1e-5)
    assert callback.sparsifier.state.step == 4


class Stop(lightning.Callback):
    """Keeps a checkpoint of the first epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.current_epoch == 0:
            trainer.save_checkpoint(self.path)


def test_resume_needs_no_pickle_and_goes_on_with_the_same_draws(splits: DataSplits, tmp_path: Path) -> None:
    method = GASL(strength=0.02, beta="fresh")
    whole, resumed = net(), nn.Sequential(*net())
    callback = SparsityCallback(method, EXAMPLE, module="net", seed=4)
    train(Theirs(whole), splits, callback, Stop(tmp_path / "x.ckpt"))
    again = SparsityCallback(method, EXAMPLE, module="net", seed=99)
    train(Theirs(resumed), splits, again, ckpt=tmp_path / "x.ckpt")
    assert again.sparsifier.state.step == callback.sparsifier.state.step == 8
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    different = net()
    train(Theirs(different), splits, SparsityCallback(method, EXAMPLE, module="net", seed=99))
    assert not same(different, whole)


def test_only_the_optimizer_of_the_network_is_driven(splits: DataSplits) -> None:
    class Two(Theirs):
        def __init__(self) -> None:
            super().__init__(net())
            self.head = nn.Linear(3, 3)
            self.automatic_optimization = False

        def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> None:
            self.manual_backward(functional.cross_entropy(self.head(self.net(batch[0])), batch[1]))
            for optimizer in self.optimizers():
                optimizer.step()
                optimizer.zero_grad()

        def configure_optimizers(self) -> list[torch.optim.Optimizer]:
            return [torch.optim.SGD(self.head.parameters(), lr=0.1), torch.optim.SGD(self.net.parameters(), lr=0.05)]

    callback = SparsityCallback(GroupLasso(strength=0.1), EXAMPLE, module="net")
    train(Two(), splits, callback)
    assert callback.sparsifier.state.step == 8


def test_unknown_module_is_named(splits: DataSplits) -> None:
    with pytest.raises(InputError, match=r"Theirs has no module 'model', it has 'net'"):
        train(Theirs(net()), splits, SparsityCallback(GroupLasso(strength=0.1), EXAMPLE))


def test_optimizer_without_the_network_is_refused(splits: DataSplits) -> None:
    class Blind(Theirs):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)

    with pytest.raises(InputError, match="no optimizer holds"):
        train(Blind(net()), splits, SparsityCallback(GroupLasso(strength=0.1), EXAMPLE, module="net"))


def test_no_sparsifier_before_training() -> None:
    with pytest.raises(InputError, match=r"trainer\.fit"):
        _ = SparsityCallback(GroupLasso(strength=0.1), EXAMPLE).sparsifier


def test_gradient_of_a_term_is_added() -> None:
    used, unused, fresh = (torch.tensor([2.0], requires_grad=True) for _ in range(3))
    used.grad = torch.tensor([1.0])
    add_gradient_((used**2 + 3 * fresh).sum(), [used, unused, fresh])
    assert used.grad.item() == 5
    assert unused.grad is None
    assert fresh.grad is not None
    assert fresh.grad.item() == 3
    add_gradient_(torch.zeros(()), [used])
    assert used.grad.item() == 5

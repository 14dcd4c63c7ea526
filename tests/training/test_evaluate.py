"""The error on an image set."""

import pytest
import torch
from torch import nn

from gasl.data import DataSplits, Preprocess
from gasl.training import error_percent


def test_error_is_counted_by_hand(splits: DataSplits, net: nn.Module) -> None:
    net.eval()
    scores = net(splits.test.images / 255)
    wrong = sum(int(row.argmax()) != int(label) for row, label in zip(scores, splits.test.labels, strict=True))
    assert wrong > 0
    for batch_size in (1, 7, 500):
        assert error_percent(net, splits.test, batch_size) == pytest.approx(100 * wrong / 30)


def test_network_is_left_as_it_was(splits: DataSplits, net: nn.Module) -> None:
    net.train()
    net.dropout.eval()
    flags = [module.training for module in net.modules()]
    buffers = [buffer.clone() for buffer in net.buffers()]
    first, second = error_percent(net, splits.test), error_percent(net, splits.test)
    assert first == second
    assert [module.training for module in net.modules()] == flags
    assert all(torch.equal(a, b) for a, b in zip(buffers, net.buffers(), strict=True))


def test_flags_come_back_after_an_error(splits: DataSplits, net: nn.Module) -> None:
    net.train()
    with pytest.raises(RuntimeError):
        error_percent(nn.Sequential(net, nn.Linear(99, 3)), splits.test)
    assert net.training
    assert net.dropout.training


def test_preprocessing_counts(splits: DataSplits) -> None:
    seen = []

    class Spy(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images)
            return torch.zeros(len(images), 3)

    error_percent(Spy(), splits.test, preprocess=Preprocess(crop=4))
    assert seen[0].shape[-2:] == (4, 4)


def test_each_of_several_processes_counts_all_images(splits: DataSplits, net: nn.Module, monkeypatch) -> None:
    alone = error_percent(net, splits.validation)
    for name, value in {"is_initialized": True, "get_world_size": 2, "get_rank": 1}.items():
        monkeypatch.setattr(torch.distributed, name, lambda value=value: value)
    assert error_percent(net, splits.validation) == alone

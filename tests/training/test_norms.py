"""Batch norms whose statistics are those of the network as it is evaluated."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import nn

from gasl.data import Batches, DataSplits, Preprocess
from gasl.methods import StructuredBP
from gasl.training import Hardware, TrainConfig, fit
from gasl.training.norms import FreshNorms, measure_norms_

CONFIG = TrainConfig(epochs=2, batch_size=12, lr=0.05, drop_after=None, stop_after=None)


def test_everything_but_the_statistics_is_as_before(net: nn.Module, splits: DataSplits) -> None:
    net.train()
    net.dropout.eval()
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    images = [images for images, _ in Batches(splits.train, 16)]
    measure_norms_(net, images)
    assert [module.training for module in net.modules()] == modes
    assert net.norm.momentum == 0.1
    changed = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, state[name])}
    assert changed == {"norm.running_mean", "norm.running_var"}
    maps = net.conv(torch.cat(images))
    torch.testing.assert_close(net.norm.running_mean, maps.mean((0, 2, 3)))


@pytest.mark.parametrize("fresh", [True, None])
def test_they_are_measured_without_the_noise_of_the_method(
    splits: DataSplits, make_net: Callable[[], nn.Module], tmp_path: Path, fresh: bool | None
) -> None:
    """Behind noise of every unit, in front of and behind the norms: the statistics are those of the folded network."""
    config = TrainConfig(**{**CONFIG.__dict__, "fresh_norms": fresh})
    net = nn.Sequential(make_net(), nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    net[0].dropout.p = 0.0
    method, cpu = StructuredBP(strength=0.0, log_sigma=0.0), Hardware(accelerator="cpu")
    fitted = fit(net, splits, tmp_path, config=config, method=method, hardware=cpu, progress=False)
    folded = fitted.sparsifier.folded()
    found = {name: buffer.clone() for name, buffer in folded.named_buffers() if "running" in name}
    batches = islice(FreshNorms(splits.train, config, Preprocess()).batches, 50)
    measure_norms_(folded, (images for images, _ in batches))
    same = [torch.allclose(buffer, found[name], rtol=1e-4) for name, buffer in folded.named_buffers() if name in found]
    assert len(same) == 4
    assert all(same) is bool(fresh)


def test_training_is_not_touched(splits: DataSplits, make_net: Callable[[], nn.Module], tmp_path: Path) -> None:
    nets = []
    for fresh in (None, True):
        net = make_net()
        config = TrainConfig(**{**CONFIG.__dict__, "fresh_norms": fresh})
        fit(net, splits, tmp_path / str(fresh), config=config, hardware=Hardware(accelerator="cpu"), progress=False)
        nets.append(dict(net.named_parameters()))
    for name, parameter in nets[0].items():
        assert torch.equal(parameter, nets[1][name]), name

"""Columns of weights as groups, laid beside the matrix that a convolution is."""

import pytest
import torch
from torch import nn

from gasl.errors import InputError
from gasl.groups.columns import ColumnGroups
from gasl.groups.kinds import network_groups
from gasl.maths import prox_group_lasso
from gasl.models import LeNet5
from gasl.structure.trace import trace


def weights():
    generator = torch.Generator().manual_seed(1)
    conv = torch.randn(4, 3, 2, 2, generator=generator, dtype=torch.float64)
    return {"conv": conv, "fc": torch.randn(5, 7, generator=generator, dtype=torch.float64)}


def test_norms_are_those_of_the_unfolded_convolution_s_columns():
    tensors = weights()
    x = torch.randn(1, 3, 6, 6, dtype=torch.float64)
    matrix = tensors["conv"].reshape(4, 12)  # times the unfolded input it is the convolution
    product = (matrix @ nn.functional.unfold(x, 2)[0]).view(1, 4, 5, 5)
    torch.testing.assert_close(product, nn.functional.conv2d(x, tensors["conv"]))
    norms = ColumnGroups(tensors).norms()
    torch.testing.assert_close(norms[0], matrix.norm(dim=0))
    torch.testing.assert_close(norms[1], tensors["fc"].norm(dim=0))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_its_step_is_the_proximal_step_of_each_column(layout):
    tensors = weights()
    expected = prox_group_lasso(tensors["conv"].reshape(4, 12), 1.5, dim=1).view(4, 3, 2, 2)
    tensors["conv"] = tensors["conv"].to(memory_format=layout)
    groups = ColumnGroups(tensors)
    groups.shrink_([torch.full((12,), 3.0, dtype=torch.float64), torch.zeros(7, dtype=torch.float64)], lambda _: 0.5)
    assert 0 < int((expected[0] == 0).sum()) < 12
    torch.testing.assert_close(groups.tensors["conv"], expected, rtol=1e-13, atol=0)
    assert torch.equal(groups.tensors["fc"], weights()["fc"])
    assert torch.equal(groups.dead()[0], (expected == 0).all(0).flatten())


def test_the_largest_column_stays():
    tensors = weights()
    best = tensors["conv"].norm(dim=0).flatten().argmax()
    kept = tensors["conv"].flatten(1)[:, best].clone()
    groups = ColumnGroups(tensors)
    groups.shrink_([torch.full((12,), 1e3, dtype=torch.float64), torch.zeros(7, dtype=torch.float64)], lambda _: 1.0)
    assert groups.dead()[0].nonzero().numel() == 11
    assert torch.equal(tensors["conv"].flatten(1)[:, best], kept)
    assert groups.floors == [1, 1]


def test_a_zero_column_has_slope_zero():
    tensors = weights()
    tensors["fc"][:, 2] = 0
    fc = tensors["fc"].requires_grad_()
    ColumnGroups({"fc": fc}).norms()[0].sum().backward()
    assert fc.grad.isfinite().all()
    assert (fc.grad[:, 2] == 0).all()


def test_clearing_takes_the_same_places_elsewhere():
    groups = ColumnGroups(weights())
    dead = [torch.arange(12) == 5, torch.arange(7) < 2]
    buffers = {"conv": torch.ones(4, 3, 2, 2)}
    groups.clear_(dead, within=buffers)
    assert buffers["conv"].flatten(1)[0].tolist() == [1.0] * 5 + [0.0] + [1.0] * 6
    assert not any(d.any() for d in groups.dead())
    groups.clear_(dead)
    assert [int(d.sum()) for d in groups.dead()] == [1, 2]


def shape_groups(model, x):
    return network_groups(model, trace(model, x), x, "unit", "shape", "in", (), {})


def test_of_a_network_they_are_every_layer_s():
    groups = shape_groups(LeNet5(), torch.zeros(1, 1, 28, 28))
    assert groups.names == ("conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight")
    assert [n.numel() for n in groups.norms()] == [25, 500, 800, 500]


def test_what_has_its_outputs_elsewhere_has_no_columns():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 5, 2), nn.Conv2d(5, 5, 3, groups=5), nn.Conv2d(5, 1, 1)
    )
    groups = shape_groups(model, torch.zeros(1, 3, 8, 8))
    assert groups.names == ("0.weight", "2.weight", "3.weight")
    assert [n.numel() for n in groups.norms()] == [27, 9, 5]
    with pytest.raises(InputError, match="there is no weight to group"):
        shape_groups(nn.Sequential(nn.ConvTranspose2d(4, 5, 2)), torch.zeros(1, 4, 8, 8))

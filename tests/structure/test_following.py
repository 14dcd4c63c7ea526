"""Functions between two layers: followed where they leave units apart, else protected with the reason."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from removal.halving import halved
from structure.nets import Fn, axes_of, groups_of, image, reasons_of


def between(function, width=4, batch=2, after=4):
    """A 1x1 convolution to ``width`` channels, a function of its output, a 1x1 convolution that reads it."""
    model = Fn(lambda m, x: m.b(function(m.a(x))), a=nn.Conv2d(3, width, 1), b=nn.Conv2d(after, 2, 1))
    return model, image(batch)


FOLLOWED = {
    "in-place relu": lambda x: F.relu_(x),
    "scalar": lambda x: 2 * x + 1,
    "clone": lambda x: x.clone().detach(),
    "cast": lambda x: x.double().float(),
    "zero pad": lambda x: F.pad(x, (1, 1, 1, 1)),
    "reflect": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "max pool": lambda x: F.max_pool2d(x, 2),
    "avg pool": lambda x: F.avg_pool2d(x, 2),
    "adaptive avg": lambda x: F.adaptive_avg_pool2d(x, 2),
    "adaptive max": lambda x: F.adaptive_max_pool2d(x, 2),
    "nearest": lambda x: F.interpolate(x, scale_factor=2.0),
    "bilinear": lambda x: F.interpolate(x, size=5, mode="bilinear"),
    "mean over space": lambda x: x.mean((2, 3), keepdim=True),
    "sum over space": lambda x: x.flatten(2).sum(-1)[:, :, None, None],
    "amax": lambda x: x.amax((2, 3), keepdim=True),
    "permute": lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
    "flip space": lambda x: x.flip(2),
    "roll space": lambda x: x.roll(1, 3),
    "crop": lambda x: x[:, :, 1:-1, ::2],
    "one row": lambda x: x[:, :, 0].unsqueeze(-1),
    "split space": lambda x: x.split(4, dim=2)[0],
    "whole slice": lambda x: x[:, :64],
    "stack space": lambda x: torch.stack([x, x], 2).flatten(2, 3),
    "cat space": lambda x: torch.cat([x, x.relu()], 3),
    "cat batch": lambda x: torch.cat([x, -x], 0),
    "self product": lambda x: x * x.sigmoid(),
    "layer norm over a row": lambda x: F.layer_norm(x, [8]),
    "times a total": lambda x: x * x.sum(),
    "dropout": lambda x: F.dropout(x, 0.5, training=False),
    "in-place write of space": lambda x: _erase(x),
    "copy": lambda x: torch.empty_like(x).copy_(x),
    "unused noise": lambda x: x + 0 * torch.randn_like(x),
}


UNSURE = {  # followed, but what is killed stays, or there is nothing to compare
    "cast",  # to float32
    "unused noise",  # another draw each time
    "in-place write of space",  # what is written could depend on the input
}


def _erase(x):
    x = x.clone()
    x[:, :, 0] = 0
    return x


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_leaves_units_apart_is_followed_at_every_batch_size(name):
    for batch in (1, 2, 5):
        model, x = between(FOLLOWED[name], batch=batch)
        assert groups_of(model, x) == {"a": {"a.weight[0]", "a.bias[0]", "b.weight[1]"}}, batch


@pytest.mark.parametrize("name", sorted(set(FOLLOWED) - UNSURE))
def test_and_its_dead_units_go_without_a_change(name):
    for seed in range(2):
        halved(between(FOLLOWED[name])[0], image, seed=seed)


CUT = {
    "chunk": lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
    "every second": lambda x: x[:, 0:4:2].repeat(1, 2, 1, 1),
    "every second, from the second": lambda x: x[:, 1::2].repeat(1, 2, 1, 1),
    "shuffle": lambda x: x.view(len(x), 2, -1, 8, 8).transpose(1, 2).flatten(1, 2),
}


@pytest.mark.parametrize("name", CUT)
def test_of_a_width_that_is_cut_the_same_place_of_every_part_is_a_unit(name):
    for batch in (1, 2, 5):
        assert axes_of(*between(CUT[name], batch=batch)) == {"a": 2}
    halved(between(CUT[name])[0], image)


PROTECTED = {
    "softmax": (lambda x: x.softmax(1), "aten._softmax runs over the width"),
    "cumsum": (lambda x: x.cumsum(2), "no rule for aten.cumsum"),
    "mean over width": (lambda x: x - x.mean(1, keepdim=True), "aten.mean runs over the width"),
    "product": (lambda x: x * x.prod(1, keepdim=True), "aten.prod"),
    "largest": (lambda x: x * x.amax(1, keepdim=True), "aten.amax runs over the width"),
    "half": (lambda x: torch.cat([x[:, :2], x[:, 2:]], 1), "aten.slice cuts the width"),
    "unequal split": (lambda x: torch.cat(x.split([1, 3], 1), 1), "aten.split"),
    "every second, from the third": (lambda x: x[:, 2::2].repeat(1, 4, 1, 1), "takes every 2th index of the width"),
    "index": (lambda x: x[:, torch.tensor([1, 0, 2, 3])], "aten.index picks indices of the width"),
    "index_select": (lambda x: x.index_select(1, torch.tensor([1, 0, 2, 3])), "aten.index_select picks indices"),
    "shuffle with numbers": (
        lambda x: x.view(-1, 2, 2, 8, 8).transpose(1, 2).reshape(-1, 4, 8, 8),
        "aten._unsafe_view holds its size as the number 4",
    ),
    "into batch": (lambda x: x.reshape(-1, 2, 8, 8).reshape(-1, 4, 8, 8), "holds its size as the number"),
    "pixels taken for channels": (
        lambda x: F.interpolate(F.pixel_shuffle(x, 2), 8).repeat(1, 4, 1, 1),
        "aten.pixel_shuffle makes one channel of all",
    ),
    "roll": (lambda x: x.roll(1, 1), "aten.roll shifts the width"),
    "fixed tensor": (lambda x: x + torch.ones(4, 1, 1), "aten.add with a tensor of fixed size"),
    "pad width": (lambda x: F.pad(x, (0, 0, 0, 0, 1, 0))[:, 1:], "pads the width"),
    "topk": (lambda x: x.topk(4, dim=1).values, "no rule for aten.topk"),
    "norm": (lambda x: F.layer_norm(x, [4, 8, 8]), "aten.native_layer_norm"),
    "item": (lambda x: x * x[0, 0, 0, 0].item(), "aten.select takes single indices of the width"),
    "write of a unit": (lambda x: _mask_unit(x), "aten.select takes single indices of the width"),
}


def _mask_unit(x):
    x = x.clone()
    x[:, 1] = 0
    return x


@pytest.mark.parametrize("name", PROTECTED)
def test_what_mixes_units_or_holds_their_number_is_protected(name):
    function, reason = PROTECTED[name]
    for batch in (1, 3):
        model, x = between(function, batch=batch)
        assert axes_of(model, x) == {}
        assert reason in reasons_of(model, x)["a"]

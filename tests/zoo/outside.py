"""Ops on a width that few rules, or none, can follow: each must come out exact or protected, never refused or wrong."""

import math

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

__all__ = ["FEATURES", "MAPS", "network"]


class Between(nn.Module):
    """A layer that makes twelve units, a function of them, and a layer that reads what comes out."""

    def __init__(self, first, function, last, **more):
        super().__init__()
        self.first, self.last = first, last
        self.function = function
        for name, module in more.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.last(self.function(self, torch.tanh(self.first(x))))


def written(y, width=12):
    """Into a buffer whose size is a number."""
    out = torch.zeros(y.shape[0], width, dtype=y.dtype)
    out[:, : y.shape[1]] = y
    return out


def halves_swapped(y):
    z = y.clone()
    z[:, :6], z[:, 6:] = y[:, 6:], y[:, :6]
    return z


# What is done to twelve features, and how many come out.
FEATURES = {
    "sort": (lambda m, y: y.sort(1).values, 12),
    "cumsum": (lambda m, y: y.cumsum(1), 12),
    "cumprod": (lambda m, y: (1 + y).cumprod(1), 12),
    "flip": (lambda m, y: y.flip(1), 12),
    "roll": (lambda m, y: y.roll(5, 1), 12),
    "fft": (lambda m, y: torch.fft.rfft(y, dim=1).abs(), 7),
    "softmax": (lambda m, y: y.softmax(1), 12),
    "log_softmax": (lambda m, y: y.log_softmax(1), 12),
    "normalize": (lambda m, y: functional.normalize(y, dim=1), 12),
    "standardize": (lambda m, y: (y - y.mean(1, keepdim=True)) / y.std(1, keepdim=True), 12),
    "sum": (lambda m, y: torch.cat([y, y.sum(1, keepdim=True)], 1), 13),
    "mean": (lambda m, y: torch.cat([y, y.mean(1, keepdim=True)], 1), 13),
    "max": (lambda m, y: torch.cat([y, y.amax(1, keepdim=True)], 1), 13),
    "logsumexp": (lambda m, y: torch.cat([y, y.logsumexp(1, keepdim=True)], 1), 13),
    "variance": (lambda m, y: torch.cat([y, y.var(1, keepdim=True)], 1), 13),
    "median": (lambda m, y: torch.cat([y, y.median(1, keepdim=True).values], 1), 13),
    "product": (lambda m, y: torch.cat([y, y.prod(1, keepdim=True)], 1), 13),
    "topk": (lambda m, y: y.topk(4, 1).values, 4),
    "argmax": (lambda m, y: y * (y.argmax(1, keepdim=True) + 1), 12),
    "every second": (lambda m, y: y[:, ::2], 6),
    "first five": (lambda m, y: y[:, :5], 5),
    "all but one": (lambda m, y: y[:, 1:] * y[:, :-1], 11),
    "by index": (lambda m, y: y[:, [0, 3, 3, 11]], 4),
    "index_select": (lambda m, y: y.index_select(1, torch.tensor([1, 5, 2])), 3),
    "gather": (lambda m, y: y.gather(1, torch.tensor([[1, 5, 2]]).expand(len(y), 3)), 3),
    "mask": (lambda m, y: y.masked_fill(torch.arange(12) % 3 == 0, 0.5), 12),
    "where": (lambda m, y: torch.where(torch.arange(12) % 3 == 0, y, y + 1), 12),
    "constant": (lambda m, y: y * torch.linspace(1, 2, 12, dtype=y.dtype), 12),
    "by its width": (lambda m, y: y / y.shape[1], 12),
    "by its root": (lambda m, y: y / math.sqrt(y.shape[1]), 12),
    "by its count": (lambda m, y: y * y.numel() / len(y), 12),
    "by another's width": (lambda m, y: y * len(m.first.weight), 12),
    "by an attribute": (lambda m, y: y * m.first.out_features, 12),
    "written": (lambda m, y: written(y), 12),
    "swapped in place": (lambda m, y: halves_swapped(y), 12),
    "scatter": (lambda m, y: torch.zeros_like(y).scatter(1, torch.arange(11, -1, -1).expand_as(y), y), 12),
    "padded": (lambda m, y: functional.pad(y, (2, 3)), 17),
    "padded to sixteen": (lambda m, y: functional.pad(y, (0, 16 - y.shape[1])), 16),
    "with ones": (lambda m, y: torch.cat([y, torch.ones(len(y), 1, dtype=y.dtype)], 1), 13),
    "with the input": (lambda m, y: torch.cat([y, y[:, :3]], 1), 15),
    "twice": (lambda m, y: torch.cat([y, y], 1), 24),
    "repeated": (lambda m, y: y.repeat(1, 2), 24),
    "interleaved": (lambda m, y: y.repeat_interleave(2, 1), 24),
    "tiled flat": (lambda m, y: y[:, :, None].expand(-1, -1, 3).flatten(1), 36),
    "maxout": (lambda m, y: y.view(len(y), 4, 3).amax(2), 4),
    "maxout, unknown rest": (lambda m, y: y.view(len(y), -1, 3).amax(2), 4),
    "mean of groups": (lambda m, y: y.view(len(y), 4, 3).mean(2), 4),
    "mean of groups, unknown rest": (lambda m, y: y.view(len(y), 4, -1).mean(2), 4),
    "transposed groups": (lambda m, y: y.view(len(y), 4, 3).transpose(1, 2).flatten(1), 12),
    "gated": (lambda m, y: functional.glu(y, 1), 6),
    "halves": (lambda m, y: torch.mul(*y.chunk(2, 1)), 6),
    "thirds of a number": (lambda m, y: torch.mul(*y.split([4, 4, 4], 1)[:2]), 4),
    "uneven parts": (lambda m, y: torch.cat(y.split([7, 5], 1)[::-1], 1), 12),
    "outer product": (lambda m, y: (y[:, :, None] * y[:, None, :]).flatten(1), 144),
    "gram": (lambda m, y: torch.bmm(y[:, :, None], y[:, None, :]).flatten(1), 144),
    "gram over examples": (lambda m, y: y @ (y.T @ y), 12),
    "distances": (lambda m, y: torch.cdist(y, y), None),
    "similarity": (lambda m, y: y * functional.cosine_similarity(y, y.roll(1, 0), dim=1)[:, None], 12),
    "dot with itself": (lambda m, y: y * (y * y).sum(1, keepdim=True), 12),
    "own weight": (lambda m, y: y @ m.first.weight @ m.first.weight.T, 12),
    "norm of own weight": (lambda m, y: y / m.first.weight.norm(), 12),
    "row norms of own weight": (lambda m, y: y / (m.first.weight.norm(dim=1) + 1), 12),
    "sum of own bias": (lambda m, y: y * m.first.bias.sum(), 12),
    "mean of own bias": (lambda m, y: y * m.first.bias.mean(), 12),
    "sign": (lambda m, y: y * (1 + y.sign()), 12),
    "round": (lambda m, y: y + (8 * y).round(), 12),
    "cosine": (lambda m, y: y.cos(), 12),
    "exp": (lambda m, y: y.exp(), 12),
    "power": (lambda m, y: (y + 2) ** 1.5, 12),
    "compared": (lambda m, y: (y > y.roll(1, 0)).to(y.dtype) + y, 12),
    "detached copy": (lambda m, y: y * torch.tensor(y.tolist(), dtype=y.dtype), 12),
    "clamped": (lambda m, y: y.clamp(-0.3, 0.4), 12),
    "lerp": (lambda m, y: torch.lerp(y, y * y, 0.3), 12),
    "addcmul": (lambda m, y: torch.addcmul(y, y, y, value=0.7), 12),
    "stacked": (lambda m, y: torch.stack([y, y * y], 2).flatten(1), 24),
    "stacked first": (lambda m, y: torch.stack([y, y * y], 1).flatten(1), 24),
    "stacked, one read": (lambda m, y: torch.stack([y, y * y], 1)[:, 1], 12),
    "unbound": (lambda m, y: torch.stack(y.unbind(1)[:7], 1), 7),
    "kronecker": (lambda m, y: torch.kron(y, torch.tensor([[1.0, 2.0]], dtype=y.dtype)), 24),
    "einsum": (lambda m, y: torch.einsum("ni,nj->nij", y, y).flatten(1), 144),
    "unfolded": (lambda m, y: y.unfold(1, 3, 1).flatten(1), 30),
    "pooled": (lambda m, y: functional.max_pool1d(y[:, None], 2)[:, 0], 6),
    "averaged": (lambda m, y: functional.avg_pool1d(y[:, None], 3, 1, 1)[:, 0], 12),
    "as a signal": (lambda m, y: functional.conv1d(y[:, None], m.kernel, padding=1)[:, 0], 12),
    "as an image": (lambda m, y: functional.conv2d(y.view(len(y), 1, 3, 4), m.square).flatten(1), 6),
    "interpolated": (lambda m, y: functional.interpolate(y[:, None], size=9)[:, 0], 9),
    "qr": (lambda m, y: torch.linalg.qr(y.view(len(y), 4, 3))[0].flatten(1), 12),
    "triangle": (lambda m, y: y.view(len(y), 3, 4).tril().flatten(1), 12),
    "diagonal": (lambda m, y: torch.diag_embed(y).sum(2), 12),
    "one column": (lambda m, y: y + y[:, 3:4], 12),
    "last column": (lambda m, y: y * y[:, -1:], 12),
    "checkpointed": (lambda m, y: torch.utils.checkpoint.checkpoint(torch.sin, y, use_reentrant=False), 12),
    "layer norm": (lambda m, y: functional.layer_norm(y, (12,)), 12),
    "layer norm of its width": (lambda m, y: functional.layer_norm(y, y.shape[1:]), 12),
    "group norm": (lambda m, y: functional.group_norm(y, 4), 12),
    "complex": (lambda m, y: torch.view_as_real(torch.view_as_complex(y.view(len(y), 6, 2)) ** 2).flatten(1), 12),
    "with a state of a number": (lambda m, y: y + functional.relu(y.new_zeros(len(y), 12) + 0.5 * y), 12),
    "dropout": (lambda m, y: functional.dropout(y, 0.5, m.training), 12),
}


def standard(weight):
    return weight - weight.mean((1, 2, 3), keepdim=True)


# The same for twelve maps of 5 x 5.
MAPS = {
    "response norm": lambda m, y: functional.local_response_norm(y, 5),
    "norm of each map": lambda m, y: functional.layer_norm(y, y.shape[2:]),
    "norm of all": lambda m, y: functional.layer_norm(y, y.shape[1:]),
    "softmax of maps": lambda m, y: y.softmax(1),
    "softmax of space": lambda m, y: y.flatten(2).softmax(2).view_as(y),
    "gram": lambda m, y: (y.flatten(2) @ y.flatten(2).transpose(1, 2)) @ y.flatten(2),
    "attention of space": lambda m, y: y.flatten(2) @ (y.flatten(2).transpose(1, 2) @ y.flatten(2)).softmax(2),
    "mean map": lambda m, y: y * y.mean(1, keepdim=True),
    "strongest map": lambda m, y: y * y.amax(1, keepdim=True).sigmoid(),
    "channel conv": lambda m, y: y * functional.conv1d(y.mean(3).transpose(1, 2), m.kernel.expand(5, 5, 3), padding=1)
    .sigmoid()
    .transpose(1, 2)[..., None],
    "space to depth": lambda m, y: functional.pixel_unshuffle(functional.pad(y, (0, 1, 0, 1)), 2),
    "depth to space": lambda m, y: functional.pixel_shuffle(y, 2),
    "channel shuffle": lambda m, y: functional.channel_shuffle(y, 3),
    "fold": lambda m, y: functional.fold(functional.unfold(y, 3, padding=1), (5, 5), 3, padding=1),
    "shifted parts": lambda m, y: torch.cat([y[:, :4].roll(1, 2), y[:, 4:8].roll(1, 3), y[:, 8:]], 1),
    "transposed": lambda m, y: y.transpose(1, 2).reshape(len(y), 12, 5, 5),
    "flat halves": lambda m, y: y.flatten(1)[:, :150].view(len(y), 6, 5, 5),
    "as depth": lambda m, y: functional.max_pool3d(y[:, None], (2, 1, 1))[:, 0],
    "by a computed filter": lambda m, y: functional.conv2d(y, y.mean((0, 2, 3)).view(12, 1, 1, 1), groups=12),
    "own filter again": lambda m, y: functional.conv_transpose2d(y, m.first.weight),
    "standardised filter": lambda m, y: functional.conv2d(y, standard(m.middle.weight)),
    "filter norms": lambda m, y: functional.conv2d(y, functional.normalize(m.middle.weight, dim=1)),
    "weight norm": lambda m, y: m.normed(y),
    "spectral norm": lambda m, y: m.spectral(y),
}  # fmt: skip


def reader(width):
    """Has units of its own, so that something can always go."""
    return nn.Sequential(nn.Linear(width, 5), nn.Tanh(), nn.Linear(5, 3))


def network(name, batch=5):
    """The network around one of these ops, and its input."""
    torch.manual_seed(0)
    if name.startswith("maps: "):
        function = MAPS[name.removeprefix("maps: ")]
        layers = {
            "kernel": nn.Parameter(torch.randn(1, 1, 3)),
            "middle": nn.Conv2d(12, 12, 3, bias=False),
            "normed": parametrizations.weight_norm(nn.Conv2d(12, 9, 3)),
            "spectral": parametrizations.spectral_norm(nn.Conv2d(12, 9, 3)),
        }
        probe = Between(nn.Conv2d(3, 12, 3), function, nn.Identity(), **layers).eval()
        x = torch.randn(batch, 3, 7, 7)
        last = nn.Sequential(nn.Flatten(), *reader(probe(x).flatten(1).shape[1]))
        return Between(nn.Conv2d(3, 12, 3), function, last, **layers).double().eval(), x.double()
    function, width = FEATURES[name]
    layers = {"kernel": nn.Parameter(torch.randn(1, 1, 3)), "square": nn.Parameter(torch.randn(1, 1, 2, 2))}
    x = torch.randn(batch, 6)
    return Between(nn.Linear(6, 12), function, reader(width or len(x)), **layers).double().eval(), x.double()

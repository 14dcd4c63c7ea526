"""Small random networks with zeros of every kind, and a slow, obvious reference of which of their units are dead."""

import copy

import torch
from torch import nn

__all__ = ["Concat", "Residual", "brute_force_dead", "damage", "random_network"]

LEAK = 0.125  # a ReLU that never opens would hide from brute force what weights alone cannot show


class Residual(nn.Module):
    def __init__(self, body, skip):
        super().__init__()
        self.body, self.skip = body, skip

    def forward(self, x):
        return self.body(x) + self.skip(x)


class Concat(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def _activation(rng, width):
    kind = rng.choice(["relu", "none", "sigmoid", "prelu", "gelu"])
    if kind == "prelu":
        return [nn.PReLU(rng.choice([1, width]))]
    return {"relu": [nn.LeakyReLU(LEAK)], "none": [], "sigmoid": [nn.Sigmoid()], "gelu": [nn.GELU()]}[kind]


def _conv(rng, before, after):
    """Keeps the size of the map: 3x3 padded, or 1x1."""
    kernel = rng.choice([1, 3])
    layers = [nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=rng.random() < 0.6)]
    if rng.random() < 0.5:
        layers.append(_norm(after))
    return layers + _activation(rng, after)


def _norm(width):
    norm = nn.BatchNorm2d(width)
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return norm


def random_network(rng):
    """A float64 network in evaluation mode and inputs for it."""
    width = 2
    layers = []
    for _ in range(rng.randint(2, 4)):
        kind, after = rng.choice(["conv", "valid", "residual", "concat", "pool", "avg"]), rng.randint(2, 4)
        if kind == "conv":
            layers += _conv(rng, width, after)
        elif kind == "valid":
            layers += [nn.Conv2d(width, after, 2, bias=rng.random() < 0.6), *_activation(rng, after)]
        elif kind == "residual":
            body = nn.Sequential(*_conv(rng, width, 3), *_conv(rng, 3, after))
            skip = nn.Identity() if after == width and layers else nn.Conv2d(width, after, 1, bias=rng.random() < 0.5)
            layers.append(Residual(body, skip))
        elif kind == "concat":
            layers.append(Concat(*(nn.Sequential(*_conv(rng, width, w)) for w in (after, 2))))
            after += 2
        else:
            layers.append(nn.MaxPool2d(2, 1) if kind == "pool" else nn.AvgPool2d(3, 1, padding=1))
            after = width
        width = after
    features = nn.Sequential(*layers, *rng.choice([[], [nn.AdaptiveAvgPool2d(1)], [nn.AdaptiveAvgPool2d(2)]]))
    size = features.eval()(torch.zeros(1, 2, 7, 7)).flatten(1).shape[1]
    hidden = rng.randint(2, 4)
    head = [nn.Linear(size, hidden, bias=rng.random() < 0.6), *_activation(rng, hidden)]
    head.append(nn.Linear(hidden, 3, bias=rng.random() < 0.6))
    return nn.Sequential(features, nn.Flatten(), *head).double().eval(), torch.randn(3, 2, 7, 7).double()


@torch.no_grad()
def damage(model, rng):
    """Zeros as any method may leave them, and some that none would."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            kind = rng.choice(["nothing", "rows", "rows", "rows and bias", "columns", "scattered", "all"])
            rows = torch.tensor([rng.random() < 0.5 for _ in range(module.weight.shape[0])])
            if kind.startswith("rows"):
                module.weight[rows] = 0
            if kind == "rows and bias" and module.bias is not None:
                module.bias[rows] = 0
            if kind == "columns":
                module.weight[:, torch.tensor([rng.random() < 0.5 for _ in range(module.weight.shape[1])])] = 0
            if kind == "scattered":
                module.weight.mul_(torch.rand(module.weight.shape) < 0.4)
            if kind == "all" and rng.random() < 0.4:
                module.weight.zero_()
        if isinstance(module, nn.BatchNorm2d):
            off = torch.tensor([rng.random() < 0.3 for _ in range(module.num_features)])
            module.weight[off] = 0
            module.bias[off & (torch.rand(off.shape) < 0.5)] = 0


@torch.no_grad()
def brute_force_dead(model, x, axis):
    """Units whose own tensors can be filled with noise, draw after draw, while no output changes."""
    wanted = model(x)
    dead = []
    for unit in range(axis.size):
        same = True
        for scale in (0.5, 2.0, 8.0, 8.0):
            other = copy.deepcopy(model)
            tensors = dict(other.named_parameters()) | dict(other.named_buffers())
            for member in axis.members:
                if member.role in ("producer", "bias", "norm", "elementwise"):
                    index = (member.units == unit).nonzero().flatten()
                    tensor = tensors[member.tensor]
                    noise = scale * torch.randn_like(tensor.index_select(member.dim, index))
                    tensor.index_copy_(member.dim, index, noise)
            same &= torch.equal(other(x), wanted)
        dead.append(same)
    return torch.tensor(dead)

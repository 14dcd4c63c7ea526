"""Small networks, data and loops for the tests of the sparsifier."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import gasl


def mlp(dtype=torch.float64):
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)).to(dtype)


def batchnorm(padding=1):
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=padding),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 5, 3, padding=padding, bias=False),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(20, 3),
    )


def examples(model, n=2):
    dtype = next(model.parameters()).dtype
    return torch.randn(n, 1, 8, 8, dtype=dtype) if isinstance(model[0], nn.Conv2d) else torch.randn(n, 6, dtype=dtype)


def task(model, n=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (n, 1, 8, 8) if isinstance(model[0], nn.Conv2d) else (n, 6)
    x = torch.randn(shape, generator=generator).to(next(model.parameters()).dtype)
    return x, torch.randint(3, (n,), generator=generator)


def sgd(sparsifier, lr=0.1, **options):
    return torch.optim.SGD(sparsifier.param_groups(), lr=lr, **options)


def train(model, sparsifier, optimizer, steps, seed=0, attached=False):
    """Ordinary loop on one fixed batch."""
    x, y = task(model, seed=seed)
    for _ in range(steps):
        loss = cross_entropy(model(x), y) + sparsifier.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if not attached:
            sparsifier.step(optimizer)


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def setup(method=None, model=None, lr=0.1, **options):
    model = mlp() if model is None else model
    sparsifier = gasl.Sparsifier(model, method or gasl.GASL(strength=0.05), examples(model), **options)
    return model, sparsifier, sgd(sparsifier, lr)

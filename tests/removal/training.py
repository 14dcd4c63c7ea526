"""A network in the middle of its training, with dead units of every kind, and the same one with its dead held."""

import copy

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gasl.removal.apply import cut, cuts_of
from removal.zeros import ignore, kill

__all__ = ["OPTIMIZERS", "Held", "backward", "batch", "network", "setup", "small_part"]


def _decayed(parameters):
    """Decay of weights alone: that of a bias would see the constants that it takes up."""
    biases = {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0}
    return [{"params": [p for p in parameters if p.ndim > 1]}, biases]


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True, foreach=True),
    "adamw": lambda p: torch.optim.AdamW(_decayed(p), lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05, lr_decay=0.1, initial_accumulator_value=0.1),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.5),
    "asgd": lambda p: torch.optim.ASGD(p, lr=0.05, lambd=0.0, t0=1),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
}


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 10), nn.Sigmoid(), nn.Linear(10, 3),
    ).double()  # fmt: skip


def batch(seed=0, n=7):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 2, 8, 8, generator=generator).double()
    return x, torch.randint(3, (n,), generator=generator)


def backward(model, seed=0):
    x, y = batch(seed)
    loss = cross_entropy(model(x), y)
    loss.backward()
    return loss


def setup(kind, steps=3):
    """A network and its optimizer after a few steps, then with zeros; and a copy of both."""
    model = network()
    optimizer = kind(list(model.parameters()))
    for seed in range(steps):
        optimizer.zero_grad()
        backward(model, seed)
        optimizer.step()
    optimizer.zero_grad()
    kill(model[0], 1, 2, bias=True)
    with torch.no_grad():
        model[1].weight[[1, 2]] = model[1].bias[[1, 2]] = 0  # coupled zeros
        model[1].weight[5] = 0  # a constant of its own: it stays, as the next layer pads nothing but it is folded
        model[3].bias[4] = 0.3
    kill(model[3], 4)  # a constant, folded behind the flatten
    ignore(model[7], *range(9), 20, 33)  # a map that nobody reads, and single features
    kill(model[7], 0, 7)  # neurons that emit a constant
    ignore(model[9], 3)  # one that nobody reads
    return model, optimizer, *copy.deepcopy((model, optimizer))


def small_part(name, tensor, removal):
    return cut(tensor.detach(), cuts_of(removal.plan).get(name, ()))


class Held:
    """The large network, in which what was removed is put back after each step."""

    def __init__(self, model, optimizer, removal):
        self.model, self.optimizer, self.removal = model, optimizer, removal
        self.values = {name: p.detach().clone() for name, p in model.named_parameters()}

    def step(self):
        self.optimizer.step()
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                cuts = cuts_of(self.removal.plan).get(name, ())
                stays = torch.ones(p.shape, dtype=torch.bool)
                for dim, index in cuts:
                    gone = torch.ones(p.shape[dim], dtype=torch.bool)
                    gone[index] = False
                    stays.index_fill_(dim, gone.nonzero().flatten(), False)
                p.copy_(torch.where(stays, p, self.values[name]))

"""The Groups protocol over plain weights whose rows (``dim=0``) are the groups, and a training step to lay beside."""

import torch

from gasl.maths import group_norms, shrink_factors
from gasl.methods import State


class ToyGroups:
    def __init__(self, *weights):
        self.weights = [w.detach().clone().double().requires_grad_() for w in weights]

    @property
    def names(self):
        return tuple(f"axis{i}" for i in range(len(self.weights)))

    @property
    def tensors(self):
        return dict(zip(self.names, self.weights, strict=True))

    inputs = {}  # noqa: RUF012

    @property
    def floors(self):
        return [1] * len(self.weights)

    def norms(self):
        return [group_norms(w, 0) for w in self.weights]

    def zero(self):
        return self.weights[0].new_zeros(())

    @torch.no_grad()
    def shrink_(self, rates, lr):
        for w, r in zip(self.weights, rates, strict=True):
            w.mul_(shrink_factors(group_norms(w, 0), r, lr(w)).view(-1, *[1] * (w.ndim - 1)))

    @torch.no_grad()
    def clear_(self, dead):
        for w, gone in zip(self.weights, dead, strict=True):
            w[gone] = 0


def new_state(strength, seed=0):
    return State(strength=strength, generator=torch.Generator().manual_seed(seed))


def train_step(method, groups, state, lr, task=None, momentum=0.0, optimizer=None):
    """One step of plain SGD with the method's hooks; ``task`` maps the weights to a loss."""
    optimizer = optimizer or torch.optim.SGD(groups.weights, lr=lr, momentum=momentum)
    optimizer.zero_grad()
    loss = sum((w * 0).sum() for w in groups.weights) + method.penalty(groups, state)
    if task is not None:
        loss = loss + task(groups.weights)
    loss.backward()
    method.before_step(groups, state)
    optimizer.step()
    method.after_step(groups, state, lambda _: lr)
    state.step += 1

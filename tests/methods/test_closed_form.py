"""Where the closed form and the loss term are one step, and where they are not (docs/readings.md, R13)."""

import dataclasses

import pytest
import torch

from gasl.methods import GASL, Attention, GroupLasso, Penalty, StructuredAttention
from methods.toy import ToyGroups, new_state, train_step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nothing(Penalty):
    """No penalty, so that attention over it is the smooth part alone."""

    def sparsity(self, norms):
        return self.value(norms, 1.0)

    def value(self, norms, strength, beta=None):
        return sum((0 * n).sum() for n in norms)

    def rates(self, norms, strength, beta=None):
        return [torch.zeros_like(n) for n in norms]


def weight():
    generator = torch.Generator().manual_seed(2)
    return torch.randn(5, 4, generator=generator, dtype=torch.float64) * torch.tensor(
        [[0.5], [1.0], [2.0], [1.5], [3.0]]
    )


def slope():
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def after(method, step, lr, steps=1, task=None, momentum=0.0, strength=0.5):
    method = dataclasses.replace(method, step=step)
    groups, state = ToyGroups(weight()), new_state(strength)
    optimizer = torch.optim.SGD(groups.weights, lr=lr, momentum=momentum)
    for _ in range(steps):
        train_step(method, groups, state, lr, task=task, optimizer=optimizer)
    return groups.weights[0].detach()


def smooth(inverse):
    nothing = {step: Nothing(step=step) for step in ("proximal", "loss")}
    return lambda step, **kw: after(Attention(over=nothing[step], inverse=inverse, alpha=0.3, step=step), step, **kw)


@pytest.mark.parametrize("inverse", ["total", "per_layer", "log", "cv", "standardised"])
def test_the_smooth_part_alone_is_the_same_step(inverse):
    run = smooth(inverse)
    torch.testing.assert_close(run("proximal", lr=0.01, steps=5), run("loss", lr=0.01, steps=5), rtol=1e-13, atol=1e-15)
    assert not torch.allclose(run("loss", lr=0.01, steps=5), weight())


METHODS = [GroupLasso(), StructuredAttention(), StructuredAttention(inverse="cv"), GASL(), GASL(inverse="log")]
every_method = pytest.mark.parametrize(
    "method", METHODS, ids=lambda m: f"{type(m).__name__}-{getattr(m, 'inverse', '')}"
)


@every_method
def test_with_the_lasso_they_agree_without_a_task_while_no_norm_is_within_a_step_of_zero(method):
    closed, loss = after(method, "proximal", lr=0.01, steps=5), after(method, "loss", lr=0.01, steps=5)
    torch.testing.assert_close(closed, loss, rtol=1e-13, atol=1e-15)
    assert not torch.allclose(loss, weight())


@every_method
def test_with_a_task_they_differ_by_the_square_of_the_step_size(method):
    def difference(lr):
        task = {"task": lambda weights: (weights[0] * slope()).sum()}
        return (after(method, "proximal", lr=lr, **task) - after(method, "loss", lr=lr, **task)).norm()

    assert difference(1e-3) > 0
    assert difference(1e-3) / difference(5e-4) == pytest.approx(4, rel=0.02)


def test_within_a_step_of_zero_the_closed_form_is_exactly_zero_and_the_loss_term_is_not():
    lr, strength = 0.1, 2.0
    pull = weight() / lr - 0.9 * strength / 5**0.5 * torch.nn.functional.normalize(slope(), dim=1)
    task = {"task": lambda weights: (weights[0] * pull).sum(), "strength": strength}  # ||w - lr g|| = 0.9 lr rate
    assert (after(GroupLasso(), "proximal", lr=lr, **task) == 0).all()
    assert (after(GroupLasso(), "loss", lr=lr, **task).norm(dim=1) > 1e-3).all()


def test_with_momentum_the_loss_term_acts_more_often_and_the_closed_form_does_not():
    lr, steps, momentum = 1e-3, 300, 0.9
    rate = 0.5 / 5**0.5
    start = weight().norm(dim=1)
    closed = start - after(GroupLasso(), "proximal", lr=lr, steps=steps, momentum=momentum).norm(dim=1)
    loss = start - after(GroupLasso(), "loss", lr=lr, steps=steps, momentum=momentum).norm(dim=1)
    torch.testing.assert_close(closed, torch.full_like(closed, steps * lr * rate))
    warm_up = momentum / (1 - momentum)
    torch.testing.assert_close(
        loss, torch.full_like(loss, (steps - warm_up) * lr * rate / (1 - momentum)), rtol=0.02, atol=0
    )

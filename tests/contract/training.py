"""A method on a network in an ordinary loop, and what can be seen of the two from outside."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import gasl
from contract.networks import batch, build
from contract.table import Case
from gasl.methods import Method

__all__ = ["FLOORS", "POSTERIOR", "Training", "effective", "evaluated", "own", "posterior_parameters", "same", "zeros"]

FLOORS = {"lenet": {"conv1": 3, "conv2": 4, "fc1.in": 12, "fc1": 4}}  # a function that is left, not a constant; else 2
POSTERIOR = "_gasl"  # the child that holds a method's gates and variances while it is attached


class Training:
    """A network, a method, an optimizer, and one batch."""

    def __init__(
        self,
        case: Case,
        method: Method | None = None,
        dtype: torch.dtype = torch.float64,
        seed: int = 0,
        model: nn.Module | None = None,
        frozen: tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        self.model = build(case.network, dtype) if model is None else model
        for name in frozen:
            self.model.get_submodule(name).requires_grad_(False)
        self.x, self.y = batch(case.network, dtype)
        method = method or case.setting.method
        units = method.holds_units or (method.granularity == "unit" and method.scope not in ("shape", "depth"))
        options = {"min_units": FLOORS.get(case.network, 2) if units else 1, "seed": seed} | options
        self.sparsifier = gasl.Sparsifier(self.model, method, self.x[:2], **options)
        self.optimizer = case.setting.optimizer(self.sparsifier.param_groups())

    def loss(self, parts: int = 1, part: int = 0) -> Tensor:
        x, y = self.x.chunk(parts)[part], self.y.chunk(parts)[part]
        return cross_entropy(self.model(x), y)

    def step(self, parts: int = 1) -> list[Tensor]:
        """One optimizer step on the batch, in parts; the penalties that were added."""
        penalties = []
        self.optimizer.zero_grad()
        for part in range(parts):
            loss = self.loss(parts, part)
            penalties.append(self.sparsifier.penalty(loss))
            ((loss + penalties[-1]) / parts).backward()
        self.optimizer.step()
        self.sparsifier.step(self.optimizer)
        return penalties

    def train(self, steps: int) -> "Training":
        for _ in range(steps):
            self.step()
        return self

    def state(self) -> list[dict]:
        return [self.model.state_dict(), self.optimizer.state_dict(), self.sparsifier.state_dict()]

    def load(self, state: list[dict]) -> "Training":
        for part, value in zip((self.model, self.optimizer, self.sparsifier), state, strict=True):
            part.load_state_dict(value)
        return self

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a step may change in the model."""
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}


def own(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules that are the user's."""
    return ((name, m) for name, m in model.named_modules() if name.split(".")[0] != POSTERIOR)


def posterior_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if name.split(".")[0] == POSTERIOR}


def effective(model: nn.Module) -> dict[str, Tensor]:
    """The weights that the user's modules read, in the mode that the network is in."""
    return {
        f"{path}.{name}": getattr(module, name).detach().clone()
        for path, module in own(model)
        for name, value in module._parameters.items()
        if value is not None
    }


def evaluated(model: nn.Module, x: Tensor) -> Tensor:
    """Outputs in evaluation mode; the network is left in the mode that it was in."""
    flags = {module: module.training for module in model.modules()}
    outputs = model.eval()(x).detach()
    for module, training in flags.items():
        module.training = training
    return outputs


def zeros(model: nn.Module) -> int:
    """Exact zeros among the weights of the network in evaluation mode."""
    flags = {module: module.training for module in model.modules()}
    model.eval()
    count = sum(int((w == 0).sum()) for w in effective(model).values())
    for module, training in flags.items():
        module.training = training
    return count


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return list(left) == list(right) and all(torch.equal(left[name], right[name]) for name in left)

"""Cut a network where it stands: the same modules and parameters, and a way back until all is done."""

import gc
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from gasl.errors import InputError
from gasl.removal.apply import Cut, cut, cuts_of, fit_structure
from gasl.removal.plan import Plan
from gasl.removal.resize import set_tensors
from gasl.removal.states import smaller_states
from gasl.structure.running import named_tensors

__all__ = ["check_single", "commit", "resized"]


def check_single(model: nn.Module) -> None:
    """Refuse a network whose weights a distributed wrapper knows by their sizes.

    Raises:
        InputError: If it is in, or inside of, a distributed wrapper.
    """
    for module in model.modules():
        if isinstance(module, DistributedDataParallel) or type(module).__name__ == "FullyShardedDataParallel":
            raise InputError(_distributed(type(module).__name__))
    parameters = {id(p) for p in model.parameters()}
    if any(type(p).__name__ == "DTensor" for p in [*model.parameters(), *(p.data for p in model.parameters())]):
        raise InputError(_distributed("fully_shard (its weights are DTensors)"))
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for thing in gc.get_objects():  # a network does not know its wrapper, but the wrapper would hang or diverge
            if issubclass(type(thing), DistributedDataParallel) and parameters & {id(p) for p in thing.parameters()}:
                raise InputError(_distributed(type(thing).__name__))


def _distributed(wrapper: str) -> str:
    return (
        f"the network is wrapped by {wrapper}, which keeps the sizes of the weights; "
        "shrink before wrapping it, or take gasl.shrink, which makes a new network, and wrap that"
    )


class _Snapshot:
    """Classes, attributes, parameters and buffers of every module, to be put back."""

    def __init__(self, model: nn.Module) -> None:
        self._modules = [(module, module.__class__, dict(vars(module))) for module in model.modules()]
        self._containers = [
            (value, value.copy())
            for _, _, attributes in self._modules
            for value in attributes.values()
            if type(value) in (dict, OrderedDict, list, set)
        ]

    def restore(self) -> None:
        for container, content in self._containers:
            container.clear()
            if isinstance(container, list):
                container.extend(content)
            else:
                container.update(content)
        for module, kind, attributes in self._modules:
            module.__class__ = kind
            vars(module).clear()
            vars(module).update(attributes)


@contextmanager
def resized(model: nn.Module, plan: Plan, changed: Mapping[str, Tensor]) -> Iterator[nn.Module]:
    """The network itself with its smaller tensors, for the time of a check.

    Args:
        model: The network; as before afterwards.
        plan: The plan.
        changed: Its smaller tensors.

    Yields:
        The network.
    """
    before = _Snapshot(model)
    try:
        set_tensors(model, changed)
        fit_structure(model, plan)
        yield model
    finally:
        before.restore()


def commit(model: nn.Module, plan: Plan, changed: Mapping[str, Tensor], optimizers: Sequence[Optimizer]) -> None:
    """Give every parameter and buffer object its smaller data, with gradient and optimizer state. All or nothing.

    Everything is computed first. What follows only replaces references, and is undone should any of it fail.

    Args:
        model: The network, changed in place.
        plan: The plan.
        changed: Its smaller tensors.
        optimizers: Whose state is cut too; they take in a bias that was made, in the group of its layer's weight.

    Raises:
        InputError: If an optimizer's state cannot be cut, or a weight shares its memory with another; then nothing is
            changed.
    """
    tensors, cuts = named_tensors(model), cuts_of(plan)
    _check_memory(tensors, changed)
    parameters = dict(model.named_parameters())
    taking = {fold.bias for fold in plan.folds if fold.bias in parameters} if optimizers else set()
    shifts = {name: changed[name] - cut(parameters[name].detach(), cuts.get(name, ())) for name in taking}
    states = smaller_states(optimizers, parameters, cuts, shifts)
    homes = _homes(optimizers, plan, parameters)
    gradients = {name: _gradient(parameters[name], plan, name, cuts) for name in changed if name in parameters}
    before = _Snapshot(model)
    undo: list[Callable[[], object]] = []
    try:
        for name, value in changed.items():
            if name in tensors:
                old = tensors[name]
                undo.append(partial(_set, old, old.data, old.grad))
                _set(old, value, gradients.get(name))
        set_tensors(model, {name: value for name, value in changed.items() if name not in tensors})
        fit_structure(model, plan)
        made = dict(model.named_parameters())
        for bias, weight, group in homes:
            place = 1 + next(i for i, own in enumerate(group["params"]) if own is parameters[weight])
            for key, entry in {"params": made[bias], "param_names": bias}.items():
                if key in group:
                    group[key].insert(place, entry)
                    undo.append(partial(group[key].pop, place))
        for change in states:
            undo.append(partial(change.state.__setitem__, change.kind, change.state[change.kind]))
            change.state[change.kind] = change.value
    except BaseException:
        for step in reversed(undo):
            step()
        before.restore()
        raise


def _check_memory(tensors: Mapping[str, Tensor], changed: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are tied by their memory alone: cut one by one, they would come apart."""
    spans = []
    for name, tensor in tensors.items():
        if tensor.layout is torch.strided and tensor.numel() and tensor.device.type != "meta":
            extent = 1 + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride(), strict=True))
            spans.append((tensor.data_ptr(), tensor.data_ptr() + extent * tensor.element_size(), name))
    for (_, end, one), (start, _, other) in pairwise(sorted(spans)):
        if start < end and (one in changed or other in changed):
            raise InputError(
                f"{one!r} and {other!r} share their memory but are two tensors, and would not share it any longer; "
                "nothing was changed. Tie them by using one Parameter twice"
            )


def _set(tensor: Tensor, data: Tensor, gradient: Tensor | None) -> None:
    """New data for the same object, also of another shape.

    Autograd keeps the node that sums a parameter's gradient, and with it the old shape, as long as any graph is
    alive. It makes a new one where the type changes; the new version tells an older graph that its weight is gone.
    """
    tensor.grad = None
    if tensor.is_floating_point() or tensor.is_complex():
        other = torch.float32 if tensor.dtype is torch.float16 else torch.float16
        tensor.data = torch.empty(0, dtype=other, device=tensor.device)
    tensor.data = data
    tensor.grad = gradient
    torch.autograd.graph.increment_version(tensor)


@torch.no_grad()
def _gradient(parameter: Tensor, plan: Plan, name: str, cuts: Mapping[str, Sequence[Cut]]) -> Tensor | None:
    gradient = parameter.grad
    if gradient is not None and name in plan.scales:
        gradient = gradient / plan.scales[name].to(gradient)
    return cut(gradient, cuts[name]) if gradient is not None and name in cuts else gradient


def _homes(
    optimizers: Sequence[Optimizer], plan: Plan, parameters: Mapping[str, Tensor]
) -> list[tuple[str, str, dict[str, Any]]]:
    """For each bias that is made the weight of its layer, and the param groups that have this weight."""
    homes = []
    for bias, weight in {fold.bias: fold.weight for fold in plan.folds if fold.bias not in parameters}.items():
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                if not any(own is parameters.get(weight) for own in group["params"]):
                    continue
                if type(optimizer).__name__ == "Muon":
                    raise InputError(
                        f"{weight!r} is trained by Muon, which takes matrices only, and its layer needs a bias for the "
                        "constants of removed units; give it a bias or another optimizer, or protect its inputs"
                    )
                homes.append((bias, weight, group))
    return homes

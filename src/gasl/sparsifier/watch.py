"""Which optimizers have taken a step that a sparsifier has not acted on yet."""

from collections.abc import Callable
from weakref import WeakKeyDictionary, WeakSet

from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

__all__ = ["Watch"]


class Watch:
    """Sees an optimizer's steps through its own hooks, so that skipped and accumulated ones are counted right.

    Args:
        before: Called before each step.
        after: Called after each step of an optimizer that is to drive the sparsifier.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        >>> watch = Watch(lambda: None, lambda _: None)
        >>> watch.add(optimizer); optimizer.step()
        >>> watch.take(optimizer), watch.take(optimizer)
        (True, False)
    """

    def __init__(self, before: Callable[[], None], after: Callable[[Optimizer], None]) -> None:
        self._before, self._after = before, after
        self._outstanding: WeakKeyDictionary[Optimizer, bool] = WeakKeyDictionary()  # stepped, and not yet acted on
        self._driving: WeakSet[Optimizer] = WeakSet()
        self._handles: list[RemovableHandle] = []

    def __contains__(self, optimizer: Optimizer) -> bool:
        return optimizer in self._outstanding

    def add(self, optimizer: Optimizer, driving: bool = False) -> None:
        """Watch an optimizer; a driving one calls back after each of its steps."""
        if driving:
            self._driving.add(optimizer)
        if optimizer not in self._outstanding:
            self._outstanding[optimizer] = False
            self._handles += [
                optimizer.register_step_pre_hook(lambda one, *_: self._stepping(one)),
                optimizer.register_step_post_hook(lambda one, *_: self._stepped(one)),
            ]

    def take(self, optimizer: Optimizer) -> bool:
        """Whether a step was taken since the last call."""
        taken, self._outstanding[optimizer] = self._outstanding[optimizer], False
        return taken

    @property
    def outstanding(self) -> bool:
        """Whether any optimizer has taken a step that was not acted on."""
        return any(self._outstanding.values())

    def clear(self) -> None:
        """Let go of every optimizer."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._driving.clear()
        self._outstanding.clear()

    def _stepping(self, optimizer: Optimizer) -> None:
        self._outstanding[optimizer] = False
        self._before()

    def _stepped(self, optimizer: Optimizer) -> None:
        self._outstanding[optimizer] = True
        if optimizer in self._driving:
            self._after(optimizer)

"""Random numbers of a posterior: the same in all passes of an optimizer step, or fresh for every example."""

from typing import Any, Literal

import torch
from torch import Tensor

__all__ = ["Draws"]

_RANK = 0x9E3779B1  # apart from the seeds that users choose


class Draws:
    """What a posterior draws from.

    Numbers for units and weights are drawn once in an optimizer step, alike in every process and every pass of the
    step: a state that is taken in the middle of a step draws them again. Noise for examples is drawn in each pass, goes
    on where it was, and differs between processes.

    Args:
        generator: The sparsifier's own, on the CPU.
        seed: Of the generators that are made on other devices and for examples.

    Example:
        >>> draws = Draws(torch.Generator().manual_seed(0), seed=0)
        >>> first = draws.once("z", torch.empty(3), "uniform")
        >>> torch.equal(draws.once("z", torch.empty(3), "uniform"), first)
        True
        >>> draws.forget()
        >>> torch.equal(draws.once("z", torch.empty(3), "uniform"), first)
        False
    """

    def __init__(self, generator: torch.Generator, seed: int) -> None:
        self._seed = seed
        self._generators: dict[str, torch.Generator] = {"cpu": generator}
        self._kept: dict[str, Tensor] = {}
        self._before: dict[str, Tensor] = {}  # states of what is drawn once, at the beginning of this step

    def once(self, key: str, like: Tensor, kind: Literal["uniform", "normal"]) -> Tensor:
        """Numbers that stay until :meth:`forget`.

        Args:
            key: What they are for.
            like: Gives shape, dtype and device.
            kind: Uniform in [0, 1), or standard normal.

        Returns:
            The numbers.
        """
        if key not in self._kept or self._kept[key].device != like.device:
            self._kept[key] = self._draw(like, kind, like.device.type)
        return self._kept[key]

    def fresh(self, like: Tensor) -> Tensor:
        """Standard normal numbers that are drawn anew each time, others in each process."""
        return self._draw(like, "normal", f"{like.device.type}:examples")

    def forget(self) -> None:
        """Begin the next optimizer step."""
        self._kept.clear()
        self._before.clear()

    def state_dict(self) -> dict[str, Tensor]:
        """The states of all generators; those of what is drawn once in a step are of its beginning."""
        return self._states() | self._before | {"rank": torch.tensor(_rank())}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on where :meth:`state_dict` was taken; noise for examples stays other noise in each process."""
        states = dict(state)
        saved = states.pop("rank", None)
        same = saved is None or int(saved) == _rank()
        for name, value in states.items():
            if not _there(name.partition(":")[0]):
                continue  # saved on a GPU, loaded where there is none: other numbers, as ever between devices
            generator = self._generator(name)
            generator.set_state(value.cpu())
            if ":" in name and not same:  # often one process saves for all
                drawn = torch.randint(2**31, (), generator=generator, device=generator.device)
                generator.manual_seed(int(drawn) + _RANK * (_rank() + 1))
        self.forget()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Draws":
        other = Draws(torch.Generator(), self._seed)
        other.load_state_dict(self._states())
        other._kept = {key: value.clone() for key, value in self._kept.items()}
        other._before = dict(self._before)
        return other

    def _draw(self, like: Tensor, kind: str, name: str) -> Tensor:
        generator = self._generator(name)
        if ":" not in name and name not in self._before:
            self._before[name] = generator.get_state()
        draw = torch.rand if kind == "uniform" else torch.randn
        return draw(like.shape, generator=generator, dtype=like.dtype, device=like.device)

    def _generator(self, name: str) -> torch.Generator:
        if name not in self._generators:
            device, _, examples = name.partition(":")
            seed = self._seed + (_RANK * (_rank() + 1) if examples else 0)
            self._generators[name] = torch.Generator(device).manual_seed(seed)
        return self._generators[name]

    def _states(self) -> dict[str, Tensor]:
        return {name: generator.get_state() for name, generator in self._generators.items()}


def _there(device: str) -> bool:
    """Whether numbers can be drawn on a device."""
    try:
        torch.Generator(device)
    except RuntimeError:
        return False
    return True


def _rank() -> int:
    parallel = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_rank() if parallel else 0

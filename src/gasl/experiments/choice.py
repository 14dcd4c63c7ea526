"""What a table is asked for, and what Tables 2 to 4 make of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from gasl.errors import InputError
from gasl.experiments.cifar import cifar_specs, protocol
from gasl.experiments.spec import RunSpec

__all__ = ["Choice", "cifar_folder", "cifar_part", "cifar_run_specs"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a table is asked for; None is the table's own.

    Args:
        seeds: How many for each row, 0 to this number less one.
        epochs: Of the dense network; the other phases change in proportion.
        width: Factor on the channels of VGG-16.
        data: Image set.
        preset: Of Tables 2 to 4: short (None means it), or paper for the paper's own protocol.

    Raises:
        InputError: If there is no seed, no epoch or no width.

    Example:
        >>> Choice(seeds=3).epochs is None
        True
    """

    seeds: int | None = None
    epochs: int | None = None
    width: float | None = None
    data: str | None = None
    preset: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no table could be."""
        for name in ("seeds", "epochs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be 1 or more, got {value}")
        if self.width is not None and not 0 < self.width < float("inf"):
            raise InputError(f"width must be positive and finite, got {self.width}")


def cifar_folder(choice: Choice) -> str:
    """Where the records of Tables 2 to 4 lie: data, width, preset, and the epochs if they are not the preset's.

    Example:
        >>> cifar_folder(Choice()), cifar_folder(Choice(epochs=30, data="cifar100", width=1.0))
        ('cifar10/vgg16-0.25-short', 'cifar100/vgg16-1-short30')
    """
    data, width, preset = _usual(choice)
    epochs = "" if choice.epochs in (None, protocol(preset).dense.epochs) else str(choice.epochs)
    return f"{data}/vgg16-{width:g}-{preset}{epochs}"


def cifar_part(choice: Choice) -> str:
    """The heading of their rows.

    Example:
        >>> cifar_part(Choice(width=1.0))
        'VGG-16 at width 1 on cifar10, preset short, 15 + 10 + 5 epochs'
    """
    data, width, preset = _usual(choice)
    phases = protocol(preset, choice.epochs)
    epochs = [phases.dense.epochs, phases.sparse.epochs, *([phases.tune.epochs] if phases.tune else [])]
    return f"VGG-16 at width {width:g} on {data}, preset {preset}, {' + '.join(map(str, epochs))} epochs"


def cifar_run_specs(choice: Choice) -> Mapping[str, RunSpec]:
    """Their runs by method, of seed 0.

    Raises:
        InputError: If the data set or preset is none of theirs.

    Example:
        >>> cifar_run_specs(Choice(data="cifar100"))["gasl"].data
        'cifar100'
    """
    return cifar_specs(*_usual(choice), choice.epochs)


def _usual(choice: Choice) -> tuple[str, float, str]:
    return choice.data or "cifar10", choice.width or 0.25, choice.preset or "short"

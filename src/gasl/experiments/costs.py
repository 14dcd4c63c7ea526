"""How long runs take, from what records say runs like them took."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from gasl.experiments.identity import described
from gasl.experiments.spec import RunSpec

__all__ = ["Clock"]

Record = Mapping[str, Any]
_PHASES = ("dense", "sparse", "tune")


@dataclass(frozen=True)
class Clock:
    """Seconds an epoch, as measured: of the same network, data and method, or of the network with any method.

    Args:
        seconds: Network and data, phase and method to what each run needed for an epoch.

    Example:
        >>> spec = RunSpec(model="mlp")
        >>> clock = Clock.of([{"spec": described(spec), "seconds": 480, "epochs": 48}])
        >>> clock.seconds_of(spec, ["sparse", "tune"])  # 25 and 15 epochs
        400.0
        >>> clock.seconds_of(RunSpec(model="lenet5"), ["dense"]) is None
        True
    """

    seconds: Mapping[tuple[str, str, str], list[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[Record], device: str = "cpu") -> "Clock":
        """What is known from records; those of former versions say only how long all phases took together.

        Args:
            records: The records.
            device: Where the runs are to be; a network that was trained elsewhere only is as fast as it was there.
        """
        there: dict[tuple[str, str, str], list[float]] = {}
        elsewhere: dict[tuple[str, str, str], list[float]] = {}
        for record in records:
            found = there if record.get("trained_on", "cpu") == device else elsewhere
            spec = record["spec"]
            network, method = _network(spec), spec["method"]["class"]
            for phase in _PHASES:
                time = record.get("time", {}).get(phase) if "time" in record else record
                if time and time["epochs"]:
                    rate = time["seconds"] / time["epochs"]
                    found.setdefault((network, phase, method), []).append(rate)
                    found.setdefault((network, phase, ""), []).append(rate)
        unknown = {key: rates for key, rates in elsewhere.items() if (*key[:2], "") not in there}
        return cls(there | unknown)

    def seconds_of(self, spec: RunSpec, phases: Sequence[str]) -> float | None:
        """What phases of a run would take at most; None if nothing like it was measured.

        Args:
            spec: The run.
            phases: Of dense, sparse and tune, those that are to be trained.

        Returns:
            Seconds.
        """
        total, plain = 0.0, described(spec)
        for phase in phases:
            keys = [(_network(plain), phase, method) for method in (plain["method"]["class"], "")]
            rates = next((self.seconds[key] for key in keys if key in self.seconds), None)
            if rates is None:
                return None
            total += median(rates) * spec.phase(phase).epochs
        return total


def _network(spec: Mapping[str, Any]) -> str:
    arguments = {name: value for name, value in spec["model_args"].items() if name != "num_classes"}
    return f"{spec['model']} {sorted(arguments.items())} {spec['data'].removesuffix('0')}"

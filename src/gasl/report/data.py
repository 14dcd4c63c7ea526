"""What a report shows, as plain numbers and arrays, and where a run folder keeps it."""

import csv
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from gasl.errors import FileError, InputError

__all__ = ["ReportData"]

Array = NDArray[np.floating[Any]]

_REQUIRED = (
    "error_dense",
    "error_small",
    "layers",
    "params",
    "macs",
    "bytes",
    "latency_ms",
    "latency_spread_ms",
    "speedup",
    "threads",
    "max_rel_diff",
    "seed",
    "versions",
    "device",
)


@dataclass(frozen=True, eq=False)
class ReportData:
    """All that the page of one run shows.

    A run folder holds it in three files, so that the page can be made again from the folder alone:

    * ``result.json``: the result; the other two may be missing.
    * ``history.csv``: one row per epoch, as training writes it.
    * ``arrays.safetensors``: the arrays ``norms/before/<axis>``, ``norms/after/<axis>`` (one number for each unit),
      ``norms/over/<axis>`` (1 + epochs, 11) and ``features/before``, ``features/after`` (channels, height, width).

    Attributes:
        result: ``error_dense``, ``error_small`` (percent); ``layers``, a list of ``{name, size, alive, sparsity_own,
            sparsity_propagated}``; ``params``, ``macs``, ``bytes``, each ``{dense, small}``; ``latency_ms`` and
            ``latency_spread_ms`` (quartiles), ``{dense, small}`` by batch size; ``speedup`` by batch size;
            ``threads``, ``max_rel_diff``, ``seed``, ``versions``, ``device``. ``kept`` says in words which widths had
            to stay, and why. More texts and numbers, such as the method's name, are shown with the environment;
            ``title`` heads the page.
        history: One mapping per epoch. Names that end in ``loss`` or ``error`` and those that begin with
            ``sparsity_propagated/`` become curves; ``epoch`` is the horizontal axis if it is there.
        norms: Axis to the norms of its units before and after.
        features: The same feature maps without and with the method.
        spread: Axis to the deciles of its units' norms, a row at the start and after each epoch with the method.

    Raises:
        InputError: If ``result`` lacks one of the entries above.

    Example:
        >>> ReportData(result={"error_dense": 1.0})
        Traceback (most recent call last):
        gasl.errors.InputError: a result needs the entries error_small, layers, params, macs, bytes, latency_ms,
        latency_spread_ms, speedup, threads, max_rel_diff, seed, versions, device, which are missing
    """

    result: Mapping[str, Any]
    history: Sequence[Mapping[str, float]] = ()
    norms: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)
    features: tuple[Array, Array] | None = None
    spread: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = [name for name in _REQUIRED if name not in self.result]
        if missing:
            raise InputError(f"a result needs the entries {', '.join(missing)}, which are missing")

    @classmethod
    def load(cls, run_dir: str | os.PathLike[str]) -> Self:
        """Read a run folder.

        Args:
            run_dir: The folder that a run was written to.

        Returns:
            What its files hold.

        Raises:
            FileError: If there is no result, or a file is damaged.
        """
        folder = Path(run_dir)
        result = _read_object(folder / "result.json")
        history = _read_table(folder / "history.csv")
        arrays = _read_arrays(folder / "arrays.safetensors")
        befores = {name.removeprefix(_BEFORE): value for name, value in arrays.items() if name.startswith(_BEFORE)}
        norms = {axis: (value, arrays[_AFTER + axis]) for axis, value in befores.items() if _AFTER + axis in arrays}
        spread = {name.removeprefix(_OVER): value for name, value in arrays.items() if name.startswith(_OVER)}
        maps = [arrays[name] for name in ("features/before", "features/after") if name in arrays]
        try:
            return cls(result, tuple(history), norms, (maps[0], maps[1]) if len(maps) == 2 else None, spread)
        except InputError as error:
            raise FileError(f"{folder / 'result.json'}: {error}; it is not the result of a finished run") from error


_BEFORE, _AFTER, _OVER = "norms/before/", "norms/after/", "norms/over/"


def _read_object(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise FileError(f"{path} does not exist; give the folder of a finished run")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FileError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise FileError(f"{path} must hold a JSON object, got a {type(value).__name__}")
    return value


def _read_table(path: Path) -> list[dict[str, float]]:
    """The rows of a table of numbers; a cell that is empty is left out of its row."""
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [{name: float(cell) for name, cell in row.items() if cell} for row in csv.DictReader(file)]
    except (ValueError, TypeError) as error:  # TypeError: a row with more cells than the header
        raise FileError(f"{path} is not a table of numbers: {error}") from error


def _read_arrays(path: Path) -> dict[str, Array]:
    if not path.exists():
        return {}
    try:
        return load_file(path)
    except SafetensorError as error:
        raise FileError(f"{path} is damaged: {error}") from error

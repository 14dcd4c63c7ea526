"""Latencies of records, measured again in one go: runs are timed while others use the machine, and it shows.

A network of the widths that a record tells is made by zeroing the other units of an untrained one and removing them.
Its time does not depend on its weights, so no run has to be there. ``make latencies`` does so for every record, on a
machine that has nothing else to do.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import gasl
from gasl.errors import InputError
from gasl.experiments.networks import example_for, factory
from gasl.experiments.places import Place, as_record, joined, listed, read_text, write_text
from gasl.measure import compare
from gasl.structure.axes import Axis

__all__ = ["ALONE", "measure_again", "pair"]

ALONE = "timed_alone"  # the entry of a record whose latencies were measured here
_MEASURED = ("latency_ms", "latency_spread_ms", "speedup", "threads", "device")


def pair(record: dict[str, Any]) -> tuple[nn.Module, nn.Module, Tensor]:
    """The dense network of a record, one of the widths that it has in the end, and an input for both.

    Args:
        record: A record as :func:`gasl.experiments.store.run_named` writes it.

    Returns:
        Both networks in evaluation mode, and one example.

    Raises:
        InputError: If there is no such network.

    Example:
        >>> layers = [{"name": "fc1.in", "alive": 9}, {"name": "fc1", "alive": 5}, {"name": "fc2", "alive": 3}]
        >>> dense, small, example = pair({"spec": {"model": "mlp", "model_args": {}}, "layers": layers})
        >>> sum(p.numel() for p in small.parameters()), small(example).shape
        (108, torch.Size([1, 10]))
    """
    name, build = record["spec"]["model"], factory(record["spec"]["model"], record["spec"]["model_args"])
    with torch.random.fork_rng():
        dense, zeroed = build(), build()
    example = example_for(name, None, batch=1)
    alive = {layer["name"]: layer["alive"] for layer in record["layers"]}
    before: Axis | None = None
    for axis in gasl.trace(zeroed, example).axes:
        units = torch.arange(axis.size)
        if before is not None and axis.name.endswith(".in") and axis.size % before.size == 0:
            # Places of maps that were flattened: each map that stays keeps one before any keeps a second.
            units = units.view(before.size, -1)[: alive[before.name]].T.flatten()
        kept = torch.zeros(axis.size, dtype=torch.bool).index_fill_(0, units[: alive[axis.name]], True)
        axis.zero_((~kept).nonzero().flatten(), readers=True)
        before = axis
    small, removal = gasl.shrink(zeroed, example)
    if (found := {axis.name: axis.alive for axis in removal.axes}) != alive:
        raise InputError(f"no network has the widths that the record tells: {alive} are {found} after removal")
    return dense.eval(), small.eval(), example


def measure_again(records: Place, *, seconds: float = 0.5) -> list[str]:
    """Replace the latencies of every record of a folder by new ones, and say so in the record.

    Args:
        records: The folder, or an address.
        seconds: Time to spend on each network at each batch size.

    Returns:
        The records' names, as they were measured.

    Raises:
        InputError: If the widths of a record do not have the MACs that it tells.
        FileError: If a file is no record.

    Example:
        >>> measure_again("nowhere")
        []
    """
    names = listed(records, "*-seed*.json")
    for name in names:
        address = joined(records, name)
        with as_record(address):
            record = json.loads(read_text(address) or "")
            networks = pair(record)
        found = compare(*networks, seconds=seconds).as_dict()
        if found["macs"] != record["macs"]:
            raise InputError(f"{address} tells {record['macs']} MACs, its widths have {found['macs']}; run it again")
        new = {key: found[key] if key in _MEASURED else value for key, value in record.items()} | {ALONE: True}
        write_text(address, json.dumps(new, indent=1) + "\n")
    return names


if __name__ == "__main__":
    print(f"measured {len(measure_again(Path('docs/records/methods')))} records")

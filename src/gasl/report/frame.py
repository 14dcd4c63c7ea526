"""All records as one table: a line for each run, for a terminal, a DataFrame, CSV or Parquet."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gasl.errors import InputError, MissingExtraError
from gasl.experiments.jobs import all_records
from gasl.experiments.places import Place, told
from gasl.files import whole_file
from gasl.report.cells import Record, dashes, overall_sparsity
from gasl.report.targets import missed_target

if TYPE_CHECKING:
    import pandas

__all__ = ["export_records", "frame", "line", "record_lines"]


def line(record: Record) -> dict[str, Any]:
    """One run as plain numbers and texts.

    Args:
        record: As :func:`gasl.experiments.store.run_named` writes it.

    Returns:
        Name and settings, errors in percent, counts and latencies before and after, and what it ran on.
    """
    spec = record["spec"]
    times = {
        f"latency_ms_{which}_{batch}": value
        for which, values in record["latency_ms"].items()
        for batch, value in values.items()
    }
    counts = {f"{what}_{which}": n for what in ("params", "macs", "bytes") for which, n in record[what].items()}
    return {
        "name": record["recipe"],
        "seed": record["seed"],
        "identity": record["identity"],
        "model": spec["model"],
        "width": spec["model_args"].get("width", 1.0),
        "data": spec["data"],
        "method": spec["method"]["class"],
        "strength": spec["method"]["strength"],
        "alpha": spec["method"].get("alpha"),
        "target": _target(spec.get("target")),
        "target_met": not missed_target(record) if spec.get("target") else None,
        "epochs": record["epochs"],
        "seconds": record["seconds"],
        "error_dense": record["error_dense"],
        "error_validation": record["error_validation"],
        "error_small": record["error_small"],
        "sparsity": overall_sparsity(record),
        "units_left": dashes([layer["alive"] for layer in record["layers"]]),
        **counts,
        "macs_ratio": record["macs"]["dense"] / record["macs"]["small"],
        **times,
        **{f"speedup_{batch}": ratio for batch, ratio in record["speedup"].items()},
        "max_rel_diff": record["max_rel_diff"],
        "device": record["device"],
        "threads": record["threads"],
        "trained_on": record.get("trained_on", "cpu"),
        **record["versions"],
    }


def _target(target: Mapping[str, Any] | None) -> str | None:
    """What a target counts, and its number."""
    if target is None:
        return None
    given = [f"{name}={target[name]}" for name in ("sparsity", "params", "macs", "latency_ms") if target.get(name)]
    return ", ".join(given)


def frame(records: Place) -> "pandas.DataFrame":
    """All records of a place as a DataFrame.

    Args:
        records: Folder or address.

    Returns:
        A row for each record, see :func:`line`.

    Raises:
        FileError: If a file is no record.
        MissingExtraError: If pandas is not installed.

    Example:
        >>> frame("docs/records/methods").groupby("name").error_small.mean()  # doctest: +SKIP
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError('a table of records needs pandas; pip install "gasl[records]"') from error
    return pandas.DataFrame([line(record) for record in all_records(records)])


def export_records(records: Place, to: str) -> int:
    """Write all records as one file.

    Args:
        records: Folder or address.
        to: Path or address that ends in .parquet or .csv; missing folders are made.

    Returns:
        How many records it has.

    Raises:
        InputError: If the ending is another, or there is no record.
        FileError: If a file is no record, or the new one cannot be written.
        MissingExtraError: If pandas or pyarrow is not installed.

    Example:
        >>> export_records("nowhere", "all.xls")
        Traceback (most recent call last):
        gasl.errors.InputError: records are written to .parquet or .csv, got all.xls
    """
    if not to.endswith((".parquet", ".csv")):
        raise InputError(f"records are written to .parquet or .csv, got {to}")
    made = frame(records)
    if made.empty:
        raise InputError(f"there are no records in {records}; gasl run and gasl table write them")
    write = made.to_csv if to.endswith(".csv") else made.to_parquet
    with told(to, "written"):
        if "://" in to:
            write(to, index=False)
        else:
            with whole_file(to) as temporary:
                write(temporary, index=False)
    return len(made)


def record_lines(records: Place) -> list[str]:
    """The records for the terminal.

    Args:
        records: Folder or address.

    Returns:
        A heading and a line for each.

    Raises:
        FileError: If a file is no record.

    Example:
        >>> record_lines("nowhere")
        ['no records in nowhere']
    """
    lines = [line(record) for record in all_records(records)]
    if not lines:
        return [f"no records in {records}"]
    width = max(len(each["name"]) for each in lines)
    head = f"{'run':{width}} seed  error dense, small  sparsity  MACs fewer  faster at 128  minutes"
    return [head] + [
        f"{e['name']:{width}} {e['seed']:4d}  {e['error_dense']:11.2f}, {e['error_small']:5.2f}  {e['sparsity']:7.1f}% "
        f" {e['macs_ratio']:9.1f}x  {e['speedup_128']:12.1f}x  {e['seconds'] / 60:7.1f}"
        for e in lines
    ]

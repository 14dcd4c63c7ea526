"""The page of a run: one HTML file with everything in it."""

import os
from pathlib import Path

from gasl.errors import MissingExtraError
from gasl.files.whole import whole_file
from gasl.report.data import ReportData
from gasl.report.rows import environment_rows, result_rows

__all__ = ["write_report"]


def write_report(path: str | os.PathLike[str], data: ReportData) -> Path:
    """Write the page of a run as one HTML file that needs nothing else, also offline.

    Args:
        path: Where to; an older page is replaced once the new one is complete.
        data: What to show; parts that it lacks are left out.

    Returns:
        The path of the page.

    Raises:
        MissingExtraError: If matplotlib or Jinja2 is not installed.

    Example:
        >>> import tempfile
        >>> pair, times = {"dense": 20, "small": 10}, {"dense": {}, "small": {}}
        >>> result = {"error_dense": 1.0, "error_small": 1.0, "layers": [], "params": pair, "macs": pair,
        ...           "bytes": pair, "latency_ms": times, "latency_spread_ms": times, "speedup": {}, "threads": 1,
        ...           "max_rel_diff": 0.0, "seed": 0, "versions": {}, "device": "cpu", "title": "A run"}
        >>> page = write_report(Path(tempfile.mkdtemp()) / "report.html", ReportData(result))
        >>> "<h1>A run</h1>" in page.read_text()
        True
    """
    try:
        import jinja2

        from gasl.report import figures
    except ImportError as error:
        raise MissingExtraError(f'a report needs {error.name}; pip install "gasl[report]"') from error
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = templates.get_template("report.html").render(
        title=data.result.get("title", "gasl run"),
        result=data.result,
        rows=result_rows(data.result),
        environment=environment_rows(data.result),
        curves=figures.curves(data.history),
        norms=figures.norms(data.norms),
        spread=figures.spread(data.spread),
        features=figures.feature_maps(*data.features) if data.features else "",
    )
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Path(path)

"""Tables and plans for the terminal."""

from collections.abc import Sequence

from gasl.errors import MissingExtraError
from gasl.experiments.jobs import Plan
from gasl.report.tables import Table

__all__ = ["duration", "plan_lines", "print_plan", "print_tables"]

_WIDE = 150  # characters


def duration(seconds: float) -> str:
    """A time as one says it.

    Example:
        >>> duration(45), duration(1500), duration(9000)
        ('45 s', '25 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def plan_lines(plan: Plan) -> list[str]:
    """What would run and how long it would take, a line for each run, and one for all.

    Args:
        plan: From :func:`gasl.experiments.jobs.plan`.

    Returns:
        The lines.

    Example:
        >>> plan_lines(Plan(runs=[]))
        ['0 of 0 runs are missing']
    """
    width = max((len(str(run.job)) for run in plan.runs), default=0)
    lines = []
    for run in plan.runs:
        epochs = {phase: run.job.spec.phase(phase).epochs for phase in run.phases}
        said = " + ".join(f"{count} {phase}" for phase, count in epochs.items())
        time = "time not known" if run.seconds is None else duration(run.seconds)
        lines.append(f"{run.job!s:{width}}  {'there' if run.done else f'{said} epochs, {time}'}")
    missing = plan.missing
    total = f"{len(missing)} of {len(plan.runs)} runs are missing"
    unknown = sum(run.seconds is None for run in missing)
    if known := len(missing) - unknown:
        total += f", {duration(plan.seconds)} one after another"
        total += f" for the {known} of which the time is known" if unknown else ""
    return [*lines, total]


def print_plan(plan: Plan) -> None:
    """Print :func:`plan_lines`."""
    print("\n".join(plan_lines(plan)))


def print_tables(tables: Sequence[Table]) -> None:
    """Print tables: in columns where the terminal is wide enough, else as Markdown, as into a file.

    Args:
        tables: From :func:`gasl.report.tables.table`.

    Raises:
        MissingExtraError: If ``rich`` is not installed.
    """
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table as Rich
        from rich.text import Text
    except ImportError as error:
        raise MissingExtraError('the tables need rich; pip install "gasl[train]"') from error
    console = Console()
    for made in tables:
        if not console.is_terminal or console.width < _WIDE:
            print(made.markdown(), end="\n\n")
            continue
        view = Rich(box=SIMPLE_HEAD, title=made.title, title_justify="left")
        for heading in made.columns:
            view.add_column(heading, overflow="fold")
        for cells in made.rows:
            view.add_row(*map(Text, cells))
        console.print(view, *map(Text, made.notes), sep="\n")

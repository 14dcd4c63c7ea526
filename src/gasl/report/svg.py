"""Figures as SVG that takes text colour and font from the page around it, so that it suits light and dark."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure

from gasl.files import whole_file

__all__ = ["AFTER", "BEFORE", "SERIES", "figure_style", "to_svg", "write_both"]

BEFORE, AFTER = "#8f96a3", "#2f7fd1"
SERIES = ("#2f7fd1", "#d9822b", "#2e9e6b", "#b2569f", "#8a8f2e", "#c44f4f", "#3aa6a6", "#8f96a3")

_INK = "#010203"  # a colour that nothing else has; it becomes the page's own text colour


@contextmanager
def figure_style(name: str) -> Iterator[None]:
    """Set matplotlib's style inside the block only.

    Args:
        name: Differs between the figures of one page, so that their SVG ids differ too.

    Example:
        >>> with figure_style("empty"):
        ...     Figure().get_facecolor()
        (0.0, 0.0, 0.0, 0.0)
    """
    ink = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "axes.titlecolor")
    style: Any = dict.fromkeys(ink, _INK) | {  # matplotlib types each key by name
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "axes.grid": True,
        "grid.color": "#8f96a3",
        "grid.alpha": 0.25,
        "grid.linewidth": 0.5,
        "axes.prop_cycle": cycler(linestyle=("-", "--", ":")) * cycler(color=SERIES),
        "lines.linewidth": 1.6,
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.titlelocation": "left",
        "legend.frameon": False,
        "legend.fontsize": 8,
        "figure.constrained_layout.use": True,
    }
    with mpl.rc_context(style):
        yield


def write_both(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as SVG and as PNG, inside :func:`figure_style`.

    Args:
        figure: The figure.
        folder: Where to.
        name: Of the files, without their ending.

    Returns:
        Their paths.

    Example:
        >>> with figure_style("empty"):
        ...     write_both(Figure(), Path("docs/figures"), "empty")  # doctest: +SKIP
        [PosixPath('docs/figures/empty.svg'), PosixPath('docs/figures/empty.png')]
    """
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    with whole_file(svg) as temporary:
        temporary.write_text(to_svg(figure), encoding="utf-8")
    with whole_file(png) as temporary:
        figure.savefig(temporary, dpi=150, facecolor="white", metadata={"Software": None})
    return [svg, png]


def to_svg(figure: Figure) -> str:
    """A figure as an ``<svg>`` element.

    Args:
        figure: Drawn inside :func:`figure_style`, and saved inside it too.

    Returns:
        The element, the same text for the same figure.

    Example:
        >>> with figure_style("empty"):
        ...     to_svg(Figure())[:4]
        '<svg'
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # "axes_1" and the like: nothing refers to them, each figure has them
    return text[text.index("<svg") :].replace(_INK, "currentColor")

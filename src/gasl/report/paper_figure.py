"""The paper's Figure 1 from two finished runs: feature maps of the second convolution, and what became of its norms."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from gasl.errors import FileError
from gasl.report.data import ReportData
from gasl.report.figures import draw_maps, draw_spread
from gasl.report.svg import SERIES, figure_style, write_both

__all__ = ["write_figure"]

_AXIS = "conv2"


def write_figure(folder: Path, runs: Mapping[str, Path], name: str = "figure1") -> list[Path]:
    """Draw the figure and write it as SVG and PNG.

    Above, the maps of one test image: those of the dense network, then those of each run. Below, the deciles of the
    norms of the second convolution's groups over the epochs with the method.

    Args:
        folder: Where to.
        runs: What each run shows, and its folder.
        name: Of the files, without their ending.

    Returns:
        Their paths.

    Raises:
        FileError: If a run's folder lacks the arrays.

    Example:
        >>> write_figure(Path("."), {"without": Path("nowhere")})
        Traceback (most recent call last):
        gasl.errors.FileError: nowhere/result.json does not exist; give the folder of a finished run
    """
    data = {title: ReportData.load(path) for title, path in runs.items()}
    maps: dict[str, np.ndarray] = {}
    for title, each in data.items():
        if each.features is None or _AXIS not in each.spread:
            raise FileError(f"{runs[title]} lacks feature maps or norms; run it again")
        maps.setdefault("dense", each.features[0])
        maps[title] = each.features[1]
    with figure_style(name):
        figure = Figure(figsize=(9.9, 6.2))
        grid = figure.add_gridspec(2, len(maps) * len(data), height_ratios=(1.35, 1))
        wide, narrow = len(maps), len(data)
        draw_maps([figure.add_subplot(grid[0, i * narrow : (i + 1) * narrow]) for i in range(len(maps))], maps)
        places = [figure.add_subplot(grid[1, i * wide : (i + 1) * wide]) for i in range(len(data))]
        highest = max(each.spread[_AXIS].max() for each in data.values())
        for axes, (title, each), colour in zip(places, data.items(), SERIES, strict=False):
            draw_spread(axes, each.spread[_AXIS], colour)
            last = each.spread[_AXIS][-1]
            axes.set(
                title=f"norms of {_AXIS}'s groups, {title}",
                xlabel=f"epoch with the method; after the last: largest {last[10]:.2f}, median {last[5]:.2f}",
                ylim=(0, 1.05 * highest),
            )
        places[0].set_ylabel("largest, deciles and median")
        return write_both(figure, folder, name)

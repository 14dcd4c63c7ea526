"""Names beside the points of a picture, where they cover neither a point nor another name."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes

__all__ = ["Box", "Label", "beside", "overlap", "write_labels"]

Box = tuple[float, float, float, float]  # left, bottom, right, top

_TALL, _WIDE = 7.0, 4.4  # of a letter of 7 points, about
_FAR = 8.0  # from there on a line says whose name it is
_AROUND = 3.0  # of a point, in each direction
_PLACES = tuple(
    (far * x, far * y)
    for far in (4.0, 9.0, 16.0, 24.0)
    for x, y in ((1, 0.5), (-1, 0.5), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
)


@dataclass(frozen=True)
class Label:
    """A name of a point.

    Args:
        name: The name.
        x: Where the point lies.
        y: The same.
        bar: Half the length of its error bar.
        colour: Of the name.
    """

    name: str
    x: float
    y: float
    bar: float
    colour: str


def overlap(one: Box, other: Box) -> float:
    """The area that two boxes share.

    Example:
        >>> overlap((0, 0, 2, 2), (1, 1, 3, 3)), overlap((0, 0, 1, 1), (2, 0, 3, 1))
        (1, 0)
    """
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    return wide * tall if min(wide, tall) > 0 else 0


def beside(points: Sequence[tuple[float, float]], names: Sequence[str], taken: Sequence[Box], inside: Box) -> list[Box]:
    """A box for each name: of the places around its point, nearest first, the first that is free; else the freest.

    Args:
        points: Where the points lie, in printer's points, as all lengths here.
        names: What each is called.
        taken: What is drawn already; boxes around the points are added.
        inside: What the boxes may not leave.

    Returns:
        The boxes.

    Example:
        >>> overlap(*beside([(50, 50), (52, 50)], ["SA", "SSL"], [], (0, 0, 100, 100)))
        0
    """
    drawn = [*taken, *((x - _AROUND, y - _AROUND, x + _AROUND, y + _AROUND) for x, y in points)]
    boxes: list[Box] = []
    for (x, y), name in zip(points, names, strict=True):
        found = [_box(x + dx, y + dy, dx, dy, _WIDE * len(name)) for dx, dy in _PLACES]
        best = min(
            found, key=lambda box: sum(overlap(box, other) for other in [*drawn, *boxes]) + _outside(box, inside)
        )
        boxes.append(best)
    return boxes


def _box(x: float, y: float, dx: float, dy: float, wide: float) -> Box:
    left = x if dx > 0 else x - wide if dx < 0 else x - wide / 2
    bottom = y - _TALL / 2 if dx else y if dy > 0 else y - _TALL
    return left, bottom, left + wide, bottom + _TALL


def _outside(box: Box, inside: Box) -> float:
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return 10 * (whole - overlap(box, inside))


def write_labels(axes: Axes, labels: Sequence[Label], lines: Sequence[Sequence[tuple[float, float]]]) -> None:
    """Write names into a picture; its limits and its place on the page must be final.

    Args:
        axes: The picture.
        labels: The names.
        lines: The corners of lines that names should not lie on.
    """
    scale = 72 / axes.get_figure(root=True).dpi  # type: ignore[union-attr]  # it is in one

    def on_page(x: float, y: float) -> tuple[float, float]:
        across, up = axes.transData.transform((x, y))
        return float(scale * across), float(scale * up)

    points = [on_page(label.x, label.y) for label in labels]
    taken = []
    for label in labels:
        (x, low), (_, high) = on_page(label.x, label.y - label.bar), on_page(label.x, label.y + label.bar)
        taken.append((x - 2.0, low, x + 2.0, high))
    for line in lines:
        corners = [on_page(*corner) for corner in line]
        for (x0, y0), (x1, y1) in pairwise(corners):
            steps = [(x0 + (x1 - x0) * i / 20, y0 + (y1 - y0) * i / 20) for i in range(21)]
            taken += [(x - 1.5, y - 1.5, x + 1.5, y + 1.5) for x, y in steps]
    frame = axes.bbox
    inside = (scale * frame.x0, scale * frame.y0, scale * frame.x1, scale * frame.y1)
    boxes = beside(points, [label.name for label in labels], taken, inside)
    for label, (x, y), (left, bottom, right, top) in zip(labels, points, boxes, strict=True):
        far = max(left - x, x - right, bottom - y, y - top) > _FAR
        axes.annotate(
            label.name,
            (label.x, label.y),
            xytext=((left + right) / 2 - x, (bottom + top) / 2 - y),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=7,
            color=label.colour,
            arrowprops={"arrowstyle": "-", "color": label.colour, "linewidth": 0.5, "shrinkB": 3} if far else None,
        ).set_in_layout(False)

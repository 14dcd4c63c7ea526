"""Ways to do the parts of the closed-form update, in copies of the weights: what docs/cost.md says was tried.

The 13 kernels of VGG-16, one thread, after a step of SGD on them, processor time; all ways take turns, and ratios are
taken within a round. What is needed is the norms of rows ("filter") or the sums of squares of rows and columns
("coupled"), the multiplication by factors of rows, or of rows and columns, and the sums of squares after that.
"""

import statistics
from collections.abc import Callable
from time import thread_time as clock

import torch
from torch.nn.functional import avg_pool2d

from gasl.maths.guidance import rank_match
from gasl.maths.ranking import rank_match_each
from gasl.models import VGG16

ROUNDS = 20
CACHE = 1 << 18  # elements of a block, 1 MiB
norm = torch.linalg.vector_norm


class Kernel:
    """A kernel as a matrix of rows, in blocks, with room for squares and factors of one."""

    def __init__(self, weight: torch.Tensor, block: int) -> None:
        self.matrix = weight.flatten(1)
        rows, columns = self.matrix.shape
        height = max(1, block // columns)
        self.f, self.g = torch.ones(rows, 1), torch.ones(1, columns)
        self.table = torch.empty(rows, weight.shape[1])
        room = torch.empty(min(height, rows), columns)
        self.blocks = [
            (part, factor, room[: len(part)], sums.view(-1))
            for part, factor, sums in zip(
                self.matrix.split(height), self.f.split(height), self.table.split(height), strict=True
            )
        ]


def table(kernel: Kernel, add: Callable[[torch.Tensor], torch.Tensor] | None) -> None:
    """Squares, then their sums over each 3 x 3."""
    ones = torch.ones(9)
    for part, _, room, sums in kernel.blocks:
        torch.mul(part, part, out=room)
        if add is None:
            torch.mv(room.view(-1, 9), ones, out=sums)
        else:
            add(room)


def diagonal(width: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Sums of 9 numbers as a product with a matrix of blocks of ones."""
    ones = torch.block_diag(*[torch.ones(9, 1)] * width)
    return lambda room: torch.mm(room.view(-1, 9 * width), ones) if room.shape[1] % (9 * width) == 0 else room


def accumulated(kernel: Kernel, scale: bool) -> None:
    """Row norms and columns' squares without a table: of the weight as it is, or while it is multiplied."""
    for number, (part, factor, room, _) in enumerate(kernel.blocks):
        if scale:
            part.mul_(factor)
        if number:
            room.addcmul_(part, part)
        else:
            torch.mul(part, part, out=room)
        if scale:
            part.mul_(kernel.g)
        norm(part, dim=1)
    room.sum(0)


def scaled(kernel: Kernel) -> None:
    """Rows and columns, block by block."""
    for part, factor, _, _ in kernel.blocks:
        part.mul_(factor).mul_(kernel.g)


def joint(kernel: Kernel) -> None:
    """The product of both factors first, in the room."""
    for part, factor, room, _ in kernel.blocks:
        part.mul_(torch.mul(factor, kernel.g, out=room))


def after(kernel: Kernel) -> None:
    """Sums of squares after the multiplication, from the table."""
    torch.mv(kernel.table, kernel.g[0, : kernel.table.shape[1]])
    torch.mv(kernel.table.T, kernel.f[:, 0])


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = VGG16()
    parameters = list(model.parameters())
    for p in parameters:
        p.grad = torch.randn_like(p)
    optimizer = torch.optim.SGD(parameters, lr=1e-9, momentum=0.9)
    sources = [p.detach() for p in parameters]
    targets = [p.clone() for p in sources]
    weights = [p for p in sources if p.ndim == 4]
    one, half, double = ([Kernel(w, size) for w in weights] for size in (CACHE, CACHE // 2, 2 * CACHE))
    layers = [torch.rand(len(w)) + 1 for w in weights]
    beta = [torch.randn(len(w)).exp() for w in weights]

    def each(do: Callable[[Kernel], object], kernels: list[Kernel] = one) -> Callable[[], object]:
        return lambda: [do(kernel) for kernel in kernels]

    def both(kernels: list[Kernel]) -> None:
        for kernel in kernels:
            norm(kernel.matrix, dim=1)
            kernel.matrix.mul_(kernel.f)

    ways: dict[str, Callable[[], object]] = {
        "row norms": each(lambda k: norm(k.matrix, dim=1)),
        "rows multiplied": each(lambda k: k.matrix.mul_(k.f)),
        "row norms, each kernel multiplied at once": lambda: both(one),
        "  the same, last kernel first": lambda: both(one[::-1]),
        "squares alone": each(lambda k: table(k, lambda room: room)),
        "table of 3 x 3 sums: squares and mv": each(lambda k: table(k, None)),
        "  blocks of 0.5 MiB": each(lambda k: table(k, None), half),
        "  blocks of 2 MiB": each(lambda k: table(k, None), double),
        "  mm in place of mv": each(lambda k: table(k, lambda room: torch.mm(room.view(-1, 9), torch.ones(9, 1)))),
        "  mm with 4 blocks of ones": each(lambda k: table(k, diagonal(4))),
        "  mm with 16 blocks of ones": each(lambda k: table(k, diagonal(16))),
        "  sum": each(lambda k: table(k, lambda room: room.view(-1, 9).sum(1))),
        "  avg_pool2d": each(lambda k: table(k, lambda room: avg_pool2d(room.view(1, -1, 3, 3), 3))),
        "  vector_norm over 3 x 3, no squares": each(lambda k: norm(k.matrix.view(-1, 9), dim=1)),
        "  sums of its rows and columns": each(lambda k: (k.table.sum(1), k.table.sum(0))),
        "no table: row norms, columns' squares added up": each(lambda k: accumulated(k, scale=False)),
        "rows and columns multiplied": each(scaled),
        "  blocks of 0.5 MiB ": each(scaled, half),
        "  blocks of 2 MiB ": each(scaled, double),
        "  by their product": each(joint),
        "sums afterwards, from the table": each(after),
        "multiplied and summed afterwards, no table": each(lambda k: accumulated(k, scale=True)),
        "rank matching, layer by layer": lambda: list(map(rank_match, beta, layers)),
        "rank matching, all layers": lambda: rank_match_each(beta, layers, positive=True),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 2):
        for name, way in ways.items():
            optimizer.step()
            times = [clock()]
            way()
            times.append(clock())
            for target, source in zip(targets, sources, strict=True):
                target.copy_(source)
            times.append(clock())
            if turn > 1:
                found[name].append((times[1] - times[0], times[2] - times[1]))
    print(f"{ROUNDS} rounds, 1 thread, CPU{'ms':>33}{'copies':>10}")
    for name, pairs in found.items():
        ratio = statistics.median(way / copy for way, copy in pairs)
        print(f"{name:50}{1e3 * statistics.median(way for way, _ in pairs):8.2f}{ratio:10.2f}")


if __name__ == "__main__":
    main()

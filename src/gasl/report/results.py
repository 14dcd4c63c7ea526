"""``docs/results.md``: findings and tables from the records alone. ``make results`` writes it again."""

from pathlib import Path

from gasl.experiments.at_target import target_entries
from gasl.experiments.places import Place
from gasl.experiments.tables import Entry, entries
from gasl.report.cells import timed
from gasl.report.findings import findings
from gasl.report.stages import made_of
from gasl.report.tables import found

__all__ = ["results", "write_results"]

_TITLES = {
    1: "LeNet-5-Caffe and 784-500-300 on MNIST",
    2: "VGG-16 on CIFAR",
    3: "The rise of the error at 60, 70 and 80 % of sparsity",
    4: "The rise of the error by alpha",
}
_ABOUT = """\
Made from the records in docs/records/methods by `make results`; nothing here is written by hand. Our errors are on the
test part, which is read once, with the weights of the last epoch; mean ± standard deviation over seeds, one seed has no
spread. Sparsity counts units that were removed: layer by layer for MNIST, all units together for VGG-16. MACs are one
image's. "Faster" is measured in turn with the dense network on one thread of a machine with two cores: {timed}.
The paper's values are beside ours as printed; it says of neither sparsity nor speed-up what they count, and its Tables
3 and 4 are for CIFAR-100, of which there was no copy here. VGG-16 has a quarter of its channels, and the preset `short`
in place of the paper's 300 epochs: its errors are to be compared with each other, not with the paper's. The units'
penalties (SSL, SA, SA + GASL) act on the scales of its batch norms there, not on filters (readings.md, R29)."""
_SIZES = """\
`gasl frontier`: 20 epochs dense, 40 with the method, of which the target has 30, and 40 with what is left. The target
is the argument, its strength is found. "Taught": 0.7 parts of the loss compare with the dense network's outputs.
"Dropout": a fifth of the pixels is set to zero by chance in training, also of the dense network.
How much faster, eager, compiled and in ONNX Runtime: [speed.txt](records/speed.txt), by `benchmarks/speed.py`."""


def results(records: Place, figures: Path | None = None) -> str:
    """The page.

    Args:
        records: The folder of records, or an address.
        figures: The folder ``figures`` beside the page; what is missing there is said to be.

    Returns:
        Markdown.

    Example:
        >>> results("nowhere").splitlines()[0]
        '# Results'
    """
    rows: dict[str | int, list[Entry]] = {number: entries(number) for number in _TITLES}
    rows["sizes"] = target_entries()
    everything = [entry for each in rows.values() for entry in each]
    runs = found(everything, records)
    parts = [
        "# Results",
        "",
        _ABOUT.format(timed=timed([record for each in runs.values() for record in each])),
        "",
        "## What was found",
        "",
    ]
    parts += [f"{i}. {said}" for i, said in enumerate(findings(runs), 1)]
    for number, title in _TITLES.items():
        parts += ["", f"## Table {number}: {title}", "", f"`gasl table {number}`"]
        for made in made_of(rows[number], runs):
            parts += ["", made.markdown()]
    parts += ["", "## At a given size", "", _SIZES]
    for made in made_of(rows["sizes"], runs):
        parts += ["", made.markdown()]
    parts += ["", _drawn("frontier", "Error against multiply-accumulates, ours and as printed", figures)]
    parts += ["", "## Figure 1: what attention does", "", "`gasl figure 1`", ""]
    parts += [_drawn("figure1", "Feature maps and norms of LeNet-5's second convolution", figures)]
    return "\n".join(parts) + "\n"


def _drawn(name: str, title: str, figures: Path | None) -> str:
    there = figures is not None and (figures / f"{name}.png").is_file()
    return f"![{title}](figures/{name}.png)" if there else "Not drawn yet."


def write_results(root: Path) -> Path:
    """Write the page of the repository.

    Args:
        root: The repository.

    Returns:
        The page.
    """
    page = root / "docs" / "results.md"
    page.write_text(results(root / "docs" / "records" / "methods", root / "docs" / "figures"))
    return page


if __name__ == "__main__":
    print(write_results(Path.cwd()))

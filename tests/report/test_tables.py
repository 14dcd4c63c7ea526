"""The paper's tables beside our runs: each cell is what the records and the paper say."""

from dataclasses import replace
from pathlib import Path

from gasl.experiments.tables import entries
from gasl.report.console import print_tables
from gasl.report.stages import made_of, rises
from gasl.report.tables import COLUMNS, Table, found, table

RECORDS = Path(__file__).parents[2] / "docs" / "records" / "methods"


def record(error=8.5, alive=(16, 8), **changes):
    return {
        "error_small": error,
        "layers": [
            {"name": str(i), "size": 32, "alive": left, "sparsity_own": 100 * (1 - left / 32)}
            | {"sparsity_propagated": 100 * (1 - left / 32)}
            for i, left in enumerate(alive)
        ],
        "nonzero": {"a.weight": [100, 30], "b.weight": [300, 10]},
        "params": {"dense": 100, "small": 50},
        "macs": {"dense": 1000, "small": 250},
        "speedup": {"1": 1.5, "128": 3.0},
        "spec": {"method": {"granularity": "unit"}},
        "epochs": 30,
        "device": "a processor",
        "threads": 1,
    } | changes


def row(name, *runs, number=2):
    for made in table(entries(number), {name: runs}):
        for cells in made.rows:
            if cells[3] != "not run":
                return dict(zip(COLUMNS, cells, strict=True))
    return None


def test_a_row_has_the_papers_values_beside_ours():
    cells = row("cifar10/vgg16-0.25-short/gasl", record(), record(error=8.7))
    assert cells == {
        "method": "SA + GASL",
        "paper: error, % / sparsity, % / faster": "8.32 / 76 / 3.06x",
        "its own paper: error, % / left": "",
        "ours: error, %": "8.60 ± 0.14",
        "sparsity, %": "50-75",
        "units left": "16-8",
        "weights left, %": "10.0",
        "parameters": "50",
        "MACs": "250 (4.0x fewer)",
        "faster, batch 1 / 128": "1.5 ± 0.0x / 3.0 ± 0.0x",
        "epochs": "30",
        "seeds": "2",
    }


def test_what_ran_for_how_long_and_on_what():
    name = "cifar10/vgg16-0.25-short/gasl"
    runs = [record(), record(epochs=24, threads=2), record(device="another")]
    assert row(name, *runs)["epochs"] == "24 to 30"
    (made,) = table(entries(2), {name: runs})
    assert made.notes[-1] == "Ours ran on a processor (1 thread), a processor (2 threads), another (1 thread)."
    staged = {"cifar10/vgg16-0.25-short/stages/gasl-70": [record(seed=0)]}
    assert made_of(entries(3), staged)[0].notes[-1] == "Ours ran on a processor (1 thread)."
    assert not any("ran on" in note for note in table(entries(2), {})[0].notes)


def test_a_target_that_was_missed_is_said():
    name = "cifar10/vgg16-0.25-short/gasl"
    units, weights = {"granularity": "unit"}, {"granularity": "weight"}
    cases = [
        ({"method": units, "target": {"macs": 0.25, "sparsity": None}}, ""),
        ({"method": units, "target": {"macs": 0.2, "sparsity": None}}, ", target missed by 1 of 1"),
        ({"method": units, "target": None}, ""),
        ({"method": units, "target": {"macs": None, "sparsity": 0.625}}, ""),
        ({"method": units, "target": {"macs": None, "sparsity": 0.7}}, ", target missed by 1 of 1"),
        ({"method": units, "target": {"params": 0.5}}, ""),
        ({"method": units, "target": {"params": 0.4}}, ", target missed by 1 of 1"),
        ({"method": weights, "target": {"macs": None, "sparsity": 0.9}}, ""),
        ({"method": weights, "target": {"macs": None, "sparsity": 0.95}}, ", target missed by 1 of 1"),
    ]
    for spec, said in cases:
        assert row(name, record(spec=spec))["MACs"] == f"250 (4.0x fewer){said}"


def test_sparsity_of_a_deep_network_is_one_number():
    cells = row("cifar10/vgg16-0.25-short/gasl", record(alive=(32, 16, 16, 16, 16)))
    assert cells["sparsity, %"] == "40.0"


def test_published_values_carry_their_source():
    made = table(entries(1), {})[0]
    (cells,) = [cells for cells in made.rows if cells[0] == "structured sparsity learning"]
    assert cells[2] == "1.00 / 3-12-800-500 [1]"
    assert made.notes[0].startswith("[1] table in the README")


def test_only_records_of_the_rows_own_settings_count():
    (row,) = [row for row in entries(2) if row.label == "SA + GASL"]
    other = replace(row, spec=replace(row.spec, method=replace(row.spec.method, alpha=2.0)))
    assert [bool(found([each], RECORDS)[row.name]) for each in (row, other)] == [True, False]


def test_a_row_of_two_tables_has_the_seeds_of_both():
    name = "cifar10/vgg16-0.25-short/baseline"
    three, one = entries(2), entries(4)
    assert [next(row.seeds for row in rows if row.name == name) for rows in (three, one)] == [3, 1]
    seeds = [[run["seed"] for run in found(rows, RECORDS)[name]] for rows in ([*three, *one], three, one)]
    assert seeds[0] == seeds[1]
    assert len(seeds[0]) > len(seeds[2]) == 1


def test_into_a_file_goes_markdown(capsys):
    made = Table("A title", ("method", "error"), [("SA", "8.6")], ["A note."])
    print_tables([made])
    assert capsys.readouterr().out == made.markdown() + "\n\n"
    assert "| SA | 8.6 |" in made.markdown().splitlines()


def test_the_rise_is_above_the_baseline_of_the_same_seed():
    name = "cifar10/vgg16-0.25-short"
    records = {
        f"{name}/baseline": [record(error=8.0, seed=0), record(error=9.0, seed=1)],
        f"{name}/stages/gasl-70": [record(error=8.5, seed=0), record(error=9.9, seed=1)],
    }
    (made,) = made_of(entries(3), records)
    assert [row[:2] for row in made.rows[::3]] == [(row[0], "60") for row in made.rows[::3]]
    (row,) = [row for row in made.rows if row[3] != "not run"]
    assert row[:6] == ("SA + GASL", "70", "1.68", "0.70 ± 0.28", "9.20 ± 0.99", "62.5 ± 0.0")
    assert made.notes[1] == "Baseline: 8.50 ± 0.71 % (2 seeds)."
    assert rises([record(seed=2)], records[f"{name}/baseline"]) == []


def test_single_weights_are_counted_as_such():
    single = record(seed=0, spec={"method": {"granularity": "weight"}})
    (made,) = made_of(entries(3), {"cifar10/vgg16-0.25-short/stages/l1-80": [single]})
    assert made.rows[2][:6] == ("l1 regularisation", "80", "4.21", "no baseline", "8.50", "90.0 of weights")


def test_table_4_has_alpha_in_the_papers_order():
    (made,) = made_of(entries(4), {})
    assert [row[0] for row in made.rows[::3]] == [f"alpha = {a}" for a in ("0.01", "0.1", "1", "10", "100")]
    assert made.rows[6][:4] == ("alpha = 1", "60", "0.71", "not run")

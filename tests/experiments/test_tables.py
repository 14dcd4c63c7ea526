"""Tables as data: their rows, records of their own for each variation, runs that are skipped or shared out."""

import dataclasses
import threading
import time
from pathlib import Path

import pytest

import gasl
from gasl.cli import main
from gasl.experiments import jobs as jobs_module
from gasl.experiments import tables
from gasl.experiments.choice import Choice
from gasl.experiments.cifar import STEPS, N, cifar_specs, protocol
from gasl.experiments.costs import Clock
from gasl.experiments.identity import described, identity
from gasl.experiments.jobs import Job, all_records, plan, run_jobs
from gasl.experiments.recipes import RECIPES
from gasl.experiments.run import RunOptions
from gasl.experiments.scaled import scaled
from gasl.experiments.spec import RunSpec
from gasl.experiments.store import record_path
from gasl.experiments.tables import Entry, entries, jobs_of
from gasl.report.printed import PRINTED_CIFAR
from gasl.report.published import PRINTED
from gasl.training import TrainConfig
from gasl.training.folder import locked

QUIET = RunOptions(progress=False, say=lambda _: None)
PHASE = TrainConfig(epochs=1, lr=0.05, batch_size=400, clip=None, drop_after=None, stop_after=None)
QUICK = RunSpec(
    model="mlp",
    data="mnist5k",
    method=gasl.GroupLasso(strength=4.0),
    dense=PHASE,
    sparse=PHASE,
    tune=PHASE,
    min_units=20,
)


@pytest.fixture
def tiny(monkeypatch):
    """Table 1 as two rows of seconds, of 784-500-300 on 4,000 digits."""

    def rows(choice):
        methods = {"group_lasso": gasl.GroupLasso(strength=4.0), "gasl": gasl.GASL(strength=4.0)}
        return [
            Entry(
                part="784-500-300 on mnist5k",
                label=tables.LABELS[name],
                name=f"tiny/{name}",
                key=f"mlp/{name}",
                spec=dataclasses.replace(QUICK, method=method),
                seeds=choice.seeds or 1,
            )
            for name, method in methods.items()
        ]

    monkeypatch.setitem(tables._TABLES, 1, rows)
    return rows(Choice())


@pytest.mark.parametrize(("number", "printed"), [(1, PRINTED), (2, PRINTED_CIFAR)])
def test_a_table_has_the_ten_rows_of_the_paper_in_its_order(number, printed):
    keys = [entry.key for entry in entries(number)]
    part = [key for key in keys if key in printed]
    wanted = [key for key in printed if key.split("/")[0] != "cifar100"]
    assert part == [key for key in wanted if number == 2 or key in keys]
    assert len(part) == (20 if number == 1 else 10)


def test_table_1_is_made_of_the_recipes():
    for entry in entries(1):
        assert identity(entry.spec) == identity(RECIPES[entry.name])
    assert {entry.seeds for entry in entries(1)} == {3}


def test_whatever_is_asked_for_has_records_of_its_own():
    choices = [Choice(), Choice(epochs=30), Choice(width=1.0), Choice(data="cifar100"), Choice(preset="paper")]
    names = [entry.name for choice in choices for entry in entries(2, choice)]
    assert len(set(names)) == len(names)
    specs = {identity(entry.spec) for choice in choices for entry in entries(2, choice)}
    assert len(specs) == len(names)
    names = [
        entry.name for choice in (Choice(), Choice(epochs=40), Choice(data="mnist5k")) for entry in entries(1, choice)
    ]
    assert len(set(names)) == len(names)
    assert [e.name for e in entries(2, Choice(epochs=15, width=0.25))] == [e.name for e in entries(2)]
    assert [e.name for e in entries(1, Choice(epochs=20))] == [e.name for e in entries(1)]


@pytest.mark.parametrize("preset", ["short", "paper"])
def test_all_methods_of_a_seed_share_one_dense_start(preset, tmp_path):
    starts = {jobs_module.dense_start(spec, tmp_path) for spec in cifar_specs(preset=preset).values()}
    assert len(starts) == 1


def test_methods_that_take_a_target_are_compared_at_equal_macs():
    specs = cifar_specs()
    with_target = {name for name, spec in specs.items() if spec.target is not None}
    assert with_target == specs.keys() - {"baseline"}
    single = {name for name, spec in specs.items() if spec.method.granularity == "weight"}
    assert single == {"l1", "magnitude_pruning", "sparse_vd"}
    assert {str(specs[name].target) for name in with_target - single} == {"macs=0.25"}
    assert {str(specs[name].target) for name in single} == {"sparsity=0.75"}
    assert all(specs[name].tune is None for name in single)
    budget = {name: spec.sparse.epochs + (spec.tune.epochs if spec.tune else 0) for name, spec in specs.items()}
    assert set(budget.values()) == {15}
    for name in with_target:
        assert specs[name].target.steps < specs[name].sparse.epochs * STEPS
    assert (45_000, -(-N // specs["gasl"].dense.batch_size)) == (N, STEPS)


def test_the_papers_protocol():
    paper = protocol("paper").dense
    assert (paper.lr, paper.drop_after, paper.drop_factor, paper.clip) == (0.1, 5, 0.1, 0.1)
    assert (paper.epochs, paper.stop_after, paper.one_cycle) == (300, 20, None)


def test_scaled_changes_all_that_is_counted_in_epochs_or_steps():
    spec = RECIPES["mlp/magnitude_pruning"]
    twice = scaled(spec, 2.0)
    assert (twice.dense.epochs, twice.sparse.epochs, twice.method.every) == (40, 60, 2 * spec.method.every)
    assert scaled(cifar_specs()["gasl"], 0.5).target.steps == 3 * STEPS
    assert scaled(RECIPES["mlp/gasl"], 0.01).tune.epochs == 1


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["5"], "unknown table '5'"),
        (["two"], "number"),
        (["1", "--width", "1"], "leave --width 1 out"),
        (["1", "--preset", "paper"], "leave --preset paper out"),
        (["1", "--data", "cifar10"], "Known: fashion_mnist, hub:ylecun/mnist"),
        (["1", "--data", "mnits"], "did you mean 'mnist'"),
        (["2", "--width", "0"], "width must be positive"),
        (["2", "--data", "cifar11"], "did you mean 'cifar10'"),
        (["2", "--seeds", "0"], "seeds must be 1 or more"),
        (["2", "--epochs", "0"], "epochs must be 1 or more"),
        (["2", "--preset", "papre"], "preset"),
        (["2", "--data-dir", "nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line(words, part, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["table", *words]) == 2
    error = capsys.readouterr().err
    assert part in error
    assert error.count("\n") == 1


def test_from_the_command_line(tiny, capsys, tmp_path):
    words = ["table", "1", "--out", str(tmp_path), "--progress", "false"]
    assert main([*words, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "tiny/group_lasso, seed 0  1 dense + 1 sparse + 1 tune epochs, time not known",
        "tiny/gasl, seed 0         1 sparse + 1 tune epochs, time not known",
        "2 of 2 runs are missing",
    ]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.count("training the dense network") == 2  # the second finds it trained
    (line,) = [line for line in out.splitlines() if "SA + GASL" in line]
    assert "1.53 / 64-80-95 / 1.23x" in line
    assert main([*words, "--show"]) == 0
    assert line in capsys.readouterr().out.splitlines()
    assert main([*words, "--dry-run", "--seeds", "2"]) == 0
    *runs, total = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=3)[3].split(",")[0] for line in runs] == [
        "there",
        "there",
        "1 dense + 1 sparse + 1 tune epochs",
        "1 sparse + 1 tune epochs",
    ]
    assert total.startswith("2 of 4 runs are missing, ")


def test_show_of_what_was_never_run(capsys, tmp_path):
    assert main(["table", "2", "--show", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("not run") == 11


def test_a_run_that_another_process_is_at_is_left_for_later(tiny, tmp_path, monkeypatch):
    """Both processes have the same list; the second does what the first is not at, and looks again."""
    first, second = (job for entry in tiny for job in entry.jobs())
    said = []
    monkeypatch.setattr(jobs_module, "_AGAIN", 0.1)
    held = threading.Event()

    def hold():
        with locked(tmp_path / f"{first.name}-seed0-{identity(first.spec)}"):
            held.set()
            while not Path(record_path(tmp_path / "records", second.name, 0)).exists():
                time.sleep(0.05)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    assert run_jobs([first, second], tmp_path, dataclasses.replace(QUIET, say=said.append)) == []
    thread.join()
    begun = [line.partition(";")[0] for line in said if "seed" in line and "later" not in line]
    assert begun[:2] == [str(first), str(second)]
    assert any(line.startswith("later: ") for line in said)
    assert len(all_records(tmp_path / "records")) == 2


def test_a_removal_that_fails_stops_no_other_run(tiny, tmp_path, monkeypatch):
    def fails(name, spec, *_):
        if name == "tiny/group_lasso":
            raise gasl.RemovalError("an output would have changed")

    monkeypatch.setattr(jobs_module, "run_named", fails)
    assert run_jobs(jobs_of(tiny), tmp_path, QUIET) == ["tiny/group_lasso, seed 0: an output would have changed"]


def test_time_is_that_of_the_same_method_where_it_is_known():
    def record(method, seconds, **changes):
        time = {"sparse": {"epochs": 10, "seconds": seconds}, "tune": {"epochs": 5, "seconds": 5.0}}
        return {"spec": described(dataclasses.replace(QUICK, method=method, **changes)), "time": time}

    clock = Clock.of([record(gasl.GASL(strength=1.0), 100.0), record(gasl.GroupLasso(strength=1.0), 40.0)])
    longer = dataclasses.replace(QUICK, sparse=dataclasses.replace(PHASE, epochs=20))
    assert clock.seconds_of(longer, ["sparse", "tune"]) == 20 * 4.0 + 1.0
    assert clock.seconds_of(dataclasses.replace(longer, method=gasl.L1(strength=1.0)), ["sparse"]) == 20 * 7.0
    assert clock.seconds_of(longer, ["dense"]) is None
    assert clock.seconds_of(dataclasses.replace(longer, data="mnist"), ["sparse"]) is None


def test_time_is_that_of_the_same_device_where_it_is_known():
    def record(seconds, **entries):
        return {"spec": described(QUICK), "time": {"sparse": {"epochs": 10, "seconds": seconds}}, **entries}

    other = dataclasses.replace(QUICK, method=gasl.L1(strength=1.0))
    both = [
        record(100.0),
        record(20.0, trained_on="a GPU"),
        record(30.0, trained_on="a GPU") | {"spec": described(other)},
    ]
    epochs = QUICK.sparse.epochs
    assert Clock.of(both).seconds_of(QUICK, ["sparse"]) == epochs * 10.0
    assert Clock.of(both).seconds_of(other, ["sparse"]) == epochs * 10.0  # another method here, not this one there
    assert Clock.of(both, "a GPU").seconds_of(QUICK, ["sparse"]) == epochs * 2.0
    assert Clock.of(both[:1], "a GPU").seconds_of(QUICK, ["sparse"]) == epochs * 10.0


def test_a_dense_start_is_planned_once(tmp_path):
    runs = [Job(name=f"x/{i}", spec=dataclasses.replace(QUICK, seed=i // 2)) for i in range(4)]
    assert [run.phases[0] for run in plan(runs, tmp_path, tmp_path / "records").runs] == ["dense", "sparse"] * 2

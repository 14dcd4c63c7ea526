"""Runs that go on from another run's network before removal: what they take over, and that it is not run twice."""

import dataclasses
import json

import pytest
import torch

import gasl
from gasl.experiments.beginning import beginning, still
from gasl.experiments.choice import Choice
from gasl.experiments.identity import described, identity
from gasl.experiments.networks import factory, network
from gasl.experiments.run import SPARSE, RunOptions
from gasl.experiments.scaled import scaled
from gasl.experiments.spec import RunSpec
from gasl.experiments.stages import stages
from gasl.experiments.store import run_named
from gasl.experiments.tables import entries, jobs_of
from gasl.models import MLP
from gasl.training import TrainConfig

PHASE = TrainConfig(epochs=1, lr=0.05, batch_size=50, clip=None, drop_after=None, stop_after=None)
SPEC = RunSpec(
    model="mlp",
    data="mnist5k",
    method=gasl.GroupLasso(strength=1.0),
    dense=dataclasses.replace(PHASE, epochs=2),
    sparse=dataclasses.replace(PHASE, epochs=5),
    tune=None,
    target=gasl.Target(macs=0.5, steps=240),
)
QUIET = RunOptions(progress=False, say=lambda _: None)


def left(record):
    return sum(x["alive"] for x in record["layers"]) / sum(x["size"] for x in record["layers"])


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Two stages, run one after the other."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("chain")
    return out, [run_named(f"mlp/x-{i}", spec, out, QUIET) for i, spec in enumerate(stages(SPEC, (50, 60)))]


def test_each_stage_reaches_its_level(chain):
    _, (first, second) = chain
    assert 0.49 <= left(first) <= 0.5
    assert 0.38 <= left(second) <= 0.4
    assert second["error_dense"] == first["error_dense"]
    assert second["max_rel_diff"] <= 1e-5


def test_what_was_dead_stays_dead(chain):
    out, _ = chain
    before, after = (
        network(factory("mlp"), next(out.glob(f"mlp/x-{i}-*")) / SPARSE).fc1.weight.detach() for i in (0, 1)
    )
    assert before.shape == after.shape == (500, 784)
    dead = before.count_nonzero(dim=1) == 0
    assert int(dead.sum()) > 100
    assert not after[dead].any()
    alive = ~dead & (after.count_nonzero(dim=1) > 0)
    assert not torch.equal(before[alive], after[alive])


def test_a_start_that_is_there_is_not_run_again(chain):
    out, (_, second) = chain
    written = next(out.glob("mlp/x-0-*")) / SPARSE
    when = written.stat().st_mtime_ns
    again = run_named("mlp/other", stages(SPEC, (50, 60))[1], out, QUIET)
    assert written.stat().st_mtime_ns == when
    assert not (out / "starts").exists()
    assert {k: again[k] for k in ("layers", "error_small")} == {k: second[k] for k in ("layers", "error_small")}


def test_a_start_that_is_missing_is_run(chain, tmp_path):
    _, (_, second) = chain
    alone = run_named("mlp/x-1", stages(SPEC, (50, 60))[1], tmp_path, QUIET)
    assert len(list((tmp_path / "starts").iterdir())) == 1
    for key in ("identity", "layers", "error_small", "error_dense"):
        assert alone[key] == second[key]


def test_the_identity_has_the_start_in_it():
    first, second = stages(SPEC, (50, 60))
    other = stages(dataclasses.replace(SPEC, method=gasl.GroupLasso(strength=2.0)), (50, 60))[0]
    assert identity(dataclasses.replace(second, start=other)) != identity(second) != identity(first)
    assert json.loads(json.dumps(described(second)))["start"]["target"]["sparsity"] == 0.5


def test_the_start_has_the_seed_and_the_length_of_the_run():
    second = stages(SPEC, (50, 60))[1]
    assert second.seeded(3).start.seed == 3
    assert scaled(second, 2.0).start.sparse.epochs == 10
    with pytest.raises(gasl.InputError, match="a run has the seed of its start, got 1 and 0"):
        dataclasses.replace(second, seed=1)
    with pytest.raises(gasl.InputError, match="leave one of them out"):
        dataclasses.replace(second, from_scratch=True)
    with pytest.raises(gasl.InputError, match="say where its network lies"):
        beginning(second, MLP, MLP(), None, torch.zeros(1, 1, 28, 28))


def test_dead_units_whose_constant_is_read_are_left_as_they_are():
    model = MLP().eval()
    with torch.no_grad():
        model.fc1.weight[:5] = 0
        model.fc1.bias[:5] = 1.0
    before = model.fc2.weight.clone()
    assert still(model, torch.zeros(1, 1, 28, 28)) == 5
    assert torch.equal(model.fc2.weight, before)


@pytest.mark.parametrize("number", [3, 4])
def test_tables_3_and_4_are_chains_of_three_levels(number):
    rows = [entry for entry in entries(number) if entry.level is not None]
    assert [entry.level for entry in rows] == [60, 70, 80] * (len(rows) // 3)
    for first, second, third in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        shares = [entry.spec.target.sparsity for entry in (first, second, third)]
        single = first.spec.method.granularity == "weight"
        assert shares == pytest.approx([0.6, 0.7, 0.8] if single else [0.6, 1 / 4, 1 / 3])
        assert (first.spec.start, second.spec.start, third.spec.start) == (None, first.spec, second.spec)
    jobs = jobs_of(entries(number, Choice(seeds=2)))
    assert len({identity(job.spec) for job in jobs}) == len(jobs) == 2 * (19 if number == 3 else 16)


def test_table_4_shares_its_middle_with_table_3():
    names = [{entry.name: identity(entry.spec) for entry in entries(number)} for number in (3, 4)]
    shared = names[0].keys() & names[1].keys()
    assert len(shared) == 4
    assert all(names[0][name] == names[1][name] for name in shared)
    alphas = {entry.spec.method.alpha for entry in entries(4) if entry.level}
    assert alphas == {0.01, 0.1, 1.0, 10.0, 100.0}

"""Families of units of widths that are split, also against a slow definition of what may be removed."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gasl.structure.grids import Grid, families, unique_grids


def units_of(*grids):
    return [family.units for family in families(grids)[0]]


def cells(*shape, first=1):
    return torch.arange(first, first + torch.Size(shape).numel()).reshape(shape)


def test_one_grid_has_a_family_for_each_direction():
    assert units_of(Grid(cells(2, 3))) == [[[1, 2, 3], [4, 5, 6]], [[1, 4], [2, 5], [3, 6]]]
    assert [[len(unit) for unit in family] for family in units_of(Grid(cells(2, 3, 4)))] == [[12] * 2, [8] * 3, [6] * 4]


def test_headers_go_with_their_slab():
    heads, width = units_of(Grid(cells(2, 3), headers=[(0, torch.tensor([7, 8]))]))
    assert [sorted(unit) for unit in heads] == [[1, 2, 3, 7], [4, 5, 6, 8]]
    assert width == [[1, 4], [2, 5], [3, 6]]


def test_a_header_that_serves_two_slabs_joins_them():
    (heads, _) = units_of(Grid(cells(4, 2), headers=[(0, torch.tensor([9, 9, 10, 10]))]))
    assert [sorted(unit) for unit in heads] == [[1, 2, 3, 4, 9], [5, 6, 7, 8, 10]]


def test_a_fixed_direction_has_no_family():
    found, reasons = families([Grid(cells(2, 3), fixed={1: "a norm"})])
    assert [family.units for family in found] == [[[1, 2, 3], [4, 5, 6]]]
    assert reasons == {}


def test_where_every_direction_is_fixed_the_reason_is_told():
    found, reasons = families([Grid(cells(2, 2), headers=[(0, torch.tensor([5, 6]))], fixed={0: "a", 1: "b"})])
    assert found == []
    assert reasons == dict.fromkeys(range(1, 7), "a")


def test_two_grids_over_the_same_classes_leave_what_suits_both():
    shuffled = cells(2, 4).t().reshape(4, 2)  # the same classes in another order, split otherwise
    found = units_of(Grid(cells(2, 4)), Grid(shuffled))
    assert all(removable([Grid(cells(2, 4)), Grid(shuffled)], unit) for family in found for unit in family)
    assert found


def test_two_grids_that_have_only_the_whole_in_common():
    skew = torch.tensor([[1, 4], [2, 3]])
    crossed = torch.tensor([[1, 3], [2, 4]])
    found, reasons = families([Grid(cells(2, 2)), Grid(skew), Grid(crossed.t()), Grid(torch.tensor([[1, 2], [4, 3]]))])
    for family in found:
        assert len(family.units) > 1
    assert set(reasons.values()) <= {"split into parts that have only whole widths in common"}


def test_a_shuffle_between_two_splits():
    before, after = cells(2, 3), cells(2, 3).t()
    heads, places = units_of(Grid(before), Grid(after))
    assert [sorted(unit) for unit in heads] == [[1, 2, 3], [4, 5, 6]]
    assert [sorted(unit) for unit in places] == [[1, 4], [2, 5], [3, 6]]


def test_queries_and_keys_share_their_heads_through_a_header():
    heads = torch.tensor([17, 18])
    q, k = cells(2, 4), cells(2, 4, first=9)
    found = units_of(Grid(q, headers=[(0, heads)]), Grid(k, headers=[(0, heads)]))
    assert sorted(len(family) for family in found) == [2, 4, 4]
    assert [sorted(unit) for unit in found[0]] == [
        [*range(1, 5), *range(9, 13), 17],
        [*range(5, 9), *range(13, 17), 18],
    ]


def test_a_fixed_width_of_the_keys_leaves_the_heads():
    heads = torch.tensor([17, 18])
    found, reasons = families(
        [Grid(cells(2, 4), headers=[(0, heads)], fixed={1: "x"}), Grid(cells(2, 4, first=9), headers=[(0, heads)])]
    )
    assert sorted(len(family.units) for family in found) == [2, 4]
    assert reasons == {}


def test_equal_grids_are_merged_with_all_that_they_say():
    header = torch.tensor([5, 6])
    (merged,) = unique_grids(
        [
            Grid(cells(2, 2), headers=[(0, header)]),
            Grid(cells(2, 2), headers=[(0, header.clone()), (1, header)], fixed={1: "first"}),
            Grid(cells(2, 2), fixed={1: "second"}),
        ]
    )
    assert [(d, h.tolist()) for d, h in merged.headers] == [(0, [5, 6]), (1, [5, 6])]
    assert merged.fixed == {1: "first"}
    assert len(unique_grids([Grid(cells(2, 2)), Grid(cells(2, 2).t())])) == 2


# -- the slow definition -----------------------------------------------------------------------------------------------


def removable(grids, gone):
    """Whether what is left of every grid is a full grid, with the headers of just its slabs."""
    gone = set(gone)
    for grid in grids:
        left = torch.tensor([c not in gone for c in grid.cells.flatten().tolist()]).reshape(grid.cells.shape)
        slabs = [left.movedim(d, 0).flatten(1).any(1) for d in range(left.ndim)]
        full = torch.ones_like(left)
        for d, some in enumerate(slabs):
            full &= some.reshape([-1 if e == d else 1 for e in range(left.ndim)])
        if not torch.equal(full, left):
            return False
        if not bool(left.any()):
            continue  # that something must be left of it is no matter of grids
        if any(not bool(slabs[d].all()) for d in grid.fixed):
            return False
        for d, header in grid.headers:
            if [c not in gone for c in header.tolist()] != slabs[d].tolist():
                return False
    return True


@st.composite
def some_grids(draw):
    """Grids over one width: factorised, shuffled, halved, with headers of their own, directions that are fixed."""
    width = draw(st.sampled_from([4, 6, 8, 12]))
    classes = torch.arange(1, width + 1)
    grids, fresh = [], width + 1
    for _ in range(draw(st.integers(1, 3))):
        part = draw(st.sampled_from([classes, classes[: width // 2], classes[width // 2 :]]))
        n = part.numel()
        rows = draw(st.sampled_from([d for d in range(2, n) if n % d == 0] or [1]))
        if rows == 1:
            continue
        shape = draw(st.sampled_from([(rows, n // rows), (n // rows, rows)]))
        grid = Grid(part.reshape(shape).t() if draw(st.booleans()) else part.reshape(shape))
        for d in range(2):
            kind = draw(st.sampled_from(["free", "free", "free", "fixed", "header"]))
            if kind == "fixed":
                grid.fixed[d] = "told so"
            if kind == "header":
                grid.headers.append((d, torch.arange(fresh, fresh + grid.cells.shape[d])))
                fresh += grid.cells.shape[d]
        grids.append(grid)
    return grids


@settings(max_examples=300, deadline=None)
@given(some_grids(), st.randoms(use_true_random=False))
def test_whatever_units_of_a_family_go_full_grids_are_left(grids, rng):
    found, reasons = families(grids)
    everything = {
        c for g in grids for c in (*g.cells.flatten().tolist(), *(c for _, h in g.headers for c in h.tolist()))
    }
    covered = {c for family in found for unit in family.units for c in unit}
    assert set(reasons) == everything - covered
    for family in found:
        assert len(family.units) > 1
        assert len({c for unit in family.units for c in unit}) == sum(map(len, family.units))  # no class in two units
        for _ in range(3):
            some = rng.sample(family.units, rng.randint(1, len(family.units) - 1))
            assert removable(grids, [c for unit in some for c in unit]), (grids, some)
    for one, other in itertools.combinations(found, 2):
        some = [*rng.choice(one.units), *rng.choice(other.units)]
        assert removable(grids, some), (grids, some)


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (2, 2), (2, 2, 2)])
def test_of_one_grid_nothing_else_could_go(shape):
    grid = Grid(cells(*shape))
    total = grid.cells.numel()
    allowed = {
        part
        for n in range(1, total)
        for part in itertools.combinations(range(1, total + 1), n)
        if removable([grid], part)
    }
    smallest = {part for part in allowed if not any(set(other) < set(part) for other in allowed)}
    assert smallest == {tuple(sorted(unit)) for family in units_of(grid) for unit in family}

"""A parameter of several dimensions that a forward turns, cuts and folds before it is used."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from gasl.structure.classes import Classes
from gasl.structure.notes import Notes
from gasl.structure.trace import trace
from gasl.structure.views import WeightView
from removal.halving import removable
from structure.nets import Fn, axes_of, groups_of, image, reasons_of

OUT, IN = torch.arange(1, 5), torch.arange(5, 8)
VIEW = WeightView("w", (4, 3), (OUT, IN), ((0,), (1,)))


def reshaped(view, *shape):
    classes = Classes()
    classes.fresh(20)
    notes = Notes(classes)
    return view.reshaped(shape, lambda w: w.reshape(shape), notes, classes), notes


def test_a_view_is_whole_until_it_is_cut():
    assert VIEW.whole
    turned = VIEW.permuted((1, 0), lambda w: w.t())
    assert (turned.shape, turned.dims, turned.whole) == ((3, 4), ((1,), (0,)), True)
    assert [a.tolist() for a in turned.atoms] == [IN.tolist(), OUT.tolist()]
    part = VIEW.cut(0, 1, 3)
    assert (part.shape, part.atoms[0].tolist(), part.whole) == ((2, 3), [2, 3], False)


def test_steps_are_repeated_on_a_mask():
    mask = torch.arange(12.0).reshape(4, 3)
    view = VIEW.permuted((1, 0), lambda w: w.t()).cut(1, 1, 3)
    assert torch.equal(view.of(mask), mask.t()[:, 1:3])
    assert torch.equal(view.matrix(mask), mask[1:3])
    assert torch.equal(VIEW.permuted((1, 0), lambda w: w.t()).matrix(mask), mask)  # x @ w.t() as (out, in)


def test_dimensions_of_one_are_added_and_dropped():
    more, notes = reshaped(VIEW, 1, 4, 1, 3)
    assert (more.shape, more.dims, more.whole, notes.grids) == ((1, 4, 1, 3), ((), (0,), (), (1,)), False, [])
    assert [None if a is None else a.tolist() for a in more.atoms] == [None, OUT.tolist(), None, IN.tolist()]


def test_a_split_dimension_is_a_grid_with_headers():
    split, notes = reshaped(VIEW, 2, 2, 3)
    (grid,) = notes.grids
    assert grid.cells.tolist() == [[1, 2], [3, 4]]
    assert [(d, h.tolist()) for d, h in grid.headers] == [(0, split.atoms[0].tolist()), (1, split.atoms[1].tolist())]
    assert split.dims == ((0,), (0,), (1,))
    assert not split.whole


def test_merged_dimensions_are_a_grid_of_new_classes():
    flat, notes = reshaped(VIEW, 12)
    (grid,) = notes.grids
    assert grid.cells.flatten().tolist() == flat.atoms[0].tolist()
    assert [h.tolist() for _, h in grid.headers] == [OUT.tolist(), IN.tolist()]
    assert flat.dims == ((0, 1),)


def test_what_is_neither_is_not_followed():
    assert reshaped(VIEW, 6, 2)[0] is None


def test_labels_are_those_of_the_one_dimension_that_tells_units_apart():
    assert VIEW.labels() is None
    row = WeightView("w", (1, 3), (None, IN), ((0,), (1,)))
    assert row.labels().tolist() == [IN.tolist()]
    assert row.expanded((2, 5, 3)).labels()[1, 4].tolist() == IN.tolist()


# -- in networks -------------------------------------------------------------------------------------------------------


def points(batch):
    return torch.randn(batch, 5, 3)


def heads(function, weight, width):
    def make():
        return Fn(
            lambda m, x: m.b(function(m, m.a(x))), a=nn.Linear(3, 6), w=nn.Parameter(torch.randn(weight)),
            b=nn.Linear(width, 2),
        )  # fmt: skip

    return make


WRITTEN = {
    "product": (lambda m, y: y @ m.w, (6, 8), 8, [6, 8]),
    "turned": (lambda m, y: y @ m.w.t(), (8, 6), 8, [6, 8]),
    "permuted": (lambda m, y: y @ m.w.permute(1, 0), (8, 6), 8, [6, 8]),
    "matmul of three": (lambda m, y: torch.matmul(y, m.w[None]), (6, 8), 8, [6, 8]),
    "linear": (lambda m, y: F.linear(y, m.w), (8, 6), 8, [6, 8]),
    "einsum": (lambda m, y: torch.einsum("bnc,cd->bnd", y, m.w), (6, 8), 8, [6, 8]),
    "to heads": (lambda m, y: torch.einsum("bnc,chd->bnhd", y, m.w).flatten(2), (6, 2, 4), 8, [2, 4, 6]),
    "half": (lambda m, y: F.linear(y, m.w.chunk(2)[0]) + F.linear(y, m.w.chunk(2)[1]), (8, 6), 4, [4, 6]),
    "kernel of one": (lambda m, y: F.conv1d(y.mT, m.w[..., None]).mT, (8, 6), 8, [6, 8]),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_parameters_that_are_turned_and_folded_write_units(name):
    function, weight, width, sizes = WRITTEN[name]
    assert sorted(removable(heads(function, weight, width), points).values()) == sizes


def test_members_name_the_dimensions_of_the_parameter_itself():
    members = groups_of(heads(*WRITTEN["turned"][:3])(), points(2))
    assert members["a"] == {"a.weight[0]", "a.bias[0]", "w[1]"}
    assert members["w"] == {"w[0]", "b.weight[1]"}
    roles = {m.tensor: m.role for m in trace(heads(*WRITTEN["product"][:3])(), points(2)).axis("w").members}
    assert roles == {"w": "producer", "b.weight": "consumer"}


@pytest.mark.parametrize(
    "function",
    [lambda w: w * 2, lambda w: w.softmax(0), lambda w: w / w.norm(dim=1, keepdim=True), lambda w: w.roll(1, 0)],
)
def test_a_weight_that_is_computed_protects_what_it_reads_and_writes(function):
    model = heads(lambda m, y: F.linear(y, function(m.w)), (8, 6), 8)()
    assert axes_of(model, points(2)) == {}
    assert set(reasons_of(model, points(2))) >= {"a", "b"}


def test_a_map_of_parameters_that_is_added_belongs_to_the_units():
    def make():
        return Fn(
            lambda m, x: m.b(m.a(x) + m.map), a=nn.Conv2d(3, 6, 1), b=nn.Conv2d(6, 2, 1),
            map=nn.Parameter(torch.randn(6, 8, 8)),
        )  # fmt: skip

    assert removable(make, image) == {"a": 6}
    assert "map[0]" in groups_of(make())["a"]

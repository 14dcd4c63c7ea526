"""Ops that combine what several layers made: what is tied, what is mixed, what is protected."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from gasl.structure.trace import trace
from removal.halving import halved
from structure.nets import Fn, axes_of, groups_of, image, reasons_of


def two(function):
    """Two convolutions to 4 channels, combined, and one that reads them."""
    model = Fn(
        lambda m, x: m.c(function(m.a(x), m.b(x))), a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(3, 4, 1), c=nn.Conv2d(4, 2, 1)
    )
    return model, image()


TIED = {
    "add": torch.add,
    "mul": torch.mul,
    "in place": lambda a, b: a.add_(b),
    "copy over space": lambda a, b: _overwrite(a, b),
    "where": lambda a, b: torch.where(a > 0, a, b),
    "gate": lambda a, b: a * b.mean((2, 3), keepdim=True).sigmoid(),
    "cat space": lambda a, b: torch.cat([a, b], 2),
    "cat batch": lambda a, b: torch.cat([a, b], 0),
    "stack": lambda a, b: torch.stack([a, b], 4).sum(4),
    "lerp": lambda a, b: torch.lerp(a, b, 0.5),
}


def _overwrite(a, b):
    a[:, :, ::2] = b[:, :, ::2]
    return a


@pytest.mark.parametrize("name", TIED)
def test_what_meets_is_tied(name):
    model, x = two(TIED[name])
    assert groups_of(model, x) == {"a": {"a.weight[0]", "b.weight[0]", "a.bias[0]", "b.bias[0]", "c.weight[1]"}}
    assert trace(model, x).mixed == frozenset()


def test_pieces_joined_beside_the_width_are_tied_behind_a_flatten_too():
    model = Fn(
        lambda m, x: m.c(torch.cat([m.a(x), m.b(x)], 2).flatten(1)),
        a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(3, 4, 1), c=nn.Linear(4 * 4 * 4, 2),
    )  # fmt: skip
    assert axes_of(model, image(size=4)[:, :, :2]) == {"a": 4}


def test_concat_keeps_offsets():
    model = Fn(
        lambda m, x: m.c(torch.cat([m.a(x), x, m.b(x)], 1)),
        a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(3, 2, 1), c=nn.Conv2d(9, 2, 1),
    )  # fmt: skip
    structure = trace(model, image())
    assert axes_of(model) == {"a": 4, "b": 2}
    reader = next(m for m in structure.axis("b").members if m.tensor == "c.weight")
    assert reader.units.tolist() == [-1] * 7 + [0, 1]


@pytest.mark.parametrize("function", [torch.add, lambda a, b: torch.cat([a, b[:, :4]], 2)])
def test_a_unit_that_meets_what_has_a_fixed_size_is_protected(function):
    model = Fn(
        lambda m, x: m.c(function(m.a(x), torch.cat([x.cumsum(1), m.b(x)], 1))),
        a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(3, 1, 1), c=nn.Conv2d(4, 2, 1),
    )  # fmt: skip
    assert "a" not in axes_of(model)
    assert "fixed size" in reasons_of(model)["a"] or "cuts" in reasons_of(model)["a"]


def test_one_map_that_is_broadcast_over_all_units_is_protected_and_mixes_or_scales():
    for function, scales in (
        (lambda a, b: a * b, True),
        (lambda a, b: b * a, True),
        (lambda a, b: a + b.mean(), False),
        (lambda a, b: b.mean() + a, False),
    ):
        model = Fn(
            lambda m, x, f=function: m.c(f(m.a(x), m.b(x))),
            a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(3, 1, 1), c=nn.Conv2d(4, 2, 1),
        )  # fmt: skip
        structure = trace(model, image())
        assert axes_of(model) == {"a": 4}
        assert "broadcasts it over other units" in reasons_of(model)["b"]
        units = set(structure.axis("a").classes.tolist())
        assert structure.mixed == (set() if scales else units)
        assert scaled_of(structure) == (units if scales else set())
        if scales:
            halved(model, image)


def test_what_is_broadcast_over_the_input_is_protected():
    for function in (lambda a, x: a.mean(1, keepdim=True) + x, lambda a, x: x * a.mean(1, keepdim=True)):
        model = Fn(lambda m, x, f=function: m.c(f(m.a(x), x)), a=nn.Linear(6, 6), c=nn.Linear(6, 4))
        assert "broadcasts it over other units" in reasons_of(model, torch.randn(2, 5, 6))["a"]
        behind = Fn(
            lambda m, x, f=function: m.c(m.b(f(m.a(x), x)).relu()),
            a=nn.Linear(6, 6), b=nn.Linear(6, 8), c=nn.Linear(8, 4),
        )  # fmt: skip
        halved(behind, lambda n: torch.randn(n, 5, 6))


def scaled_of(structure):
    """The classes that something multiplies which may change with the input."""
    return {c for classes, _ in structure.relations.scaled for c in classes.tolist()}


def test_what_is_multiplied_is_noted_with_its_largest_value():
    model = Fn(lambda m, x: m.b(m.a(x) * x.mean()), a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 2, 1))
    x = image()
    structure = trace(model, x)
    ((classes, largest),) = structure.relations.scaled
    order = [classes.tolist().index(c) for c in structure.axis("a").classes.tolist()]
    torch.testing.assert_close(largest[order], model.a(x).detach().abs().amax((0, 2, 3)))


def test_what_changes_with_the_input_but_has_no_unit_is_mixed_unless_it_multiplies():
    for function, mixed in [
        (lambda a, x: a * x.mean(), False),
        (lambda a, x: a / x.mean(), False),
        (lambda a, x: x.mean() / a, True),
        (lambda a, x: a + x.cumsum(1)[:, :1], True),
        (lambda a, x: a + torch.rand(1), True),
        (lambda a, x: a + torch.ones(1, 1, 8, 8), False),
        (lambda a, x: a + torch.linspace(0, 1, 8), False),
    ]:
        model = Fn(lambda m, x, f=function: m.b(f(m.a(x), x)), a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 2, 1))
        structure = trace(model, image())
        assert structure.mixed == (set(structure.axis("a").classes.tolist()) if mixed else set())


def test_a_buffer_filled_in_parts_is_known_to_change_with_the_input():
    def forward(m, x):
        page = torch.zeros(len(x), 1, 8, 8)
        page[:, :, 1:] = x[:, :1, 1:]
        return m.b(m.a(x) + page)

    structure = trace(Fn(forward, a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 2, 1)), image())
    assert structure.mixed == set(structure.axis("a").classes.tolist())


def test_units_written_side_by_side_into_a_buffer_are_protected():
    def forward(m, x):
        page = torch.zeros(len(x), 8, 8, 8)
        page[:, :4] = m.a(x)
        page[:, 4:] = m.b(x)
        return m.c(page)

    model = Fn(forward, a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(3, 4, 1), c=nn.Conv2d(8, 2, 1))
    assert axes_of(model) == {}


def test_parameters_that_are_added_or_scale_belong_to_the_unit():
    model = Fn(
        lambda m, x: m.b(m.shift + m.scale * m.a(x) + m.rows),
        a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 2, 1), scale=nn.Parameter(torch.randn(4, 1, 1)),
        shift=nn.Parameter(torch.randn(1, 4, 1, 1)), rows=nn.Parameter(torch.randn(8, 1)),
    )  # fmt: skip
    assert groups_of(model)["a"] == {"a.weight[0]", "a.bias[0]", "scale[0]", "shift[1]", "b.weight[1]"}


def test_a_parameter_of_two_dimensions_belongs_to_the_units_along_one_of_them():
    model = Fn(
        lambda m, x: m.b(m.a(x) + m.map),
        a=nn.Conv2d(3, 4, 1),
        b=nn.Conv2d(4, 2, 1),
        map=nn.Parameter(torch.randn(4, 8, 1)),
    )
    assert groups_of(model) == {"a": {"a.weight[0]", "a.bias[0]", "map[0]", "b.weight[1]"}}
    assert trace(model, image()).relations.tables == (("map", 0),)
    halved(model, image)


def test_an_outer_product_protects_one_side_and_scales_the_other():
    model = Fn(
        lambda m, x: m.c((m.a(x)[:, :, None] * m.b(x)[:, None, :]).sum(2)),
        a=nn.Linear(3, 4), b=nn.Linear(3, 5), c=nn.Linear(4, 2),
    )  # fmt: skip
    structure = trace(model, torch.randn(2, 3))
    assert axes_of(model, torch.randn(2, 3)) == {"a": 4}
    assert "broadcasts it over other units" in reasons_of(model, torch.randn(2, 3))["b"]
    assert scaled_of(structure) >= set(structure.axis("a").classes.tolist())
    halved(model, lambda batch: torch.randn(batch, 3))


def test_flatten_makes_blocks_and_feature_units():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4 * 4, 2))
    structure = trace(model, image(size=2))
    assert [(a.name, a.size, a.kind) for a in structure.axes] == [("0", 4, "width"), ("2.in", 16, "features")]
    reader = next(m for m in structure.axis("0").members if m.role == "consumer")
    assert reader.units.tolist() == [u for u in range(4) for _ in range(4)]


def test_channels_last_flatten_interleaves():
    model = Fn(lambda m, x: m.b(m.a(x).permute(0, 2, 3, 1).flatten(1)), a=nn.Conv2d(3, 4, 1), b=nn.Linear(16, 2))
    reader = next(m for m in trace(model, image(size=2)).axis("a").members if m.role == "consumer")
    assert reader.units.tolist() == list(range(4)) * 4


def test_unbatched_maps_are_pooled():
    model = Fn(
        lambda m, x: m.b(F.max_pool2d(m.a(x), 2)).mean((1, 2)), a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 2, 1)
    )  # fmt: skip
    assert axes_of(model, image()[0]) == {"a": 4}

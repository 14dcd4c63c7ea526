"""Grouped convolutions with shuffles between whose groups do not divide each other: single channels go."""

import copy
import itertools

import pytest
import torch
from torch import nn

import gasl
from gasl.removal.verify import largest_difference
from gasl.structure.matchings import Layout, Matching, shuffled
from gasl.structure.trace import trace
from removal.halving import damaged, randomised, same_outputs
from structure.nets import Fn, axes_of, reasons_of

Conv = nn.Conv2d


def doubles(batch, size=5):
    return torch.randn(batch, 3, size, size).double()


def unflatten(m, x):
    return x.unflatten(1, (m.groups, -1)).transpose(1, 2).flatten(1, 2)


def view(m, x):
    b, c, h, w = x.shape
    return x.view(b, m.groups, c // m.groups, h, w).transpose(1, 2).reshape(b, c, h, w)


def follows(m, x):
    b, _, h, w = x.shape
    y = x.view(b, m.groups, -1, h, w).transpose(1, 2).contiguous()
    return y.view(b, y.shape[1] * y.shape[2], h, w)


def twice(m, x):
    return unflatten(m, unflatten(m, x))


def native(m, x):
    return nn.functional.channel_shuffle(x, 3)


def network(shuffle, middle=12, behind=3, norm=True):
    """Two grouped convolutions with a shuffle between, and one that reads all."""

    def forward(m, x):
        y = m.first(torch.relu(m.enter(x)))
        y = m.deep(shuffle(m, torch.relu(m.norm(y))))
        return m.leave(torch.relu(m.last(y)))

    model = Fn(
        forward,
        enter=Conv(3, 6, 1), first=Conv(6, middle, 1, groups=3, bias=False), leave=Conv(2 * behind, 2, 1),
        norm=nn.BatchNorm2d(middle) if norm else nn.Identity(),
        deep=Conv(middle, middle, 3, padding=1, groups=middle), last=Conv(middle, 2 * behind, 1, groups=behind),
    )  # fmt: skip
    model.groups = 3
    return model


def killed(model, dead):
    trace(model, doubles(2)).axis("first").zero_(dead)
    return model


@pytest.mark.parametrize("shuffle", [unflatten, view, follows, native])
def test_single_channels_are_units(shuffle):
    model = randomised(network(shuffle))
    assert axes_of(model, doubles(2))["first"] == 12
    for seed in range(6):
        dead = torch.randperm(12, generator=torch.Generator().manual_seed(seed))[:7].tolist()
        large = killed(copy.deepcopy(model), dead)
        small, removal = gasl.shrink(large, doubles(2))
        for batch in (1, 3):
            same_outputs(small, large, doubles(batch))
        left = removal.widths["first"][1]
        assert left == least([u not in dead for u in range(12)], 3, 3)
        assert small.first.weight.shape[0] == small.deep.groups == left
        assert small.last.weight.shape[1] == left // 3


def least(alive, groups, behind):
    """The smallest width that has room for what is alive, found by dealing out the channels."""

    def needs(size):
        dealt = [channel for rank in range(size // groups) for channel in range(rank, size, size // groups)]
        pairs = [None] * size
        for place, channel in enumerate(dealt):
            pairs[channel] = (channel * groups // size, place * behind // size)
        return pairs

    own = needs(len(alive))
    for size in range(groups, len(alive) + 1, groups):
        room = needs(size)
        pairs = set(itertools.product(range(groups), range(behind)))
        living = [pair for pair, lives in zip(own, alive, strict=True) if lives]
        if size % behind == 0 and all(living.count(p) <= room.count(p) <= own.count(p) for p in pairs):
            return size
    raise AssertionError


def test_two_shuffles_in_a_row():
    model, found = randomised(network(twice, middle=21)), set()
    for alive in range(0, 21, 2):
        large = killed(copy.deepcopy(model), [unit for unit in range(21) if unit not in (alive, 20 - alive)])
        small, removal = gasl.shrink(large, doubles(2))
        same_outputs(small, large, doubles(3))
        found.add(removal.widths["first"][1])
    assert found == {3, 6, 21}


def test_every_width_that_fits_can_be_reached():
    model = randomised(network(unflatten, middle=21))
    found = set()
    for seed in range(12):
        count = 4 + seed
        dead = torch.randperm(21, generator=torch.Generator().manual_seed(seed))[:count].tolist()
        large = killed(copy.deepcopy(model), dead)
        small, removal = gasl.shrink(large, doubles(2))
        same_outputs(small, large, doubles(2))
        found.add(removal.widths["first"][1])
    assert len(found) >= 3
    everything = killed(copy.deepcopy(model), range(21))
    small, removal = gasl.shrink(everything, doubles(2))
    assert removal.widths["first"] == (21, 3)


@pytest.mark.parametrize(("middle", "behind"), [(12, 2), (15, 5), (24, 4), (30, 6)])
def test_other_groups_behind_the_shuffle(middle, behind):
    def make():
        return network(unflatten, middle, behind)

    assert damaged(make(), doubles, range(4)) > 0


def test_scattered_zeros_change_nothing():
    assert damaged(network(view), doubles, range(8)) > 0
    assert damaged(network(follows, norm=False), doubles, range(8)) > 0


def test_in_place_with_an_optimizer_and_on_to_training():
    dead = [0, 1, 3, 5, 6, 7, 9, 10]
    model, x = killed(randomised(network(unflatten)), dead), doubles(4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model(x).square().mean().backward()
    optimizer.step()
    masked = copy.deepcopy(killed(model, dead))
    twin = torch.optim.AdamW(masked.parameters(), lr=1e-2)
    twin.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    weight = model.last.weight
    removal = gasl.shrink_(model, x, optimizer=optimizer)
    assert removal.widths["first"][1] < 12
    assert model.last.weight is weight
    assert optimizer.state[weight]["exp_avg"].shape == weight.shape
    y = doubles(4)
    for one, stepped in ((optimizer, model), (twin, masked)):
        one.zero_grad()
        stepped(y).square().mean().backward()
        one.step()
    again, _ = gasl.shrink(killed(masked, dead), x)
    torch.testing.assert_close(again.last.weight, model.last.weight, rtol=1e-9, atol=1e-12)


def test_saved_and_shrunk_again(tmp_path):
    model = killed(randomised(network(view, middle=30)), range(0, 12, 2))
    small, _ = gasl.shrink(model, doubles(2))
    gasl.save(small, tmp_path / "small.safetensors")
    again = gasl.load(tmp_path / "small.safetensors", build=lambda: network(view, middle=30).double())
    x = doubles(2)
    assert largest_difference(small(x), again(x)) <= 1e-12
    size = axes_of(small, x)["first"]
    third, removal = gasl.shrink(killed(small, range(size - 3)), x)
    same_outputs(third, small, x)
    assert removal.widths["first"][1] < size


def test_widths_are_rounded_too():
    model = killed(randomised(network(unflatten, middle=30)), range(2, 24, 2))
    small, removal = gasl.shrink(model, doubles(2), round_to=2)
    same_outputs(small, model, doubles(2))
    assert removal.widths["first"][1] % 2 == 0


# -- what is not matched -----------------------------------------------------------------------------------------------


def places_named(m, x):
    y = x.unflatten(1, (m.groups, -1))
    return (y * m.scale).transpose(1, 2).flatten(1, 2)


def places_literal(m, x):
    b, _, h, w = x.shape
    return x.view(b, -1, 4, h, w).transpose(1, 2).reshape(b, -1, h, w)


def places_pooled(m, x):
    y = x.unflatten(1, (m.groups, -1))
    return (y + y.sum(1, keepdim=True)).transpose(1, 2).flatten(1, 2)


def places_summed(m, x):
    y = x.unflatten(1, (m.groups, -1))
    return (y + y.mean(2, keepdim=True)).transpose(1, 2).flatten(1, 2)


@pytest.mark.parametrize("shuffle", [places_named, places_literal, places_pooled, places_summed])
def test_where_a_place_or_its_number_matters_the_width_stays(shuffle):
    model = network(shuffle)
    model.scale = nn.Parameter(torch.randn(4, 1, 1))
    model = randomised(model)
    assert "first" not in axes_of(model, doubles(2))
    assert "first" in reasons_of(model, doubles(2))
    with torch.no_grad():
        model.norm.weight[[0, 2, 3, 7]] = model.norm.bias[[0, 2, 3, 7]] = 0
    small, _ = gasl.shrink(model, doubles(2))
    assert small.first.weight.shape[0] == 12


# -- inside a residual -------------------------------------------------------------------------------------------------


def residual(channels, groups, again=False):
    """A residual around two grouped convolutions with a shuffle between, and perhaps one more behind."""

    def forward(m, x):
        h = torch.relu(m.enter(x))
        y = m.second(torch.relu(view(m, m.first(h))))
        return m.leave(torch.relu((unflatten(m, y) if again else y) + h))

    model = Fn(
        forward,
        enter=Conv(3, channels, 1), leave=Conv(channels, 2, 1),
        first=Conv(channels, channels, 1, groups=groups), second=Conv(channels, channels, 1, groups=groups),
    )  # fmt: skip
    model.groups = groups
    return model


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(("channels", "groups"), [(8, 4), (24, 4), (16, 4), (8, 2), (27, 3)])
def test_what_a_residual_around_a_shuffle_offers_can_go(channels, groups, again):
    model, x = randomised(residual(channels, groups, again)), doubles(2)
    sizes = axes_of(model, x)
    for names in [*([name] for name in sizes), list(sizes)]:
        for share in (1, 2):
            large = copy.deepcopy(model)
            structure = trace(large, x)
            for k, name in enumerate(names if sizes else ()):
                order = torch.randperm(sizes[name], generator=torch.Generator().manual_seed(k))
                structure.axis(name).zero_(order[: sizes[name] // 2 if share == 2 else 1])
            if names:
                small, _ = gasl.shrink(large, x)
                same_outputs(small, large, doubles(3))


def test_groups_that_cross_inside_a_residual_stay():
    model = residual(8, 4)
    assert axes_of(model, doubles(2).float()) == {"enter": 2}
    assert reasons_of(model, doubles(2).float())["first"] == "split along two directions at once"


# -- the arithmetic ----------------------------------------------------------------------------------------------------


def test_three_groups_dealt_out_to_three():
    matching = Matching(torch.arange(1, 13), (Layout((), 3, ()), Layout((3,), 3, (torch.arange(13, 17),))), {}, {})
    assert shuffled(torch.arange(6), (3,)).tolist() == [0, 2, 4, 1, 3, 5]
    assert matching.pairs(6).tolist() == [0, 1, 3, 5, 7, 8]  # 3 a + b: from group a to group b
    assert matching.pairs(12).tolist() == [0, 0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8]
    assert matching.sizes() == [3, 6, 9, 12]
    gone = torch.zeros(17, dtype=torch.bool)
    gone[[2, 3, 4, 5, 6, 8, 9, 10, 11]] = True  # alive: 0 -> 0, 1 -> 1, 2 -> 2
    assert matching.held(gone, ~gone).tolist() == []
    assert matching.unused(gone).tolist() == [14, 15, 16]


def test_what_stays_is_ordered_anew():
    layouts = (Layout((), 3, ()), Layout((3,), 3, (torch.arange(13, 17),)))
    matching = Matching(torch.arange(1, 13), layouts, {("w", 0): (), ("d", 0): (3,)}, {("v", 1): layouts[1]})
    gone = torch.zeros(17, dtype=torch.bool)
    gone[[1, 3, 5, 6, 9, 12]] = True  # of pairs 0 0 1 2 3 4 4 5 6 7 8 8 stay 0 2 4 5 7 8
    held = matching.held(gone, ~gone)
    gone[held] = False
    kept = matching.keep(gone)
    assert sorted(kept["w", 0].tolist()) == [u for u in range(12) if not gone[u + 1]]
    alive = matching.pairs(12)[kept["w", 0]]
    assert alive.tolist() == matching.pairs(kept["w", 0].numel()).tolist()
    order = shuffled(torch.arange(12), (3,))
    assert order[kept["d", 0]].tolist() == shuffled(kept["w", 0], (3,)).tolist()
    assert kept["v", 1].shape[0] == 3

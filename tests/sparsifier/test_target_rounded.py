"""With widths at multiples a target counts the network that is left then, and is met by it."""

import pytest
import torch

import gasl
from gasl.errors import InputError
from sparsifier.test_target import data, network, share, train


def trained(net, method, goal, round_to, steps=200):
    model = network(net)
    x, target = data(net)[0], gasl.Target(**goal, steps=steps)
    sparsifier = gasl.Sparsifier(model, method, x[:2], target=target, round_to=round_to)
    groups = sparsifier.param_groups()
    optimizer = torch.optim.Adam(groups, lr=0.02) if sparsifier.posterior else torch.optim.SGD(groups, lr=0.05)
    train(model, sparsifier, optimizer, 2 * steps, net)
    return model, sparsifier, x


@pytest.mark.parametrize(
    ("net", "method", "kind", "value", "round_to"),
    [
        ("mlp", gasl.GASL(), "params", 0.35, 8),
        ("mlp", gasl.GroupLasso(scope="filter", strength=1.0), "sparsity", 0.6, 4),
        ("conv", gasl.GASL(strength=1.0), "macs", 0.4, 4),
        ("mlp", gasl.DepGraphNorm(), "macs", 0.4, 8),
        ("mlp", gasl.L0(strength=1e-4), "sparsity", 0.5, 4),
    ],
)
def test_it_is_met_at_multiples(net, method, kind, value, round_to):
    model, sparsifier, x = trained(net, method, {kind: value}, round_to)
    small = sparsifier.finish()
    widths = sparsifier.removal.widths.values()
    assert all(after % round_to == 0 or after == size for size, after in widths)
    assert any(after < size for size, after in widths)
    wanted = 1 - value if kind == "sparsity" else value
    found = share("units" if kind == "sparsity" else kind, sparsifier.removal, model, small, x)
    # With one multiple more on an axis of a units, no weight count grows by more than (1 + round_to / a)^2.
    most = max((1 + round_to / after) ** 2 for size, after in widths if after < size)
    assert found <= wanted + 1e-9
    assert sparsifier.reached.left == pytest.approx(found)
    assert found >= wanted - 0.01 or found * most > wanted


def test_units_that_fill_a_width_up_live():
    """Between two multiples nothing is gained by a death."""
    _, sparsifier, _ = trained("mlp", gasl.GASL(), {"params": 0.35}, 8)
    alive = {axis.name: axis.alive for axis in sparsifier.sparsity()}
    sparsifier.finish()
    assert alive == {name: after for name, (_, after) in sparsifier.removal.widths.items()}


def test_axes_by_name_go_to_the_multiple_below():
    _, sparsifier, _ = trained("mlp", gasl.GroupLasso(scope="filter"), {"sparsity": {"0": 0.7, "2": 0.4}}, 8)
    sparsifier.finish()
    assert {name: after for name, (_, after) in sparsifier.removal.widths.items()} == {"0.in": 20, "0": 8, "2": 16}


def test_what_no_multiple_meets_is_refused():
    for goal, message in (
        ({"params": 0.02}, "with 24 units left, the fewest that the method, round_to, min_units and protect allow"),
        ({"sparsity": {"0": 0.9}}, "0 keeps 8 units, not 4"),
    ):
        gasl.Sparsifier(network("mlp"), gasl.GASL(), torch.zeros(2, 20), target=gasl.Target(**goal))
        with pytest.raises(InputError, match=message):
            gasl.Sparsifier(network("mlp"), gasl.GASL(), torch.zeros(2, 20), target=gasl.Target(**goal), round_to=8)
    with pytest.raises(InputError, match="round_to must be a whole number"):
        gasl.Sparsifier(network("mlp"), gasl.GASL(), torch.zeros(2, 20), round_to=0)


def test_without_a_target_too():
    model = network("mlp")
    with torch.no_grad():
        model[0].weight[:11] = 0
        model[0].bias[:11] = 0
    sparsifier = gasl.Sparsifier(model, gasl.GASL(strength=0.0), torch.zeros(2, 20), round_to=8)
    assert sparsifier.finish()[0].out_features == 32

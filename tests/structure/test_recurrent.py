"""Recurrent layers: the state is a width, its gates go with it."""

import pytest
import torch
from torch import nn

from gasl.removal import shrink
from gasl.structure.trace import trace
from removal.halving import halved, removable
from structure.nets import Fn, axes_of, groups_of

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


def steps(batch):
    return torch.randn(batch, 6, 4)


def network(kind, size=5, **options):
    """A linear layer, the recurrence, a linear layer."""

    def make():
        layer = kind(6, size, batch_first=True, **options)
        width = (options.get("proj_size") or size) * (2 if options.get("bidirectional") else 1)
        return Fn(lambda m, x: m.b(m.rnn(m.a(x))[0]), a=nn.Linear(4, 6), rnn=layer, b=nn.Linear(width, 2))

    return make


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize(
    "options",
    [{}, {"bias": False}, {"num_layers": 2}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True}],
)
def test_the_state_is_one_width_in_all_layers_and_directions(kind, options):
    make = network(kind, **options)
    axes = removable(make, steps)
    assert sorted(axes.values()) == [5, 6]
    assert axes_of(make(), steps(1)) == axes
    small, removal = halved(make(), steps)
    assert (small.rnn.input_size, small.rnn.hidden_size) == (3, 3)
    rows = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[kind]
    assert small.rnn.weight_ih_l0.shape == (3 * rows, 3)
    assert small.rnn.weight_hh_l0.shape == (3 * rows, 3)
    again = copy_of(small)
    again.load_state_dict(small.state_dict())
    assert removal.max_rel_diff <= 1e-10


def copy_of(model):
    """The same network built small."""
    rnn = model.rnn
    other = type(rnn)(
        rnn.input_size, rnn.hidden_size, rnn.num_layers, bias=rnn.bias, batch_first=True,
        bidirectional=rnn.bidirectional,
    )  # fmt: skip
    return Fn(model.function, a=nn.Linear(4, 3), rnn=other, b=nn.Linear(model.b.in_features, 2)).double()


def test_a_unit_of_the_state_is_a_row_of_every_gate():
    axes = trace(network(nn.LSTM)(), steps(2)).axes
    state = next(a for a in axes if a.size == 5)
    units = {f"{m.tensor}[{m.dim}]": m.units.tolist() for m in state.members}
    assert units["rnn.weight_ih_l0[0]"] == units["rnn.bias_hh_l0[0]"] == [*range(5)] * 4
    assert units["rnn.weight_hh_l0[0]"] == [*range(5)] * 4
    assert units["rnn.weight_hh_l0[1]"] == units["b.weight[1]"] == [*range(5)]


def test_a_projection_is_a_width_of_its_own():
    for layers in (1, 2):
        make = network(nn.LSTM, size=8, proj_size=3, num_layers=layers)
        assert sorted(removable(make, steps, damages=()).values()) == [3, 6, 8]
        small, _ = halved(make(), steps)
        assert (small.rnn.hidden_size, small.rnn.proj_size) == (4, 2)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_single_precision_finds_the_same(kind):
    model = network(kind)()
    state = next(a for a in trace(model, steps(2)).axes if a.size == 5)
    assert axes_of(model, steps(2)) == axes_of(network(kind)().double(), steps(2).double())
    state.zero_([1, 3])
    small, removal = shrink(model, steps(2), gather=False)
    assert small.rnn.hidden_size == 3
    assert removal.max_rel_diff <= 1e-5
    x = steps(3)
    with torch.no_grad():
        torch.testing.assert_close(small(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
@pytest.mark.parametrize("given", [False, True])
def test_cells(kind, given):
    def forward(m, x):
        state = None
        if given:
            zero = torch.zeros(len(x), m.cell.hidden_size).to(x)
            state = (zero, zero) if kind is nn.LSTMCell else zero
        for t in range(x.shape[1]):
            state = m.cell(m.a(x[:, t]), state)
        return m.b(state[0] if isinstance(state, tuple) else state)

    def make():
        return Fn(forward, a=nn.Linear(4, 6), cell=kind(6, 5), b=nn.Linear(5, 2))

    assert sorted(removable(make, steps).values()) == [5, 6]
    small, _ = halved(make(), steps)
    assert (small.cell.input_size, small.cell.hidden_size) == (3, 3)


def test_a_state_that_is_given_follows_the_layers_number():
    def forward(m, x):
        zero = torch.zeros(1, len(x), m.rnn.hidden_size).to(x)
        return m.b(m.rnn(m.a(x), (zero, zero))[1][0][-1])

    def make():
        return Fn(forward, a=nn.Linear(4, 6), rnn=nn.LSTM(6, 5, batch_first=True), b=nn.Linear(5, 2))

    assert sorted(removable(make, steps).values()) == [5, 6]


def test_time_in_front():
    def make():
        return Fn(lambda m, x: m.b(m.rnn(m.a(x))[0][-1]), a=nn.Linear(4, 6), rnn=nn.GRU(6, 5), b=nn.Linear(5, 2))

    assert sorted(removable(make, lambda batch: torch.randn(6, batch, 4)).values()) == [5, 6]


def test_a_recurrence_by_hand():
    def forward(m, x):
        state = torch.zeros(len(x), m.size).to(x)
        for t in range(x.shape[1]):
            state = torch.tanh(m.enter(x[:, t]) + m.loop(state))
        return m.leave(state)

    def make():
        model = Fn(forward, enter=nn.Linear(4, 6), loop=nn.Linear(6, 6), leave=nn.Linear(6, 2))
        model.size = 6
        return model

    assert removable(make, steps) == {"enter": 6}
    assert {"loop.weight[0]", "loop.weight[1]"} < groups_of(make(), steps(2))["enter"]
    assert halved(make(), steps)[1].plan.attributes == {"size": 3}

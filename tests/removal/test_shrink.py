"""What the remover leaves as it was, and which networks it takes."""

import copy

import torch
from torch import nn

from gasl.removal import shrink
from removal.zeros import assert_same, convs, ignore, kill
from structure.nets import Fn


def test_names_order_dtype_flags_and_the_original():
    model, x = convs()
    model[0].weight.requires_grad_(False)
    model(x).sum().backward()
    before = copy.deepcopy(model.state_dict())
    small, _ = shrink(model, x)
    assert [n for n, _ in small.named_parameters()] == [n for n, _ in model.named_parameters()]
    assert [p.requires_grad for p in small.parameters()] == [p.requires_grad for p in model.parameters()]
    assert {p.dtype for p in small.parameters()} == {torch.float64}
    assert all(p.grad is None for p in small.parameters())
    assert model[2].weight.grad is not None
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert (small[0].out_channels, small[2].in_channels) == (3, 3)
    assert repr(small[0]) == "Conv2d(3, 3, kernel_size=(3, 3), stride=(1, 1))"


def test_copies_compiled_models_and_held_activations_are_taken():
    class Holding(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = kill(nn.Linear(3, 4), 1), nn.Linear(4, 2)

        def forward(self, x):
            self.last = self.a(x)
            return self.b(self.last)

    model, x = Holding().double(), torch.randn(2, 3).double()
    small, removal = shrink(torch.compile(copy.deepcopy(model), backend="eager"), x)
    assert isinstance(small, Holding)
    assert removal.widths["a"] == (4, 3)
    assert_same(small, model, x)


def test_compiled_parts_stay_compiled_parts():
    model = nn.Sequential(torch.compile(kill(nn.Linear(3, 4), 1), backend="eager"), nn.Linear(4, 2)).double()
    x = torch.randn(2, 3).double()
    model(x)
    small, removal = shrink(model, x)
    assert removal.widths["0._orig_mod"] == (4, 3)
    assert type(small[0]) is type(model[0])
    assert_same(small, model, x)


def test_overwritten_inputs_and_dropout_do_not_disturb_the_check():
    model = nn.Sequential(nn.ReLU(inplace=True), kill(nn.Linear(3, 4), 1), nn.Dropout(0.9), nn.Linear(4, 2))
    x = torch.randn(2, 3)
    kept = x.clone()
    _, removal = shrink(model, x)
    assert removal.widths["1"] == (4, 3)
    assert torch.equal(x, kept)


def test_tied_weights_stay_tied():
    model = Fn(
        lambda m, x: m.d(m.b(torch.relu(m.a(m.c(x))))),
        a=nn.Linear(4, 4),
        b=nn.Linear(4, 4),
        c=nn.Linear(3, 4),
        d=nn.Linear(4, 2),
    ).double()
    model.b.weight = model.a.weight
    for layer in (model.a, model.b, model.c):
        kill(layer, 1, bias=True)
    ignore(model.d, 1)
    ignore(model.a, 1)
    x = torch.randn(2, 3).double()
    small, removal = shrink(model, x)
    assert removal.widths == {"c.in": (3, 3), "c": (4, 3)}
    assert small.a.weight is small.b.weight
    assert_same(small, model, x)


def test_recurrent_layers_read_fewer_features():
    model = Fn(
        lambda m, x: m.b(m.rnn(m.a(x))[0]), a=kill(nn.Linear(3, 4), 1, bias=True), rnn=nn.LSTM(4, 5), b=nn.Linear(5, 2)
    ).double()
    x = torch.randn(2, 6, 3).double()
    small, removal = shrink(model, x)
    assert_same(small, model, x)
    assert (small.rnn.input_size, removal.widths.get("a")) in [(3, (4, 3)), (4, None)]


def test_integer_inputs():
    model = nn.Sequential(
        nn.Embedding(9, 4), nn.Flatten(), kill(nn.Linear(12, 5), 0, 4), nn.ReLU(), nn.Linear(5, 2)
    ).double()
    x = torch.randint(9, (6, 3))
    small, removal = shrink(model, x)
    assert removal.widths["2"] == (5, 3)
    assert_same(small, model, x)


def test_several_inputs_and_outputs():
    model = Fn(
        lambda m, x, y: {"c": m.c(h := torch.relu(m.a(x) + m.b(y))), "d": [m.d(h)]},
        a=kill(nn.Linear(3, 4), 0, 2), b=kill(nn.Linear(2, 4), 2), c=nn.Linear(4, 2), d=nn.Linear(4, 1),
    ).double()  # fmt: skip
    x, y = torch.randn(2, 3).double(), torch.randn(2, 2).double()
    small, removal = shrink(model, (x, y))
    assert removal.widths["a"] == (4, 3)
    torch.testing.assert_close(small(x, y), model(x, y), rtol=1e-10, atol=1e-12)


def test_raw_parameters_of_one_module_have_axes_of_their_own():
    model = Fn(
        lambda m, x: torch.relu(torch.relu(x @ m.u.t()) @ m.v.t()) @ m.w.t(),
        u=nn.Parameter(torch.randn(5, 3)), v=nn.Parameter(torch.randn(4, 5)), w=nn.Parameter(torch.randn(2, 4)),
    ).double()  # fmt: skip
    with torch.no_grad():
        model.u[:2] = model.v[3] = 0
    _, removal = shrink(model, torch.randn(2, 3).double())
    assert removal.widths == {"u": (5, 3), "v": (4, 3)}


def test_the_report_says_own_and_propagated():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    kill(model[2], 0, 1)
    ignore(model[2], 3)
    with torch.no_grad():
        model[2].weight[2:, 0] = 0  # read by dead neurons alone
        model[2].weight[:2, 0] = 0
    _, removal = shrink(model, torch.randn(2, 3).double())
    entry = {a.name: a for a in removal.axes}["0"]
    assert (entry.size, entry.alive) == (4, 2)
    assert entry.sparsity_propagated == 50
    lines = str(removal).splitlines()
    assert lines[0].split() == ["axis", "before", "after", "own", "sparsity", "propagated"]
    assert lines[-1].startswith("largest relative output difference ")

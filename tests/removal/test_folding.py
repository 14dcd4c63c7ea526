"""Constants: what can be folded into the next bias goes, what cannot stays; and the last unit of a tensor."""

import pytest
import torch
from torch import nn

from gasl.models import ResNet18
from gasl.removal import shrink
from gasl.structure.trace import trace
from removal.zeros import assert_same, convs, ignore, kill
from structure.nets import Fn, image


def test_a_constant_in_front_of_an_unpadded_convolution_is_folded_into_its_bias():
    model, x = convs()
    small, removal = shrink(model, x)
    assert removal.widths["0"] == (4, 3)
    assert [f.bias for f in removal.plan.folds] == ["2.bias"]
    assert removal.plan.folds[0].value.tolist() == pytest.approx([0.7])
    assert_same(small, model, x)


def test_a_layer_without_bias_is_given_one():
    model, x = convs(second_bias=False)
    small, removal = shrink(model.requires_grad_(False), x)
    assert removal.widths["0"] == (4, 3)
    assert small[2].bias is not None
    assert not small[2].bias.requires_grad
    assert model[2].bias is None
    assert_same(small, model, x)


def test_a_functional_layer_without_bias_keeps_the_constant():
    model = Fn(lambda m, x: torch.relu(m.a(x)) @ m.w.t(), a=kill(nn.Linear(3, 4), 1), w=nn.Parameter(torch.randn(2, 4)))
    nn.init.ones_(model.a.bias)
    assert shrink(model, torch.randn(2, 3))[1].widths["a"] == (4, 4)
    nn.init.zeros_(model.a.bias)
    assert shrink(model, torch.randn(2, 3))[1].widths["a"] == (4, 3)


def test_a_constant_in_front_of_a_padded_convolution_stays_unless_it_is_zero():
    model, x = convs(padding=1)
    assert shrink(model, x)[1].widths["0"] == (4, 4)
    nn.init.constant_(model[0].bias, -0.7)  # behind the ReLU: zero
    small, removal = shrink(model, x)
    assert removal.widths["0"] == (4, 3)
    assert_same(small, model, x)


def test_one_padded_reader_among_several_keeps_the_constant_unless_it_ignores_it():
    model = Fn(
        lambda m, x: m.b(h := m.a(x)).mean((2, 3)) + m.c(h).mean((2, 3)),
        a=kill(nn.Conv2d(3, 4, 3), 2), b=nn.Conv2d(4, 2, 1), c=nn.Conv2d(4, 2, 3, padding=1),
    ).double()  # fmt: skip
    x = image().double()
    assert shrink(model, x)[1].widths["a"] == (4, 4)
    ignore(model.c, 2)
    small, removal = shrink(model, x)
    assert removal.widths["a"] == (4, 3)
    assert_same(small, model, x)


@pytest.mark.parametrize("bias", [True, False])
def test_constants_behind_a_flatten_and_a_pool(bias):
    model = nn.Sequential(
        kill(nn.Conv2d(3, 4, 3), 0, 3),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 5, bias=bias),
        nn.Linear(5, 2),
    ).double()
    x = image().double()
    small, removal = shrink(model, x)
    assert removal.widths["0"] == (4, 2)
    assert small[4].weight.shape == (5, 18)
    assert_same(small, model, x)


def test_a_chain_of_constants_is_folded_link_by_link():
    model = nn.Sequential(
        kill(nn.Linear(3, 4), 0, 1),
        nn.Sigmoid(),
        nn.Linear(4, 3),
        nn.Sigmoid(),
        nn.Linear(3, 3, bias=False),
        nn.Linear(3, 2),
    ).double()
    ignore(model[2], 2, 3)
    x = torch.randn(5, 3).double()
    small, removal = shrink(model, x)
    assert removal.widths == {"0.in": (3, 1), "0": (4, 1), "2": (3, 1), "4": (3, 1)}  # the whole network is a constant
    assert_same(small, model, x)
    assert_same(small, model, 9 * torch.randn(5, 3).double())


def test_a_zero_norm_scale_makes_a_constant_and_a_shift_decides():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1), nn.Conv2d(2, 2, 1)
    ).double().eval()  # fmt: skip
    with torch.no_grad():
        model[1].weight[:] = torch.tensor([1.0, 0.0, 0.0, 0.0])
        model[1].bias[:] = torch.tensor([0.3, 0.0, 0.4, -0.4])
    x = image().double()
    small, removal = shrink(model, x)
    assert removal.widths["0"] == (4, 2)  # 1 and 3 emit zero; 2 emits 0.4 into a padded layer
    assert_same(small, model, x)


def test_a_gated_filter_does_not_keep_what_it_reads():
    model = (
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1))
        .double()
        .eval()
    )
    with torch.no_grad():
        model[2].weight[:] = 0
        model[2].weight[0, 1] = model[2].weight[1, 2] = model[2].weight[2, 3] = 1
        model[3].weight[1] = 0
    _, removal = shrink(model, image().double())
    assert removal.widths == {"0": (4, 2), "2": (3, 2)}


def test_the_last_unit_keeps_its_value_where_it_is_read():

    model = nn.Sequential(
        kill(nn.Conv2d(3, 2, 1), 0, 1),
        nn.Conv2d(2, 2, 3, padding=1),
        nn.Conv2d(2, 2, 3, bias=False),
        nn.Conv2d(2, 2, 1),
    ).double()
    x = image(size=3).double()
    small, removal = shrink(model, x)
    assert removal.max_rel_diff <= 1e-10
    assert_same(small, model, x)


def test_every_branch_of_a_concat_keeps_a_unit():
    model = Fn(
        lambda m, x: m.d(torch.cat([m.a(x), m.b(x)], 1) + m.c(x)),
        a=kill(nn.Conv2d(3, 2, 1), 0, 1),
        b=nn.Conv2d(3, 2, 1),
        c=kill(nn.Conv2d(3, 4, 1), 0, 1),
        d=nn.Conv2d(4, 2, 1),
    ).double()
    x = image().double()
    small, removal = shrink(model, x)
    assert removal.widths["a"] == (4, 3)
    assert small.a.weight.shape[0] == 1
    assert_same(small, model, x)


@pytest.mark.parametrize("coupled", [True, False])
def test_residual_units_go_when_all_their_writers_are_dead(coupled):
    torch.manual_seed(1)
    model = ResNet18(width=0.125).eval().double()
    structure = trace(model, image(size=32).double())
    tensors = dict(model.named_parameters())
    with torch.no_grad():
        for axis in structure.axes:
            dead = torch.arange(0, axis.size, 3)
            for m in axis.members:
                if m.role in (("producer", "bias", "norm", "consumer") if coupled else ("producer", "norm")):
                    tensors[m.tensor].index_fill_(m.dim, dead, 0.0)
    small, removal = shrink(model, image(size=32).double())
    assert all(after == before - len(range(0, before, 3)) for before, after in removal.widths.values())
    assert_same(small, model, image(3, size=32).double())
    assert sum(p.numel() for p in small.parameters()) < 0.5 * sum(p.numel() for p in model.parameters())


def test_what_was_coupled_and_exactly_zero_is_lossless_in_training_mode_too():
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(144, 3),
    ).double()
    kill(model[0], 1, 2, bias=True)
    kill(model[3], 0, bias=True)
    with torch.no_grad():
        for norm, dead in ((model[1], [1, 2]), (model[4], [0])):
            norm.weight[dead] = norm.bias[dead] = 0
    x = image(5).double()
    small, removal = shrink(model, x)
    assert removal.widths["0"] == (6, 4)
    assert small.training
    assert model.training
    for _ in range(3):
        assert_same(small, model, x)
    kept = removal.plan.keep["1.running_var", 0]
    torch.testing.assert_close(small[1].running_var, model[1].running_var[kept])


# The examples below are zeros: what they would show as a constant is none.


def test_what_the_input_scales_is_no_constant():
    model = Fn(lambda m, x: m.b(m.a(x) * x.cumsum(1)[:, :1]), a=kill(nn.Linear(3, 4), 1), b=nn.Linear(4, 2)).double()
    assert shrink(model, torch.zeros(2, 3).double())[1].widths["a"] == (4, 4)


def test_what_a_protected_unit_is_made_of_besides_is_no_constant():
    model = Fn(
        lambda m, x: m.c(m.b(torch.addmm(x.cumsum(1), x, m.w.t()))),
        w=nn.Parameter(torch.zeros(4, 4)), b=nn.Linear(4, 3), c=nn.Linear(3, 2),
    ).double()  # fmt: skip
    assert shrink(model, torch.zeros(2, 4).double())[1].widths["b"] == (3, 3)


def test_a_layer_that_is_called_twice_takes_up_no_constant():
    model = Fn(
        lambda m, x: m.c(m.b(m.a(x)).sigmoid() + m.b(m.d(x))),
        a=kill(nn.Linear(3, 4), 1), d=kill(nn.Linear(3, 4), 1), b=nn.Linear(4, 4), c=nn.Linear(4, 2),
    ).double()  # fmt: skip
    x = torch.randn(2, 3).double()
    assert shrink(model, x)[1].widths["a"] == (4, 4)
    model.a.bias.data[1] = model.d.bias.data[1] = 0
    assert shrink(model, x)[1].widths["a"] == (4, 3)


def test_what_nobody_reads_is_not_folded():
    model = nn.Sequential(kill(nn.Linear(3, 4), 1), ignore(nn.Linear(4, 3, bias=False), 1), nn.Linear(3, 2))
    small, removal = shrink(model, torch.randn(2, 3))
    assert removal.widths["0"] == (4, 3)
    assert small[1].bias is None
    assert removal.plan.folds == ()


def test_a_constant_that_must_stay_does_not_keep_what_feeds_it():
    layers = nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 3, padding=1)
    model = nn.Sequential(*layers).double().eval()
    with torch.no_grad():
        model[2].weight.zero_()
        model[2].weight[0, 1] = model[2].weight[1, 2] = model[2].weight[2, 3] = 1
        model[3].weight[1] = 0
        model[3].bias[1] = 0.4
    x = image().double()
    small, removal = shrink(model, x)
    assert removal.widths == {"0": (4, 2), "2": (3, 3)}
    assert_same(small, model, x)

"""The remover as users meet it: exact, careful, and plain about what it cannot do."""

import copy

import pytest
import torch
from torch import nn

from gasl.errors import InputError, RemovalError
from gasl.models import LeNet5, ResNet18
from gasl.removal import GatherLinear, shrink
from gasl.structure.trace import trace
from structure.nets import Fn, image


def kill(layer, *rows, bias=False):
    with torch.no_grad():
        layer.weight[list(rows)] = 0
        if bias and layer.bias is not None:
            layer.bias[list(rows)] = 0
    return layer


def ignore(layer, *columns):
    with torch.no_grad():
        layer.weight[:, list(columns)] = 0
    return layer


def assert_same(small, model, *inputs):
    torch.testing.assert_close(small(*inputs), model(*inputs), rtol=1e-10, atol=1e-12)


def convs(padding=0, bias=True, second_bias=True):
    """A dead filter 1 (of 4) in front of a convolution and a linear layer."""
    torch.manual_seed(0)
    model = nn.Sequential(
        kill(nn.Conv2d(3, 4, 3, bias=bias), 1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=padding, bias=second_bias),
        nn.Flatten(), nn.Linear(3 * (4 + 2 * padding) ** 2, 2),
    )  # fmt: skip
    if bias:
        nn.init.constant_(model[0].bias, 0.7)
    return model.double(), image().double()


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


# -- gathering ---------------------------------------------------------------------------------------------------


def lenet():
    torch.manual_seed(0)
    model = LeNet5().double()
    kill(model.conv1, 0, 5, 7, bias=True)
    kill(model.conv2, *range(25), bias=True)
    ignore(model.fc1, *range(500, 640, 3), *range(3))
    kill(model.fc1, *range(100, 300))
    return model, torch.randn(2, 1, 28, 28).double()


def test_single_features_are_gathered():
    model, x = lenet()
    small, removal = shrink(model, x)
    assert removal.widths == {"conv1": (20, 17), "conv2": (50, 25), "fc1.in": (800, 353), "fc1": (500, 300)}
    assert isinstance(small.fc1, GatherLinear)
    assert list(small.state_dict()) == [*list(model.state_dict())[:6], "fc1.index", *list(model.state_dict())[6:]]
    assert_same(small, model, x)


def test_without_gathering_whole_maps_go():
    model, x = lenet()
    small, removal = shrink(model, x, gather=False)
    assert removal.widths["fc1.in"] == (800, 400)
    assert type(small.fc1) is nn.Linear
    assert_same(small, model, x)


def test_a_gathered_network_shrinks_again():
    model, x = lenet()
    small, _ = shrink(model, x)
    kill(small.conv2, 3, 4, bias=True)
    ignore(small.fc1, 7, 11, 351)
    for gather in (True, False):
        smaller, removal = shrink(small, x, gather=gather)
        assert removal.widths["conv2"] == (25, 23)
        assert_same(smaller, small, x)
    kill(smaller.fc1, 0)
    assert_same(shrink(smaller, x)[0], smaller, x)


def test_one_feature_of_each_map_can_be_left_and_shrunk_again():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Flatten(), nn.Linear(12, 4), nn.Linear(4, 2)).double()
    ignore(model[2], *(set(range(12)) - {0, 5, 10}))
    x = image(size=2).double()
    small, _ = shrink(model, x)
    assert small[2].index.tolist() == [0, 5, 10]
    kill(small[0], 1, bias=True)
    smaller, removal = shrink(small, x)
    assert (smaller[2].index.tolist(), removal.widths["2.in"]) == ([0, 6], (3, 2))
    assert_same(smaller, small, x)


def test_gathered_features_on_three_dimensions_shrink_again():
    model = nn.Sequential(
        nn.Linear(3, 4), nn.ReLU(), GatherLinear(torch.tensor([0, 2, 3]), 5), nn.Linear(5, 2)
    ).double()
    x = torch.randn(2, 6, 3).double()
    kill(model[0], 2, bias=True)
    small, removal = shrink(model, x)
    assert removal.widths["0"] == (4, 2)  # 1 is not gathered by anyone
    assert small[2].index.tolist() == [0, 1]
    assert_same(small, model, x)


def test_a_linear_layer_that_is_the_whole_model_gathers():
    model = ignore(nn.Linear(5, 2), 1, 2).double()
    x = torch.randn(3, 5).double()
    small, _ = shrink(model, x)
    assert isinstance(small, GatherLinear)
    assert_same(small, model, x)
    assert type(model) is nn.Linear


def test_hooks_aliases_and_attributes_of_a_gathering_layer_stay():
    layer = ignore(nn.Linear(12, 4), 0, 3).double()
    calls = []
    layer.register_forward_hook(lambda *_: calls.append(1))
    layer.note = "mine"
    model = nn.Sequential(nn.Conv2d(3, 3, 1).double(), nn.Flatten(), layer, nn.Linear(4, 2).double())
    model.alias = nn.ModuleList([layer])
    model.forward = lambda x: model[3](model[2](model[1](model[0](x))))
    plain = Fn(
        lambda m, x: m.body[3](m.again[0](m.body[1](m.body[0](x)))), body=nn.Sequential(*model), again=model.alias
    )
    x = image(size=2).double()
    small, _ = shrink(plain, x)
    assert small.body[2] is small.again[0]
    assert small.again[0].note == "mine"
    calls.clear()
    small(x)
    assert calls


# -- protecting, refusing ----------------------------------------------------------------------------------------


def test_protected_axes_stay_whole():
    model, x = lenet()
    small, removal = shrink(model, x, protect=["conv2", "fc1.in"])
    assert removal.widths["conv2"] == (50, 50)
    assert removal.widths["fc1.in"] == (800, 800)
    assert removal.widths["fc1"] == (500, 300)
    assert_same(small, model, x)


def test_protect_takes_names_of_axes():
    model, x = lenet()
    with pytest.raises(InputError, match=r"unknown axis 'conv'; did you mean 'conv[12]'"):
        shrink(model, x, protect=["conv"])
    with pytest.raises(InputError, match=r"write protect=\['conv1'\]"):
        shrink(model, x, protect="conv1")


def test_nothing_dead_nothing_removed():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    small, removal = shrink(model, torch.randn(2, 3))
    assert str(removal.plan) == "nothing to remove"
    assert all(torch.equal(a, b) for a, b in zip(small.parameters(), model.parameters(), strict=True))
    assert small is not model


def test_a_network_without_axes_says_why():
    with pytest.raises(InputError, match=r"no unit that could be removed.*0: model output"):
        shrink(nn.Sequential(nn.Conv2d(3, 2, 1)), image())
    with pytest.raises(InputError, match="no convolution or linear layer ran"):
        shrink(nn.Sequential(nn.ReLU()), image())


class Numbers(nn.Module):
    """Holds the width of conv2 as a number."""

    def __init__(self, view):
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 4, 3, padding=1), nn.Linear(64, 3)
        self.view = view

    def forward(self, x):
        return self.fc(self.view(self.conv2(self.conv1(x))).flatten(1))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.view(-1, 4, 4, 4),
        lambda x: x.reshape(x.shape[0], 64),
        lambda x: x / (x.shape[1] - 3),
        lambda x: x * (1 if x.shape[1] == 4 else 2),
    ],
)
def test_a_forward_that_holds_a_width_as_a_number_is_refused_by_name(view):
    model = Numbers(view)
    kill(model.conv1, 1, bias=True)
    kill(model.conv2, 0, 2, bias=True)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RemovalError, match=r"removing units of 'conv2' would change.*protect=\['conv2'\]"):
        shrink(model, image(size=4))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    _, removal = shrink(model, image(size=4), protect=["conv2"])
    assert removal.widths["conv1"] == (6, 5)


def test_a_difference_that_the_example_hides_shows_on_noise():
    model = Fn(
        lambda m, x: m.b(torch.relu(m.a(x)) * (1 + x.sum() * (m.a.weight.shape[0] - 4))),
        a=kill(nn.Linear(3, 4), 1),
        b=ignore(nn.Linear(4, 2), 1),
    )
    with pytest.raises(RemovalError, match="removing units of 'a'"):
        shrink(model, torch.zeros(2, 3))


# -- what stays as it was -----------------------------------------------------------------------------------------


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


# -- precision -----------------------------------------------------------------------------------------------------


class Chaos(nn.Module):
    """Deep enough that single precision alone exceeds 1e-5."""

    def __init__(self):
        super().__init__()
        self.a, self.b = kill(nn.Linear(64, 64), *range(0, 64, 3)), nn.Linear(64, 64)

    def forward(self, x):
        x = self.b(torch.relu(self.a(x)))
        for _ in range(9):
            x = torch.sin(3 * x)
        return x


def test_where_single_precision_is_too_coarse_a_float64_copy_decides():
    model = Chaos()
    x = torch.randn(8, 64)
    small, removal = shrink(model, x)
    with torch.no_grad():
        assert float((small(x) - model(x)).abs().max() / model(x).abs().max()) > 1e-5
    assert removal.max_rel_diff <= 1e-10
    assert removal.widths["a"] == (64, 42)
    assert small.a.weight.dtype is torch.float32


def test_a_wrong_removal_is_not_excused_by_precision():
    model = Fn(
        lambda m, x: m.b(torch.relu(m.a(x))) * (1 + 1e-4 * m.a.out_features),
        a=kill(nn.Linear(3, 4), 1),
        b=nn.Linear(4, 2),
    )
    with pytest.raises(RemovalError):
        shrink(model, torch.randn(2, 3))


def test_half_precision_networks_are_taken():
    model = nn.Sequential(kill(nn.Linear(3, 8), 1, 2), nn.ReLU(), nn.Linear(8, 2)).bfloat16()
    small, removal = shrink(model, torch.randn(4, 3).bfloat16())
    assert removal.widths["0"] == (8, 6)
    assert small[0].weight.dtype is torch.bfloat16

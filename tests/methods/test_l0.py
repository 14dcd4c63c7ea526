"""L0: its value by hand and against the authors' code, its gates, its floors, and the attention over it."""

import math

import pytest
import torch
from torch import nn

import gasl
from gasl.errors import InputError
from gasl.maths import hard_concrete_active, hard_concrete_mean, hard_concrete_sample, hard_concrete_test
from gasl.methods import L0, Attention, GroupLasso
from sparsifier.nets import batchnorm, examples, mlp, sgd, task, train

ALPHAS = torch.tensor([-3.0, -1.5, 0.0, 0.8473, 2.2], dtype=torch.float64)
SHUT = -math.log(11)  # where the paper's gate becomes 0


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).double()


def made(method, model=None, **options):
    model = net() if model is None else model
    x = torch.zeros(2, 4).double() if isinstance(model[0], nn.Linear) and model[0].in_features == 4 else examples(model)
    return gasl.Sparsifier(model, method, x, **options)


def set_alphas(sparsifier, axis="0", values=ALPHAS):
    with torch.no_grad():
        sparsifier.posterior.log_alpha(axis).copy_(values)


def only(axis, method, model=None):
    """With gates on one axis alone."""
    names = [a.name for a in gasl.trace(net() if model is None else model, torch.zeros(2, 4).double()).axes]
    return made(method, model, protect=[name for name in names if name != axis])


def test_the_value_by_hand():
    sparsifier = made(L0(strength=0.5, factors={"0": 3.0}, decay=0.2))
    set_alphas(sparsifier)
    set_alphas(sparsifier, "0.in", torch.zeros(4))
    first, second = (sparsifier.model[i]._parameters["weight"].detach() for i in (0, 2))
    value = 0.0
    for i in range(4):  # an input governs the weights that read it
        value += 1 / (1 + 11 ** (-2 / 3)) * (5 + 0.1 * sum(float(w) ** 2 for w in first[:, i]))
    for k, a in enumerate(ALPHAS.tolist()):
        p = 1 / (1 + math.exp(-(a + 2 / 3 * math.log(11))))
        value += p * (3.0 * 3 + 0.1 * sum(float(w) ** 2 for w in second[:, k]))
    assert sparsifier.penalty().item() == pytest.approx(0.5 * value, rel=1e-12)


def test_values_of_the_authors_code():
    # -regularization() of L0Dense(5, 3) and L0Conv2d(2, 5, 2), AMLab-Amsterdam/L0_regularization, with lamba=0.7 and
    # weight_decay=0.5, in single precision; biases 0; without the convolution's bias term, which has the wrong sign
    method = L0(strength=1.0, factors={"0": 0.7}, decay=0.5)
    sparsifier = only("0", method)
    set_alphas(sparsifier)
    with torch.no_grad():
        sparsifier.model[2]._parameters["weight"].copy_((torch.arange(15.0).view(5, 3) / 10 - 0.7).T)
    assert sparsifier.penalty().item() == pytest.approx(7.68225479, rel=1e-6)
    conv = nn.Sequential(nn.Conv2d(2, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(20, 3)).double()
    sparsifier = gasl.Sparsifier(conv, method, torch.zeros(2, 2, 3, 3).double(), protect=["3*"])
    set_alphas(sparsifier)
    with torch.no_grad():
        conv[0]._parameters["weight"].copy_(torch.arange(40.0).view(5, 2, 2, 2) / 20 - 1)
    assert sparsifier.penalty().item() == pytest.approx(21.31732235, rel=1e-6)


def test_training_and_test_mode_by_hand():
    sparsifier = only("0", L0(strength=1.0))
    set_alphas(sparsifier)
    model, x = sparsifier.model, torch.randn(6, 4).double()
    u = sparsifier.posterior.draws.once("0", ALPHAS, "uniform")

    def by_hand(z):
        hidden = (x @ model[0].weight.T + model[0].bias).relu() * z
        return hidden @ model[2]._parameters["weight"].T + model[2].bias

    torch.testing.assert_close(model(x), by_hand(hard_concrete_sample(ALPHAS, u)))
    model.eval()
    torch.testing.assert_close(model(x), by_hand(hard_concrete_test(ALPHAS)))
    torch.testing.assert_close(
        model(x), by_hand(torch.tensor([0.0, 0.118910, 0.5, 0.740001, 0.980299])), atol=1e-4, rtol=0
    )


def test_a_bias_is_gated_with_its_filter():
    conv = nn.Sequential(nn.Conv2d(2, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(20, 3)).double()
    sparsifier = gasl.Sparsifier(conv, L0(strength=1.0), torch.zeros(2, 2, 3, 3).double(), protect=["3*"])
    set_alphas(sparsifier)
    z = hard_concrete_sample(ALPHAS, sparsifier.posterior.draws.once("0", ALPHAS, "uniform"))
    torch.testing.assert_close(conv[0].bias, z * conv[0]._parameters["bias"])
    torch.testing.assert_close(conv[0].weight, z.view(5, 1, 1, 1) * conv[0]._parameters["weight"])


@pytest.mark.parametrize(("rule", "point"), [("paper", SHUT), ("median", 2 / 3 * SHUT)])
def test_a_unit_dies_where_its_gate_without_noise_is_zero(rule, point):
    sparsifier = only("0", L0(strength=1.0, test=rule))
    set_alphas(sparsifier, values=torch.tensor([point - 1e-3, point + 1e-3, 0.0, point - 1, 4.0]))
    assert [a.alive_own for a in sparsifier.sparsity() if a.name == "0"] == [3]
    small = sparsifier.finish()
    assert small[0].out_features == 3


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_start(rate):
    model = nn.Sequential(nn.Linear(4, 2000), nn.ReLU(), nn.Linear(2000, 3)).double()
    values = made(L0(strength=1.0, drop_rate=rate), model).posterior.log_alpha("0").detach()
    assert float(values.mean()) == pytest.approx(math.log((1 - rate) / rate), abs=2e-3)
    assert float(values.std()) == pytest.approx(0.01, rel=0.1)


def test_log_alpha_stays_within_log_100():
    sparsifier = only("0", L0(strength=1.0))
    optimizer = sgd(sparsifier)
    train_once(sparsifier, optimizer)
    set_alphas(sparsifier, values=torch.tensor([-9.0, 9.0, 0.0, 1.0, 2.0]))
    train_once(sparsifier, optimizer)
    low, high, *_ = sparsifier.posterior.log_alpha("0").tolist()
    assert (low, high) == pytest.approx((-math.log(100), math.log(100)))


def train_once(sparsifier, optimizer):
    optimizer.zero_grad()
    (sparsifier.model(torch.ones(2, 4).double()).square().mean() + sparsifier.penalty()).backward()
    optimizer.step()
    sparsifier.step(optimizer)


def test_the_decay_may_leave_the_gates_alone():
    gradients = {}
    for name, options in [("none", {}), ("with", {"decay": 0.3}), ("without", {"decay": 0.3, "detach_decay": True})]:
        sparsifier = only("0", L0(strength=1.0, **options))
        set_alphas(sparsifier)
        weight = sparsifier.model[2]._parameters["weight"]
        asked = [sparsifier.posterior.log_alpha("0"), weight]
        gradients[name] = torch.autograd.grad(sparsifier.penalty(), asked, allow_unused=True)
    assert torch.equal(gradients["none"][0], gradients["without"][0])
    assert (gradients["with"][0] > gradients["none"][0]).all()
    assert gradients["none"][1] is None
    wanted = 0.3 * hard_concrete_active(ALPHAS) * weight.detach()
    torch.testing.assert_close(gradients["with"][1], wanted)
    torch.testing.assert_close(gradients["without"][1], wanted)


def test_of_an_axis_whose_gates_all_shut_the_best_stay_with_their_mean_gate():
    sparsifier = made(L0(strength=1.0), min_units={"0": 2})
    values = torch.tensor([-4.0, -3.0, -4.5, -2.5, -3.5], dtype=torch.float64)
    set_alphas(sparsifier, values=values)
    gates = sparsifier.posterior.test([site.name for site in sparsifier.posterior.units].index("0"))
    assert (gates > 0).tolist() == [False, True, False, True, False]
    torch.testing.assert_close(gates[[1, 3]], hard_concrete_mean(values[[1, 3]]))


def test_the_penalty_grows_over_the_warmup():
    sparsifier = only("0", L0(strength=2.0, delay=1, warmup=2))
    set_alphas(sparsifier)
    whole = 2.0 * 3 * hard_concrete_active(ALPHAS).sum()
    for share in (0.0, 0.0, 0.5, 1.0, 1.0):
        assert sparsifier.penalty().item() == pytest.approx(share * float(whole))
        sparsifier.state.step += 1


def test_single_weights():
    sparsifier = made(L0(strength=0.5, granularity="weight", decay=0.2, factors={"2.weight": 2.0}))
    model, posterior = sparsifier.model, sparsifier.posterior
    first, second = (model[i]._parameters["weight"] for i in (0, 2))
    assert set(posterior.places) == {"0.weight", "2.weight"}
    values = torch.linspace(-4, 4, 15, dtype=torch.float64).view(3, 5)
    set_alphas(sparsifier, "2.weight", values)
    p, q = hard_concrete_active(posterior.log_alpha("0.weight")), hard_concrete_active(values)
    wanted = 0.5 * ((p * (1 + 0.1 * first**2)).sum() + (q * (2 + 0.1 * second**2)).sum())
    torch.testing.assert_close(sparsifier.penalty(), wanted)
    u = posterior.draws.once("2.weight", values, "uniform")
    torch.testing.assert_close(model[2].weight, second * hard_concrete_sample(values, u))
    model.eval()
    torch.testing.assert_close(model[2].weight, second * hard_concrete_test(values))
    assert int((model[2].weight == 0).sum()) == int((values <= SHUT).sum()) == 3


def test_of_single_weights_one_stays_in_each_tensor():
    sparsifier = made(L0(strength=0.5, granularity="weight"))
    values = torch.linspace(-4.5, -3, 15, dtype=torch.float64).view(3, 5)
    set_alphas(sparsifier, "2.weight", values)
    sparsifier.model.eval()
    weight, raw = sparsifier.model[2].weight, sparsifier.model[2]._parameters["weight"]
    assert weight.count_nonzero() == 1
    torch.testing.assert_close(weight[2, 4], raw[2, 4] * hard_concrete_mean(values[2, 4]))


@pytest.mark.parametrize("granularity", ["unit", "weight"])
@pytest.mark.parametrize("build", [mlp, batchnorm])
def test_gates_shut_that_stay_open_at_strength_zero(build, granularity):
    counts = []
    for strength in (0.0, 0.02):
        model = build().double()
        method = L0(strength=strength, granularity=granularity, drop_rate=0.2)
        sparsifier = gasl.Sparsifier(model, method, examples(model))
        weights, own = sparsifier.param_groups()
        optimizer = torch.optim.Adam([weights, {**own, "lr": 0.1}], lr=0.01)
        train(model, sparsifier, optimizer, 60)
        model.eval()
        out = model(task(model)[0])
        counts.append(sum(int((p == 0).sum()) for p in sparsifier.folded().parameters()))
        torch.testing.assert_close(sparsifier.finish()(task(model)[0]), out, rtol=1e-10, atol=1e-10)
    assert counts[0] == 0
    assert counts[1] > 0


def attended(alpha, axis="0", **options):
    sparsifier = only(axis, Attention(strength=0.5, scope="filter", over=L0(), alpha=alpha, **options))
    set_alphas(sparsifier)
    return sparsifier


def test_attention_without_weight_is_l0_alone():
    alone = only("0", L0(strength=0.5))
    set_alphas(alone)
    assert attended(0.0).penalty().item() == alone.penalty().item()


def test_the_attention_looks_at_the_expected_sizes():
    sparsifier = attended(0.3, inverse="cv", normalise=False)
    sizes = 3 * hard_concrete_active(ALPHAS)
    variance, mean = sizes.var(unbiased=False), sizes.mean()
    assert sparsifier.penalty().item() == pytest.approx(float(0.5 * (sizes.sum() + 0.3 * mean**2 / variance)))


def test_gates_above_the_mean_are_pressed_less_than_gates_below():
    sparsifier = attended(1.0, normalise=False)
    log_alpha = sparsifier.posterior.log_alpha("0")
    (gradient,) = torch.autograd.grad(sparsifier.penalty(), log_alpha)
    p = hard_concrete_active(ALPHAS)
    z = (p - p.mean()) / p.std(unbiased=False)
    torch.testing.assert_close(gradient, 0.5 * 3 * (1 - z).clamp(min=0) * p * (1 - p))
    assert (gradient[z > 1] == 0).all()


def test_the_attention_keeps_l0_s_decay_and_life():
    with_decay = only("0", Attention(strength=0.5, scope="filter", over=L0(decay=0.2, delay=1), alpha=0.0))
    alone = only("0", L0(strength=0.5, decay=0.2))
    for sparsifier in (with_decay, alone):
        set_alphas(sparsifier)
    assert with_decay.penalty() == 0
    with_decay.state.step = 1
    assert with_decay.penalty().item() == pytest.approx(alone.penalty().item(), rel=1e-14)
    optimizer = sgd(with_decay)
    train_once(with_decay, optimizer)
    first = with_decay.posterior.draws.once("0", ALPHAS, "uniform")
    train_once(with_decay, optimizer)
    assert not torch.equal(with_decay.posterior.draws.once("0", ALPHAS, "uniform"), first)


def test_errors():
    for options, message in [
        ({"drop_rate": 0.0}, "drop_rate must lie between 0 and 1, got 0.0"),
        ({"decay": -1.0}, "decay must be a finite number >= 0"),
        ({"test": "mean"}, "unknown test 'mean'"),
        ({"factors": {"0": math.nan}}, "the factor of '0' must be a finite number"),
        ({"warmup": -1}, "warmup must be 0 or more"),
    ]:
        with pytest.raises(InputError, match=message):
            L0(**options)
    with pytest.raises(InputError, match="unknown axis in factors 'fc'"):
        made(L0(strength=1.0, factors={"fc": 2.0}))
    fixed = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 3, 3))
    fixed[0].requires_grad_(False)
    with pytest.raises(InputError, match="nothing to put a gate on"):
        gasl.Sparsifier(fixed, L0(strength=1.0, scope="channel"), torch.zeros(2, 1, 8, 8))
    with pytest.raises(InputError, match=r"scope='filter', the attention 'coupled'"):
        Attention(over=L0())
    with pytest.raises(InputError, match="leave it out there"):
        Attention(over=L0(strength=1.0), scope="filter")
    for method in (L0(), Attention(over=L0(), scope="filter")):
        with pytest.raises(InputError, match="needs a strength"):
            made(method).penalty(torch.ones(()))
    assert Attention(over=GroupLasso()).rates([torch.ones(2)], 1.0)  # the others are as they were

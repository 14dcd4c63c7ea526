import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

import gasl
from gasl.errors import InputError
from gasl.maths import (
    gaussian_kl,
    log_alpha,
    log_normal_gamma_kl,
    log_normal_inverse_gamma_kl,
    log_normal_mean,
    log_normal_mode,
    log_uniform_kl,
    product_variance,
)
from gasl.methods import BayesianCompression

PRIORS = ("normal-jeffreys", "horseshoe")
every_prior = pytest.mark.parametrize("prior", PRIORS)


def convolutional():
    torch.manual_seed(4)
    layers = nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2)
    return nn.Sequential(*layers).double()


def normed():
    torch.manual_seed(4)
    layers = nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)
    return nn.Sequential(*layers).double()


IMAGES = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(1)).double()


def made(model, prior, **settings):
    """With scales and variances that differ from each other, large enough to be seen."""
    sparsifier = gasl.Sparsifier(model, BayesianCompression(prior=prior, **({"strength": 0.0} | settings)), IMAGES)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in sparsifier.posterior.named_parameters():
            noise = torch.rand(parameter.shape, generator=generator).double()
            if "log_variance" in name:
                parameter.copy_(-4 + 3 * noise)
            else:
                parameter += noise - 0.5
    return sparsifier


def own(sparsifier, place, name):
    return sparsifier.posterior.get_submodule(place.replace(".", "/")).get_parameter(name)


def scale_moments(sparsifier, axis):
    """Mean and variance of the scales of an axis, from the parameters."""
    if sparsifier.method.prior == "normal-jeffreys":
        return own(sparsifier, axis, "mean"), own(sparsifier, axis, "log_variance").exp()
    mu = (own(sparsifier, axis, "mean").sum(0) + own(sparsifier, axis, "common_mean").sum(0)) / 2
    variance = own(sparsifier, axis, "log_variance").exp().sum(0)
    variance = (variance + own(sparsifier, axis, "common_log_variance").exp().sum(0)) / 4
    mean = log_normal_mean(mu, variance)
    return mean, mean.square() * torch.expm1(variance)


def weight_moments(sparsifier, name):
    return sparsifier.groups.tensors[name], own(sparsifier, name, "log_variance").exp()


def agree(samples, mean, variance):
    n = len(samples)
    assert ((samples.mean(0) - mean).abs() < 5 * (variance / n).sqrt()).all()
    fourth = (samples - samples.mean(0)).pow(4).mean(0)  # of the sample itself: a product has heavier tails
    assert ((samples.var(0) - variance).abs() < 6 * ((fourth - variance**2).clamp(min=0) / n).sqrt()).all()


@every_prior
@torch.no_grad()
def test_columns_of_a_linear_layer_have_a_scale_for_each_example(prior):
    model, n = convolutional(), 20_000
    sparsifier = made(model, prior)
    x = torch.randn(1, 4, dtype=torch.float64)
    scale, weight = scale_moments(sparsifier, "2"), weight_moments(sparsifier, "4.weight")
    mean = functional.linear(x, weight[0] * scale[0], model[4]._parameters["bias"])
    variance = (x.square() * product_variance(*scale, *weight)).sum(1) + own(sparsifier, "4.bias", "log_variance").exp()
    agree(model[4](x.expand(n, 4)), mean[0], variance)


@every_prior
@torch.no_grad()
def test_rows_of_a_convolution_have_a_scale_for_each_example(prior):
    model, n = convolutional(), 20_000
    sparsifier = made(model, prior)
    (weight, spread), scale = weight_moments(sparsifier, "0.weight"), scale_moments(sparsifier, "0")
    run = partial(functional.conv2d, stride=2, padding=1)
    bias, bias_variance = model[0]._parameters["bias"], own(sparsifier, "0.bias", "log_variance").exp()
    inner = run(IMAGES[:1], weight, bias), run(IMAGES[:1].square(), spread, bias_variance)
    scales = [part[:, None, None] for part in scale]
    outputs = model[0](IMAGES[:1].expand(n, -1, -1, -1))
    agree(outputs, (scales[0] * inner[0])[0], product_variance(*scales, *inner)[0])
    for name in ("0.weight", "0.bias"):
        own(sparsifier, name, "log_variance").fill_(-12.0)
    outputs = model[0](IMAGES[:1].expand(n, -1, -1, -1))
    shared = torch.corrcoef(outputs[:, 0].flatten(1).T)  # one scale for all places of a map
    assert (shared - torch.eye(4)).abs().max() > 0.2


@every_prior
@torch.no_grad()
def test_sampled_weights_have_the_moments_of_scale_times_weight(prior):
    """Where a layer is not called with a batch of vectors, one scale is drawn for the whole step."""
    model = convolutional()
    sparsifier = made(model, prior)
    got = []
    for _ in range(6000):
        got.append(model[4].weight)
        sparsifier.posterior.draws.forget()
    scale, weight = scale_moments(sparsifier, "2"), weight_moments(sparsifier, "4.weight")
    agree(torch.stack(got), scale[0] * weight[0], product_variance(*scale, *weight))


@every_prior
@torch.no_grad()
def test_a_batch_of_sequences_has_one_scale_for_a_step(prior):
    model = convolutional()
    sparsifier = made(model, prior)
    for name in ("4.weight", "4.bias"):
        own(sparsifier, name, "log_variance").fill_(-60.0)
    x = torch.randn(3, 5, 4, dtype=torch.float64)
    scale = torch.linalg.lstsq(x.flatten(0, 1), (model[4](x) - model[4]._parameters["bias"]).flatten(0, 1)).solution.T
    torch.testing.assert_close(
        scale, model[4]._parameters["weight"] * sparsifier.posterior.sample(2), rtol=0, atol=1e-3
    )
    x = torch.randn(15, 4, dtype=torch.float64)
    each = model[4](x) - functional.linear(x, scale, model[4]._parameters["bias"])
    assert each.abs().min(1).values.max() > 0.01


@every_prior
@torch.no_grad()
def test_the_noise_of_weights_is_scaled_with_them(prior):
    model, n = convolutional(), 20_000
    sparsifier = made(model, prior)
    x, scale = torch.randn(1, 1, 4, dtype=torch.float64), sparsifier.posterior.sample(2)
    weight, variance = weight_moments(sparsifier, "4.weight")
    mean = functional.linear(x, weight * scale, model[4]._parameters["bias"])
    spread = functional.linear(x.square(), variance * scale.square(), own(sparsifier, "4.bias", "log_variance").exp())
    agree(model[4](x.expand(n, 1, 4)), mean[0], spread[0])


@every_prior
@torch.no_grad()
def test_behind_a_batch_norm_the_scale_is_on_its_weight_and_bias(prior):
    model = normed()
    sparsifier = made(model, prior)
    z = sparsifier.posterior.sample(0)
    assert sparsifier.posterior.units[0].name == "0"
    torch.testing.assert_close(model[1].weight, z * model[1]._parameters["weight"], rtol=0, atol=0)
    torch.testing.assert_close(model[1].bias, z * model[1]._parameters["bias"], rtol=0, atol=0)
    mean, variance = weight_moments(sparsifier, "0.weight")
    x = IMAGES[:1].expand(20_000, -1, -1, -1)
    conv = functional.conv2d
    agree(model[0](x), conv(x[:1], mean)[0], conv(x[:1].square(), variance)[0])


def test_the_penalty_is_strength_times_all_divergences():
    model = convolutional()
    for prior in PRIORS:
        sparsifier = made(model, prior, strength=0.3, tau=0.01)
        total = torch.zeros(())
        for name, parameter in model.named_parameters():
            if not name.startswith("_gasl"):
                total = total + gaussian_kl(parameter, own(sparsifier, name, "log_variance")).sum()
        for axis in ("0", "2.in", "2"):
            mean, log_variance = own(sparsifier, axis, "mean"), own(sparsifier, axis, "log_variance")
            if prior == "normal-jeffreys":
                total = total + log_uniform_kl(log_alpha(mean, log_variance)).sum()
                continue
            common = own(sparsifier, axis, "common_mean"), own(sparsifier, axis, "common_log_variance")
            total = total + log_normal_gamma_kl(mean[0], log_variance[0]).sum()
            total = total + log_normal_inverse_gamma_kl(mean[1], log_variance[1]).sum()
            total = total + log_normal_gamma_kl(common[0][0], common[1][0], scale=0.01**2).sum()
            total = total + log_normal_inverse_gamma_kl(common[0][1], common[1][1]).sum()
        torch.testing.assert_close(sparsifier.penalty(), 0.3 * total, rtol=1e-12, atol=0)
        sparsifier.detach()


@every_prior
@torch.no_grad()
def test_at_the_start_nothing_is_scaled_and_each_factor_costs_least(prior):
    model = convolutional()
    before = model(IMAGES)
    sparsifier = gasl.Sparsifier(model, BayesianCompression(strength=1.0, prior=prior), IMAGES)
    torch.testing.assert_close(model.eval()(IMAGES), before, rtol=1e-3, atol=1e-4)
    if prior == "horseshoe":
        cost = sparsifier.posterior.scale_kl(2)
        for name in ("mean", "common_mean"):
            mean = own(sparsifier, "2", name)
            for shift in (-0.1, 0.1):  # away from scale 1 it may be less, between a factor and the others it is not
                mean += torch.tensor([[shift], [-shift]])
                assert sparsifier.posterior.scale_kl(2) > cost
                mean -= torch.tensor([[shift], [-shift]])


AROUND = torch.tensor([-1e-9, 1e-9, -1.0, 1.0], dtype=torch.float64)  # the threshold, on either side


@torch.no_grad()
def test_with_normal_jeffreys_survivors_are_multiplied_with_the_mean_and_the_dead_with_zero():
    model = convolutional()
    sparsifier = made(model, "normal-jeffreys", threshold=0.7)
    mean = own(sparsifier, "2", "mean")
    own(sparsifier, "2", "log_variance").copy_(0.7 + (mean.square() + 1e-8).log() + AROUND)
    multiplied(model, mean)


@pytest.mark.parametrize(("rule", "threshold"), [("noise", -0.5), ("mode", 2.0)])
@torch.no_grad()
def test_with_the_horseshoe_by_either_rule(rule, threshold):
    model = convolutional()
    sparsifier = made(model, "horseshoe", rule=rule)
    mean, log_variance = own(sparsifier, "2", "mean"), own(sparsifier, "2", "log_variance")
    own(sparsifier, "2", "common_log_variance").fill_(-3.0)
    if rule == "noise":
        wanted = 4 * torch.log1p((threshold + AROUND).exp()) - 2 * math.exp(-3)
        log_variance.copy_((wanted / 2).log().expand(2, 4))
    else:
        m, v = sparsifier.posterior._log_normal(2)
        mean[0] += 2 * (v - m - threshold - AROUND)
    m, v = sparsifier.posterior._log_normal(2)
    scale = scale_moments(sparsifier, "2")
    at_zero = (scale[1] / scale[0].square()).log() if rule == "noise" else -log_normal_mode(m, v).log()
    torch.testing.assert_close(at_zero, threshold + AROUND, rtol=1e-7, atol=1e-7)
    multiplied(model, scale[0])


def multiplied(model, means):
    multiplier = torch.where(torch.tensor([True, False, True, False]), means, 0.0)
    raw = model[4]._parameters["weight"]
    torch.testing.assert_close(model.eval()[4].weight, raw * multiplier, rtol=1e-12, atol=0)
    assert (model[4].weight[:, [1, 3]] == 0).all()


@pytest.mark.parametrize(
    ("prior", "rule"), [("normal-jeffreys", "noise"), ("horseshoe", "noise"), ("horseshoe", "mode")]
)
@torch.no_grad()
def test_a_floor_is_kept_by_the_units_with_the_best_scores(prior, rule):
    model = convolutional()
    method = BayesianCompression(strength=0.0, prior=prior, rule=rule, threshold=-100.0)
    sparsifier = gasl.Sparsifier(model, method, IMAGES, min_units=2)
    for unit, value in {1: 0.5, 3: 0.3}.items():
        if rule == "mode" or prior == "normal-jeffreys":
            own(sparsifier, "2", "mean").view(-1, 4)[0, unit] += value
        else:
            own(sparsifier, "2", "log_variance")[:, unit] -= value
    assert {axis.name: axis.alive_own for axis in sparsifier.sparsity()} == {"0": 2, "2.in": 2, "2": 2}
    assert model.eval()[4].weight.any(0).nonzero().flatten().tolist() == [1, 3]


@every_prior
def test_variances_are_kept_in_range_and_small_where_the_input_is_read(prior):
    for bound in (0.04, None):
        model = convolutional()
        sparsifier = gasl.Sparsifier(
            model, BayesianCompression(strength=1.0, prior=prior, entry_variance=bound), IMAGES
        )
        optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.0)
        functional.mse_loss(model(IMAGES), torch.zeros(2, 2).double()).backward()
        optimizer.step()
        variances = [p for name, p in sparsifier.posterior.named_parameters() if "log_variance" in name]
        with torch.no_grad():
            for parameter in variances:
                parameter.fill_(50.0)
        sparsifier.step(optimizer)
        assert all(p.max() <= 10 for p in variances)
        entry = own(sparsifier, "0.weight", "log_variance")
        assert torch.equal(own(sparsifier, "0.bias", "log_variance"), entry[:, 0, 0, 0])
        assert (entry == (10.0 if bound is None else math.log(0.04))).all()
        assert (own(sparsifier, "2.weight", "log_variance") == 10).all()


def regression(prior, strength):
    """Two inputs of eight matter, and a few hidden units are enough for them."""
    torch.manual_seed(6)
    x = torch.randn(64, 8, dtype=torch.float64)
    y = torch.stack([x[:, 0] + x[:, 1], x[:, 0] - x[:, 1]], 1)
    model = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 2)).double()
    method = BayesianCompression(strength=strength, prior=prior, log_variance=-5.0)
    sparsifier = gasl.Sparsifier(model, method, x)
    optimizer = torch.optim.Adam(sparsifier.param_groups(), lr=0.05)
    for _ in range(300 if strength else 100):
        loss = functional.mse_loss(model(x), y) + sparsifier.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sparsifier.step(optimizer)
    return model, sparsifier, x, y


@every_prior
def test_units_die_that_do_not_at_strength_0(prior):
    model, sparsifier, x, y = regression(prior, 0.01)
    expected = model.eval()(x).detach()
    assert functional.mse_loss(expected, y) < 0.1 * y.square().mean()
    small = sparsifier.finish()
    assert sparsifier.removal.widths["0.in"] == (8, 2)
    assert sparsifier.removal.widths["0"][1] < 8
    torch.testing.assert_close(small(x), expected, rtol=1e-10, atol=1e-10)
    alive = {axis.name: axis.alive for axis in regression(prior, 0.0)[1].sparsity()}
    assert alive["0"] == 12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prior": "horse-shoe"}, "unknown prior 'horse-shoe'; did you mean 'horseshoe'"),
        ({"granularity": "weight"}, "leave granularity at 'unit', got 'weight'"),
        ({"rule": "modes", "prior": "horseshoe"}, "unknown rule 'modes'; did you mean 'mode'"),
        ({"rule": "mode"}, "leave rule at 'noise', or take the horseshoe"),
        ({"threshold": math.nan}, "threshold must be a finite number, got nan"),
        ({"log_variance": math.inf}, "log_variance must be a finite number, got inf"),
        ({"entry_variance": 0.0}, r"entry_variance must be a finite number > 0, got 0\.0"),
        ({"tau": -1.0}, r"tau must be a finite number > 0, got -1\.0"),
    ],
)
def test_errors(settings, message):
    with pytest.raises(InputError, match=message):
        BayesianCompression(**settings)

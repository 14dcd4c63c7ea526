"""What a method learns beside the weights: in the state and with the optimizer while it trains, and at work."""

import torch
from torch import nn

from contract.table import every_case
from contract.training import POSTERIOR, Training, posterior_parameters
from gasl.methods.posterior import UnitPosterior


@every_case()
def test_its_parameters_follow_the_model_s_own_and_reach_the_optimizer_without_weight_decay(case):
    training = Training(case)
    names = [name for name, _ in training.model.named_parameters()]
    own = [name for name in names if name.split(".")[0] != POSTERIOR]
    added = posterior_parameters(training.model)
    assert names == [*own, *added]
    assert [*training.model.state_dict()][-len(added) :] == [*added] or not added
    groups = training.sparsifier.param_groups()
    given = [p for group in groups for p in group["params"]]
    assert [id(p) for p in given] == [id(p) for p in training.model.parameters()]
    for group in groups:
        if any(p is q for p in group["params"] for q in added.values()):
            assert group["weight_decay"] == 0
            assert all(any(p is q for q in added.values()) for p in group["params"])


@every_case()
def test_the_gate_changes_the_loss(case):
    """Every parameter that a method adds has a say in the task's loss; a scale in front of a batch norm would not."""
    training = Training(case)
    added = posterior_parameters(training.model)
    gradients = torch.autograd.grad(training.loss(), list(added.values())) if added else ()
    for name, gradient in zip(added, gradients, strict=True):
        assert bool(gradient.isfinite().all())
        assert float(gradient.abs().max()) > 1e-9, f"the loss does not depend on {name}"


@every_case("residual")
def test_half_a_gate_is_half_a_unit_behind_a_batch_norm(case, monkeypatch):
    """In front of the norm it would cancel, but for what the norm's epsilon leaves; so that is taken away."""
    training = Training(case).train(10)
    for module in training.model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-14
    posterior = training.sparsifier.posterior
    if not isinstance(posterior, UnitPosterior):
        return
    state = posterior.extra_state()
    for axis in range(len(posterior.units)):
        losses = []
        for gate in (1.0, 0.5):
            posterior.load_extra_state(state)  # the same noise
            gates = [torch.ones(site.size, dtype=torch.float64) for site in posterior.units]
            gates[axis][::2] = gate  # not all, which a norm further on would undo
            monkeypatch.setattr(posterior, "sample", lambda i, gates=gates: gates[i])
            losses.append(float(training.loss().detach()))
        assert abs(losses[1] / losses[0] - 1) > 1e-5, posterior.units[axis].name

"""Weights with which no fault can hide: every unit that is alive matters for the outputs."""

import torch
from torch import nn

from gasl.structure.inputs import call, copied
from gasl.structure.running import eager, output_tensors, undisturbed

__all__ = ["calibrate", "influence", "redraw"]

AFFINE = (nn.Linear, nn.modules.conv._ConvNd, nn.Bilinear)


@torch.no_grad()
def redraw(model, seed=0, gain=1.3):
    """Draw every parameter and running statistic anew, so that the signal keeps its size from layer to layer.

    Weights, norm scales, layer scales and the like get sizes of 0.5 to 1.5 (weights: over the root of the fan-in) with
    either sign, so that none is near 0; shifts and biases are not zero, running variances are 0.5 to 1.5.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor, scale):
        tensor.copy_(scale * torch.randn(tensor.shape, generator=generator))

    def uniform(tensor, signed=True, scale=1.0):
        sign = 2 * torch.randint(2, tensor.shape, generator=generator) - 1 if signed else 1
        tensor.copy_(scale * sign * (0.5 + torch.rand(tensor.shape, generator=generator)))

    seen = set()
    for module in model.modules():
        for name, tensor in module._parameters.items():
            if tensor is None or id(tensor) in seen or tensor.ndim == 0:
                continue
            seen.add(id(tensor))
            vector = tensor.numel() == max(tensor.shape)
            if vector and ("bias" in name or "beta" in name):
                tensor.copy_(0.2 + 0.4 * torch.rand(tensor.shape, generator=generator))  # more open than shut
            elif vector or isinstance(module, nn.Embedding):
                uniform(tensor)
            elif (fan := _fan_in(module, name, tensor)) is not None:
                uniform(tensor, scale=gain * fan**-0.5)
            else:
                normal(tensor, max(float(tensor.std()), 0.3))  # positions, class tokens, tables
        for name, tensor in module._buffers.items():
            if tensor is None:
                continue
            if name == "running_mean":
                normal(tensor, 0.3)
            elif name == "running_var":
                uniform(tensor, signed=False)
    return model


def _fan_in(module, name, tensor):
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        return module.in_channels * tensor[0, 0].numel() / (module.groups * torch.tensor(module.stride).prod().item())
    if type(module).__name__ == "Conv1D":  # the transformers library's linear layer the other way round
        return tensor.shape[0]
    if isinstance(module, nn.Bilinear):
        return tensor.shape[1] * tensor.shape[2]
    if isinstance(module, (*AFFINE, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)):
        return tensor[0].numel()
    return None


@torch.no_grad()
def calibrate(model, inputs, seed=0):
    """Shift biases and running statistics to the signal, layer by layer in one pass, so that no activation shuts off.

    With random weights alone, units behind a few ReLUs are always on or always off, whatever the input. A bias that
    is 0 stays 0: its unit is dead.
    """
    generator = torch.Generator().manual_seed(seed)
    done = set()

    def spread(tensor, dim):
        flat = tensor.movedim(dim, 0).flatten(1)
        return flat.mean(1), flat.std(1)

    def after(module, arguments, output):
        if module.bias is None or module in done or not isinstance(output, torch.Tensor):
            return None
        done.add(module)
        dim = 1 if isinstance(module, nn.modules.conv._ConvNd) and output.ndim > 2 else output.ndim - 1
        mean, std = spread(output, dim)
        shift = std * (0.2 + 0.4 * torch.rand(mean.shape, generator=generator)) - mean
        shift[module.bias == 0] = 0
        module.bias += shift
        return output + shift.reshape([-1 if d == dim else 1 for d in range(output.ndim)])

    def before(module, arguments):
        if module.running_mean is None or module in done:
            return
        done.add(module)
        mean, std = spread(arguments[0], 1)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype)
        module.running_mean.copy_(mean + 0.2 * (std + 1e-3) * noise)
        module.running_var.copy_(std**2 * (0.5 + torch.rand(mean.shape, generator=generator)) + 1e-6)

    hooks = []
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
            hooks.append(module.register_forward_hook(after))
        elif isinstance(module, (nn.modules.batchnorm._NormBase,)):
            hooks.append(module.register_forward_pre_hook(before))
    try:
        with eager():
            call(model, copied(inputs, model))
    finally:
        for hook in hooks:
            hook.remove()
    return model


def influence(model, structure, inputs, draws=12):
    """How much each unit matters: how far the outputs move when one of its slices is scaled, relative to the largest.

    First order: for random signs, the derivative of the signed sum of an output's elements by the logarithm of a common
    factor of a member's slices, over the square root of the number of elements, is a draw whose square has the mean
    square movement as its mean. The largest of several draws, members and outputs counts; the largest movement of a
    single element is larger still.

    Returns:
        For each axis a tensor over its units; infinite for one that is dead and had to stay (in a living group).
    """
    tensors = dict(model.named_parameters())
    asked = {m.tensor: tensors[m.tensor] for axis in structure.axes for m in axis.members if m.tensor in tensors}
    with undisturbed(model), eager(), torch.enable_grad():
        outputs = [t for t in output_tensors(call(model, copied(inputs, model))) if t.requires_grad]
    generator = torch.Generator().manual_seed(0)
    most = {axis.name: torch.zeros(axis.size, dtype=torch.float64) for axis in structure.axes}
    for k in range(max(draws, len(outputs))):
        output = outputs[k % len(outputs)]
        signs = 2.0 * torch.randint(2, output.shape, generator=generator) - 1
        scale = output.numel() ** 0.5 * float(output.detach().abs().max())
        moved = (output * signs).sum() / scale
        grads = torch.autograd.grad(moved, list(asked.values()), retain_graph=True, allow_unused=True)
        products = {n: (p * g).detach() for (n, p), g in zip(asked.items(), grads, strict=True) if g is not None}
        for axis in structure.axes:
            for m in axis.members:
                if m.tensor in products:
                    most[axis.name] = torch.maximum(most[axis.name], _by_unit(products[m.tensor], m, axis.size).abs())
    for axis in structure.axes:
        own = [m for m in axis.members if m.role != ("consumer" if axis.kind == "width" else "") and m.tensor in asked]
        sizes = sum(_by_unit(asked[m.tensor].detach().abs(), m, axis.size) for m in own)
        most[axis.name][sizes == 0] = float("inf")
    return most


def _by_unit(tensor, member, size):
    each = tensor.movedim(member.dim, 0).reshape(member.units.numel(), -1).sum(1)
    owned = member.units >= 0
    return torch.zeros(size, dtype=each.dtype).index_add(0, member.units[owned], each[owned])

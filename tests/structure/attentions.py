"""Attention as people write it: one network, and many ways to get its heads."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["FUSED", "SEPARATE", "Attention", "attend", "heads_of", "tokens"]


class Attention(nn.Module):
    """Tokens to 9 features, attention over 3 heads of 4 (or as told), two layers behind it.

    ``mix`` gets the module and the tokens. Attributes that it may hold: heads, dim, inner, shared (key and value
    heads), each (heads of a shared one), scale.
    """

    def __init__(self, mix, heads=3, dim=4, shared=None, fused=False, **extra):
        super().__init__()
        self.heads, self.dim, self.inner, self.shared = heads, dim, heads * dim, shared or heads
        self.each = heads // self.shared
        self.scale = dim**-0.5
        self.enter = nn.Linear(7, 9)
        if fused:
            self.qkv = nn.Linear(9, 3 * self.inner)
        else:
            self.q = nn.Linear(9, self.inner)
            self.k, self.v = (nn.Linear(9, self.shared * dim) for _ in range(2))
        self.o, self.leave = nn.Linear(self.inner, 6), nn.Linear(6, 2)
        self.mix = mix
        for name, value in extra.items():
            if isinstance(value, torch.Tensor) and not isinstance(value, nn.Parameter):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def forward(self, x, *others):
        return self.leave(self.o(self.mix(self, self.enter(x), *others)))


def tokens(batch):
    return torch.randn(batch, 5, 7)


def attend(q, k, v, scale, bias=0.0):
    """Attention op by op, heads in the second dimension."""
    return (q @ k.transpose(-2, -1) * scale + bias).softmax(-1) @ v


def heads_of(m, x):
    """Queries, keys and values as (batch, heads, tokens, width)."""
    return (layer(x).unflatten(-1, (-1, m.dim)).transpose(1, 2) for layer in (m.q, m.k, m.v))


def _attributes(m, x):
    b, n, _ = x.shape
    q, k, v = (layer(x).view(b, n, m.heads, m.dim).transpose(1, 2) for layer in (m.q, m.k, m.v))
    return attend(q, k, v, m.scale).transpose(1, 2).reshape(b, n, m.heads * m.dim)


def _minus_one(m, x):
    b, n, _ = x.shape
    q, k, v = (layer(x).view(b, n, m.heads, -1).transpose(1, 2) for layer in (m.q, m.k, m.v))
    return attend(q, k, v, m.scale).transpose(1, 2).reshape(b, n, -1)


def _numbers(*sizes):
    def mix(m, x):
        q, k, v = (layer(x).view(*x.shape[:2], *sizes).transpose(1, 2) for layer in (m.q, m.k, m.v))
        return attend(q, k, v, m.scale).transpose(1, 2).flatten(2)

    return mix


def _quotient(m, x):
    b, n, _ = x.shape
    width = m.inner // m.heads
    q, k, v = (layer(x).view(b, n, m.heads, width).transpose(1, 2) for layer in (m.q, m.k, m.v))
    return attend(q, k, v, m.scale).transpose(1, 2).reshape(b, n, m.inner)


def _unflatten(m, x):
    q, k, v = (layer(x).unflatten(-1, (m.heads, m.dim)).transpose(1, 2) for layer in (m.q, m.k, m.v))
    return attend(q, k, v, m.scale).transpose(1, 2).flatten(-2)


def _einsum(m, x):
    q, k, v = (layer(x).unflatten(-1, (m.heads, m.dim)) for layer in (m.q, m.k, m.v))
    weights = (torch.einsum("bnhd,bmhd->bhnm", q, k) * m.scale).softmax(-1)
    return torch.einsum("bhnm,bmhd->bnhd", weights, v).reshape(*x.shape[:2], -1)


def _bmm(m, x):
    b, n, _ = x.shape
    q, k, v = (
        layer(x).view(b, n, m.heads, m.dim).transpose(1, 2).reshape(b * m.heads, n, m.dim) for layer in (m.q, m.k, m.v)
    )
    out = torch.bmm(torch.bmm(q * m.scale, k.transpose(1, 2)).softmax(-1), v)
    return out.view(b, m.heads, n, m.dim).transpose(1, 2).reshape(b, n, m.inner)


def _sizes_of_the_tensor(m, x):
    def split(layer):
        y = layer(x)
        return y.view(*y.size()[:-1], m.heads, m.dim).permute(0, 2, 1, 3)

    out = attend(split(m.q), split(m.k), split(m.v), m.scale).permute(0, 2, 1, 3).contiguous()
    return out.view(*out.size()[:-2], m.inner)


def _fused_op(**options):
    def mix(m, x):
        given = dict(options)
        if given.get("scale") == "own":
            given["scale"] = m.scale
        if given.get("attn_mask") == "own":
            given["attn_mask"] = m.mask
        return F.scaled_dot_product_attention(*heads_of(m, x), **given).transpose(1, 2).flatten(-2)

    return mix


def _scaled_by_its_width(m, x):
    q, k, v = heads_of(m, x)
    return attend(q, k, v, 1 / math.sqrt(k.shape[-1])).transpose(1, 2).flatten(-2)


def _scaled_by_the_attribute(m, x):
    return attend(*heads_of(m, x), m.dim**-0.5).transpose(1, 2).flatten(-2)


AROUND = {"enter": 9, "o": 6}
BOTH = AROUND | {"heads": 3, "dim": 4}
SEPARATE = {  # name: (mix, axes)
    "attributes": (_attributes, BOTH),
    "minus one": (_minus_one, AROUND | {"heads": 3, "q": 4, "v": 4}),
    "heads as a number": (_numbers(3, -1), AROUND | {"q": 4, "v": 4}),
    "width as a number": (_numbers(-1, 4), AROUND | {"q": 3}),
    "both as numbers": (_numbers(3, 4), AROUND),
    "unflatten": (_unflatten, BOTH),
    "einsum": (_einsum, BOTH),
    "bmm": (_bmm, BOTH),
    "sizes of the tensor": (_sizes_of_the_tensor, BOTH),
    "one op, scale given": (_fused_op(scale="own"), AROUND | {"q": 3, "dim": 4}),
    "one op, scale of its own": (_fused_op(), AROUND | {"q": 3}),
    "one op, causal": (_fused_op(scale="own", is_causal=True), AROUND | {"q": 3, "dim": 4}),
    "one op, masked": (_fused_op(scale="own", attn_mask="own"), AROUND | {"q": 3, "dim": 4}),
    "scaled by the width of a tensor": (_scaled_by_its_width, AROUND | {"q": 3}),
    "scaled by an attribute": (_scaled_by_the_attribute, AROUND | {"q": 3}),
}


def _timm(m, x):
    b, n, _ = x.shape
    q, k, v = m.qkv(x).reshape(b, n, 3, m.heads, m.dim).permute(2, 0, 3, 1, 4).unbind(0)
    return attend(q, k, v, m.scale).transpose(1, 2).reshape(b, n, m.inner)


def _indexed(m, x):
    qkv = m.qkv(x).reshape(*x.shape[:2], 3, m.heads, -1).permute(2, 0, 3, 1, 4)
    return attend(qkv[0], qkv[1], qkv[2], m.scale).transpose(1, 2).flatten(-2)


def _parts(cut):
    def mix(m, x):
        q, k, v = (part.unflatten(-1, (m.heads, m.dim)).transpose(1, 2) for part in cut(m, m.qkv(x)))
        return attend(q, k, v, m.scale).transpose(1, 2).flatten(-2)

    return mix


def _head_by_head(m, x):
    q, k, v = (part.transpose(1, 2) for part in m.qkv(x).unflatten(-1, (m.heads, 3, m.dim)).unbind(3))
    return attend(q, k, v, m.scale).transpose(1, 2).flatten(-2)


def _heads_of_three(m, x):
    q, k, v = m.qkv(x).view(*x.shape[:2], m.heads, 3 * m.dim).transpose(1, 2).chunk(3, -1)
    return attend(q, k, v, m.scale).transpose(1, 2).flatten(-2)


FUSED = {
    "unbind": (_timm, BOTH),
    "index": (_indexed, AROUND | {"heads": 3, "qkv": 4}),
    "chunk": (_parts(lambda m, y: y.chunk(3, -1)), BOTH),
    "split by an attribute": (_parts(lambda m, y: y.split(m.inner, -1)), BOTH),
    "split by a list": (_parts(lambda m, y: y.split([m.inner] * 3, -1)), BOTH),
    "split by a product": (_parts(lambda m, y: y.split(m.heads * m.dim, -1)), BOTH),
    "split by a number": (_parts(lambda m, y: y.split(12, -1)), AROUND),
    "slices": (
        _parts(lambda m, y: (y[..., : m.inner], y[..., m.inner : 2 * m.inner], y[..., 2 * m.inner :])),
        BOTH,
    ),
    "head by head": (_head_by_head, BOTH),
    "heads of three": (_heads_of_three, AROUND | {"heads": 3, "qkv": 4}),
}

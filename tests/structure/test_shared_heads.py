"""Attention whose keys are shared, turned, normed, or from elsewhere."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from gasl.structure.trace import trace
from removal.halving import halved, removable
from structure.attentions import Attention, attend, heads_of, tokens
from structure.nets import Fn, groups_of

# -- keys and values that several heads share --------------------------------------------------------------------------


def _interleaved(m, x):
    q, k, v = heads_of(m, x)
    k, v = (t.repeat_interleave(m.each, 1) for t in (k, v))
    return attend(q, k, v, m.scale).transpose(1, 2).flatten(-2)


def _expanded(m, x):
    def repeated(t):
        b, h, n, d = t.shape
        return t[:, :, None].expand(b, h, m.each, n, d).reshape(b, h * m.each, n, d)

    q, k, v = heads_of(m, x)
    return attend(q, repeated(k), repeated(v), m.scale).transpose(1, 2).flatten(-2)


def _one_op(m, x):
    q, k, v = heads_of(m, x)
    return F.scaled_dot_product_attention(q, k, v, scale=m.scale, enable_gqa=True).transpose(1, 2).flatten(-2)


def _side_by_side(m, x):
    b, n, _ = x.shape
    q = m.q(x).view(b, n, m.shared, m.each, m.dim).permute(0, 2, 3, 1, 4)
    k, v = (layer(x).view(b, n, m.shared, 1, m.dim).permute(0, 2, 3, 1, 4) for layer in (m.k, m.v))
    return attend(q, k, v, m.scale).permute(0, 3, 1, 2, 4).reshape(b, n, -1)


@pytest.mark.parametrize("mix", [_interleaved, _expanded, _one_op, _side_by_side])
def test_heads_that_share_keys_go_together(mix):
    def make():
        return Attention(mix, heads=6, shared=3)

    axes = removable(make, tokens)
    assert sorted(axes.values()) == [3, 4, 6, 9]
    heads = next(name for name, size in axes.items() if size == 3)
    sizes = {m.tensor: m.units.bincount().tolist() for m in trace(make(), tokens(2)).axis(heads).members}
    assert sizes["q.weight"] == [8, 8, 8]  # two heads of 4
    assert sizes["k.weight"] == sizes["v.weight"] == [4, 4, 4]


@pytest.mark.parametrize("mix", [_interleaved, _expanded, _one_op, _side_by_side])
def test_where_one_key_serves_all_only_the_width_of_heads_is_left(mix):
    assert removable(lambda: Attention(mix, heads=6, shared=1), tokens) == {"enter": 9, "dim": 4, "o": 6}


# -- rotary positions --------------------------------------------------------------------------------------------------

ANGLES = torch.arange(5.0)[:, None] * torch.tensor([1.0, 0.3])
COS, SIN = (torch.cat([f(ANGLES), f(ANGLES)], -1) for f in (torch.cos, torch.sin))


def _sliced(t):
    half = t.shape[-1] // 2
    return torch.cat((-t[..., half:], t[..., :half]), -1)


def _chunked(t):
    first, second = t.chunk(2, -1)
    return torch.cat((-second, first), -1)


@pytest.mark.parametrize("turned", [_sliced, _chunked])
def test_rotary_halves_keep_pairs_together(turned):
    def mix(m, x):
        q, k, v = heads_of(m, x)
        q, k = (t * m.cos + turned(t) * m.sin for t in (q, k))
        return attend(q, k, v, m.scale).transpose(1, 2).flatten(-2)

    def make():
        return Attention(mix, cos=COS, sin=SIN)

    axes = removable(make, tokens)
    assert sorted(axes.values()) == [2, 3, 6, 9]
    pairs = trace(make(), tokens(2)).axis(next(name for name, size in axes.items() if size == 2))
    assert {m.tensor: m.units.tolist() for m in pairs.members if m.tensor == "cos"} == {"cos": [0, 1, 0, 1]}


def test_rotary_tables_made_in_the_forward_hold_the_width():
    def mix(m, x):
        q, k, v = heads_of(m, x)
        angles = torch.arange(5.0)[:, None] * 100 ** (-torch.arange(0, 4, 2) / 4)
        cos, sin = (torch.cat([f(angles)] * 2, -1).to(x) for f in (torch.cos, torch.sin))
        q, k = (t * cos + _sliced(t) * sin for t in (q, k))
        return attend(q, k, v, m.scale).transpose(1, 2).flatten(-2)

    assert removable(lambda: Attention(mix), tokens) == {"enter": 9, "q": 3, "o": 6}


def test_rotary_neighbours_hold_the_width():
    def mix(m, x):
        q, k, v = heads_of(m, x)

        def turned(t):
            even, odd = t[..., 0::2], t[..., 1::2]
            cos, sin = m.cos[:, :2], m.sin[:, :2]
            return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)

        return attend(turned(q), turned(k), v, m.scale).transpose(1, 2).flatten(-2)

    assert removable(lambda: Attention(mix, cos=COS, sin=SIN), tokens) == {"enter": 9, "q": 3, "o": 6}


# -- norms inside heads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
def test_a_norm_inside_heads_holds_their_width_and_lets_heads_go(norm):
    def mix(m, x):
        q, k, v = (layer(x).unflatten(-1, (m.heads, -1)).transpose(1, 2) for layer in (m.q, m.k, m.v))
        return attend(m.first(q), m.second(k), v, m.scale).transpose(1, 2).flatten(-2)

    def make():
        return Attention(mix, first=norm(4, eps=1e-5), second=norm(4, eps=1e-5))

    assert removable(make, tokens) == {"enter": 9, "heads": 3, "v": 4, "o": 6}


# -- from elsewhere ----------------------------------------------------------------------------------------------------


def test_cross_attention_reads_two_streams():
    def mix(m, x, c):
        c = m.context(c)
        q, k, v = (t.unflatten(-1, (m.heads, m.dim)).transpose(1, 2) for t in (m.q(x), m.k(c), m.v(c)))
        return attend(q, k, v, m.scale).transpose(1, 2).flatten(-2)

    axes = removable(lambda: Attention(mix, context=nn.Linear(4, 9)), lambda n: (tokens(n), torch.randn(n, 6, 4)))
    assert axes == {"enter": 9, "context": 9, "heads": 3, "dim": 4, "o": 6}


def layer(**options):
    weights = options.pop("need_weights", False)
    return lambda: Fn(
        lambda m, x: m.b(m.attn(y := m.a(x), y, y, need_weights=weights)[0]),
        a=nn.Linear(7, 12), attn=nn.MultiheadAttention(12, 3, batch_first=True, **options), b=nn.Linear(12, 2),
    )  # fmt: skip


@pytest.mark.parametrize(
    "options", [{}, {"need_weights": True}, {"bias": False}, {"add_zero_attn": True}, {"add_bias_kv": True}]
)
def test_an_attention_layer_loses_heads_and_widths_one_by_one(options):
    wanted = {"a": 12, "attn.num_heads": 3, "attn.head_dim": 4, "attn.out_proj": 12}
    assert removable(layer(**options), tokens) == wanted


def test_an_attention_layer_with_other_widths_of_keys():
    def make():
        return Fn(
            lambda m, x, c: m.b(m.attn(m.a(x), y := m.c(c), y)[0]),
            a=nn.Linear(7, 12), attn=nn.MultiheadAttention(12, 3, kdim=8, vdim=8, batch_first=True),
            b=nn.Linear(12, 2), c=nn.Linear(4, 8),
        )  # fmt: skip

    axes = removable(make, lambda n: (tokens(n), torch.randn(n, 6, 4)))
    assert axes == {"a": 12, "c": 8, "attn.num_heads": 3, "attn.head_dim": 4, "attn.out_proj": 12}


def test_one_layer_of_an_encoder_shrinks_with_its_numbers():
    make = layer()
    assert {"attn.in_proj_weight[0]", "attn.in_proj_bias[0]", "attn.out_proj.weight[1]"} == groups_of(
        make(), tokens(2)
    )["attn.num_heads"]
    small, removal = halved(make(), tokens)
    assert removal.plan.attributes == {"attn.num_heads": 2, "attn.head_dim": 2}
    assert (small.attn.num_heads, small.attn.head_dim, small.attn.embed_dim, small.attn.scale) == (2, 2, 6, 0.5)

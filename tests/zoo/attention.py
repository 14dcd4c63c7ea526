"""Own transformers: every way of writing attention that the tracer has rules for."""

import math

import torch
from torch import nn
from torch.nn import functional

from zoo.entry import Entry, images, tokens

__all__ = ["ENTRIES"]


class Mlp(nn.Sequential):
    def __init__(self, width, hidden):
        super().__init__(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class Block(nn.Module):
    """Norm, attention, norm, feed-forward, each with its sum."""

    def __init__(self, width, attention, hidden):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), attention
        self.norm2, self.mlp = nn.LayerNorm(width), Mlp(width, hidden)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Vision(nn.Module):
    """Patches, class token, positions, blocks, head."""

    def __init__(self, width, attention, hidden):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token, self.positions = nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(torch.zeros(1, 17, width))
        self.blocks = nn.Sequential(*(Block(width, attention(width), hidden) for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class Multihead(nn.Module):
    """``nn.MultiheadAttention``."""

    def __init__(self, width, heads):
        super().__init__()
        self.inner = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x):
        return self.inner(x, x, x, need_weights=False)[0]


class Separate(nn.Module):
    """q, k and v apart; scores by hand, the heads' width a number of the forward."""

    def __init__(self, width, heads, inner=None):
        super().__init__()
        inner = inner or width
        self.heads, self.width = heads, inner // heads
        self.q, self.k, self.v = (nn.Linear(width, inner) for _ in range(3))
        self.out = nn.Linear(inner, width)

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = (f(x).view(n, t, self.heads, self.width).transpose(1, 2) for f in (self.q, self.k, self.v))
        scores = (q @ k.transpose(-2, -1) / math.sqrt(self.width)).softmax(-1)
        return self.out((scores @ v).transpose(1, 2).reshape(n, t, self.heads * self.width))


class Fused(nn.Module):
    """One linear layer for q, k and v, and ``scaled_dot_product_attention``: timm's way."""

    def __init__(self, width, heads, norm=False):
        super().__init__()
        self.heads, self.head, self.inner = heads, width // heads, width
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.q_norm, self.k_norm = (nn.LayerNorm(self.head) if norm else nn.Identity() for _ in range(2))

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, self.head).permute(2, 0, 3, 1, 4).unbind(0)
        y = functional.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v)
        return self.proj(y.transpose(1, 2).reshape(n, t, self.inner_of(x)))

    def inner_of(self, x):
        return self.inner


class FusedAsWide(Fused):
    """The heads together must stay as wide as the input, which is what the forward takes their width from."""

    def inner_of(self, x):
        return x.shape[-1]


class Einsum(nn.Module):
    """Weights of three dimensions and ``einsum`` throughout."""

    def __init__(self, width, heads, inner):
        super().__init__()
        self.q, self.k, self.v = (nn.Parameter(torch.randn(width, heads, inner) * width**-0.5) for _ in range(3))
        self.out = nn.Parameter(torch.randn(heads, inner, width) * (heads * inner) ** -0.5)
        self.scale = inner**-0.5

    def forward(self, x):
        q, k, v = (torch.einsum("btd,dhe->bhte", x, w) for w in (self.q, self.k, self.v))
        scores = (torch.einsum("bhte,bhse->bhts", q, k) * self.scale).softmax(-1)
        return torch.einsum("bhts,bhse,hed->btd", scores, v, self.out)


class EinsumLinear(Separate):
    """Linear projections, ``einsum`` for the scores."""

    def forward(self, x):
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)) for f in (self.q, self.k, self.v))
        scores = torch.einsum("bthd,bshd->bhts", q, k).softmax(-1)
        return self.out(torch.einsum("bhts,bshd->bthd", scores, v).flatten(-2))


class RMSNorm(nn.Module):
    """Written out, as most libraries do."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def rotate(x, base=10000.0):
    """Rotary position embedding, the two halves of each head as pairs."""
    half = x.shape[-1] // 2
    angles = torch.arange(x.shape[-2], dtype=x.dtype)[:, None] * base ** -(torch.arange(half, dtype=x.dtype) / half)
    cos, sin = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * cos + turned * sin


class Grouped(nn.Module):
    """Rotary attention with fewer heads for keys and values than for queries."""

    def __init__(self, width, heads, groups, head):
        super().__init__()
        self.heads, self.groups, self.head = heads, groups, head
        self.q, self.out = nn.Linear(width, heads * head, bias=False), nn.Linear(heads * head, width, bias=False)
        self.k, self.v = (nn.Linear(width, groups * head, bias=False) for _ in range(2))

    def forward(self, x):
        n, t, _ = x.shape
        q = rotate(self.q(x).view(n, t, self.heads, self.head).transpose(1, 2))
        k = rotate(self.k(x).view(n, t, self.groups, self.head).transpose(1, 2))
        v = self.v(x).view(n, t, self.groups, self.head).transpose(1, 2)
        k, v = (y.repeat_interleave(self.heads // self.groups, dim=1) for y in (k, v))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(n, t, -1))


class Gated(nn.Module):
    """SwiGLU."""

    def __init__(self, width, hidden):
        super().__init__()
        self.gate, self.up = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class Llama(nn.Module):
    def __init__(self, width=28, heads=6, groups=2, head=10, hidden=46, norm=RMSNorm):
        super().__init__()
        self.embed = nn.Embedding(53, width)
        self.attentions = nn.ModuleList(Grouped(width, heads, groups, head) for _ in range(2))
        self.mlps = nn.ModuleList(Gated(width, hidden) for _ in range(2))
        self.norms = nn.ModuleList(norm(width) for _ in range(5))
        self.head = nn.Linear(width, 53, bias=False)

    def forward(self, input_ids):
        x = self.embed(input_ids)
        for i, (attention, mlp) in enumerate(zip(self.attentions, self.mlps, strict=True)):
            x = x + attention(self.norms[2 * i](x))
            x = x + mlp(self.norms[2 * i + 1](x))
        return self.head(self.norms[4](x))


class Tied(nn.Module):
    """A language model whose head is its embedding."""

    def __init__(self):
        super().__init__()
        self.embed, self.positions = nn.Embedding(47, 24), nn.Embedding(20, 24)
        self.block = Block(24, Fused(24, 3), 50)
        self.norm, self.head = nn.LayerNorm(24), nn.Linear(24, 47, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, input_ids):
        x = self.embed(input_ids) + self.positions(torch.arange(input_ids.shape[1]))
        return self.head(self.norm(self.block(x)))


class Continuous(nn.Module):
    """A word model without norms: embedding, hidden layer, tied head; every width can go."""

    def __init__(self):
        super().__init__()
        self.embed, self.first, self.second = nn.Embedding(47, 22), nn.Linear(22, 31), nn.Linear(31, 22)
        self.head = nn.Linear(22, 47, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, input_ids):
        x = self.embed(input_ids)
        return self.head(x + self.second(torch.relu(self.first(x))))


class Translator(nn.Module):
    """``nn.Transformer``: encoder, decoder, masks."""

    def __init__(self):
        super().__init__()
        self.source, self.target = nn.Embedding(31, 24), nn.Embedding(37, 24)
        self.inner = nn.Transformer(24, 4, 2, 2, 42, batch_first=True)
        self.out = nn.Linear(24, 37)

    def forward(self, source, target):
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1]).to(self.out.weight.dtype)
        return self.out(self.inner(self.source(source), self.target(target), tgt_mask=mask))


def pairs(batch, size):
    return torch.randint(31, (batch, size + 2)), torch.randint(37, (batch, size))


def vision(attention, width=30, hidden=52):
    return lambda: Vision(width, attention, hidden)


BLOCKS = r"blocks\.|\.?attentions?\.|mlps?\.|layers\.|block\."
ENTRIES = (
    Entry("vit-multihead", "nn.MultiheadAttention", vision(lambda w: Multihead(w, 5)), images(), 16, core=BLOCKS),
    Entry("vit-separate", "q, k, v", vision(lambda w: Separate(w, 5)), images(), 16, core=BLOCKS),
    Entry("vit-narrow", "q, k, v, narrow", vision(lambda w: Separate(w, 4, 20)), images(), 16, core=BLOCKS),
    Entry("vit-fused", "fused qkv, sdpa", vision(lambda w: Fused(w, 5)), images(), 16, core=BLOCKS),
    Entry(
        "vit-fused-as-wide",
        "fused qkv, width of the input",
        vision(lambda w: FusedAsWide(w, 5)),
        images(),
        16,
        core=BLOCKS,
    ),
    Entry("vit-square", "heads = head width", vision(lambda w: Fused(w, 6), 36, 36), images(), 16, core=BLOCKS),
    Entry("vit-qk-norm", "norms inside heads", vision(lambda w: Fused(w, 5, True)), images(), 16, core=BLOCKS),
    Entry("vit-einsum", "einsum, 3-D weights", vision(lambda w: Einsum(w, 4, 7)), images(), 16, core=BLOCKS),
    Entry("vit-einsum-linear", "einsum", vision(lambda w: EinsumLinear(w, 5)), images(), 16, core=BLOCKS),
    Entry("llama-own", "rotary, grouped heads, RMSNorm, SwiGLU", Llama, tokens(53), 7, 11, core=BLOCKS),
    Entry("llama-rmsnorm", "nn.RMSNorm", lambda: Llama(26, 4, 2, 6, 38, nn.RMSNorm), tokens(53), 7, 11, core=BLOCKS),
    Entry("tied-transformer", "tied embedding", Tied, tokens(47), 7, 11, core=BLOCKS),
    Entry("tied-words", "tied embedding, no norm", Continuous, tokens(47), 7, 11),
    Entry("transformer", "nn.Transformer", Translator, pairs, 6, 9, core=BLOCKS),
)

"""Multi-head attention whose number and width of heads need not make up its input's width."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from gasl.structure.parts import modules_of

__all__ = ["HeadAttention", "free_heads"]


class HeadAttention(nn.MultiheadAttention):
    """``nn.MultiheadAttention`` with any number of heads of any width: same parameters, same arguments, same outputs.

    The scale stays that of the width that a head had at first. Made from an ``nn.MultiheadAttention`` by
    :meth:`of`; PyTorch's own fused encoder layer passes it by.

    Example:
        >>> attention = nn.MultiheadAttention(8, 2, batch_first=True)
        >>> x = torch.randn(3, 5, 8)
        >>> wanted = attention(x, x, x)[0]
        >>> torch.allclose(HeadAttention.of(attention)(x, x, x)[0], wanted, atol=1e-6)
        True
    """

    scale: float

    @staticmethod
    def of(attention: nn.MultiheadAttention) -> "HeadAttention":
        """Turn an attention into this class, in place: whoever refers to it, and its hooks, stay."""
        if isinstance(attention, HeadAttention):
            return attention
        attention.__class__ = HeadAttention
        attention.scale = attention.head_dim**-0.5
        attention._qkv_same_embed_dim = False  # what the fused encoder layer asks for
        assert isinstance(attention, HeadAttention)  # just made
        return attention

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend; see ``nn.MultiheadAttention``. ``is_causal`` is a hint about ``attn_mask`` and changes nothing."""
        single = query.dim() == 2
        parts = self._projected(query, key, value)
        q, k, v = (part[None] if single else part if self.batch_first else part.transpose(0, 1) for part in parts)
        bias = self._mask(attn_mask, key_padding_mask, q, k)
        if self.bias_k is not None and self.bias_v is not None:
            k, v = (torch.cat([x, b.expand(x.shape[0], -1, -1)], 1) for x, b in ((k, self.bias_k), (v, self.bias_v)))
        if self.add_zero_attn:
            k, v = (torch.cat([x, x.new_zeros(x.shape[0], 1, x.shape[2])], 1) for x in (k, v))
        if bias is not None and k.shape[1] > bias.shape[-1]:  # what was appended is never masked
            bias = F.pad(bias, (0, k.shape[1] - bias.shape[-1]))
        q, k, v = (x.unflatten(2, (self.num_heads, self.head_dim)).transpose(1, 2) for x in (q, k, v))
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = q @ k.transpose(2, 3) * self.scale
            weights = F.softmax(scores if bias is None else scores + bias, -1)
            weights = F.dropout(weights, dropout)
            mixed = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights[0] if single else weights
        else:
            mixed = F.scaled_dot_product_attention(q, k, v, bias, dropout, scale=self.scale)
        out = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return (out[0] if single else out if self.batch_first else out.transpose(0, 1)), weights

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        joint: Tensor | None = self.in_proj_weight  # None where the three widths differ
        if joint is not None and query is key and key is value:
            return list(F.linear(query, joint, self.in_proj_bias).chunk(3, -1))
        apart = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        weights = apart if joint is None else joint.chunk(3)
        biases = (None, None, None) if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        return [F.linear(*one) for one in zip((query, key, value), weights, biases, strict=True)]

    def _mask(self, mask: Tensor | None, padding: Tensor | None, query: Tensor, key: Tensor) -> Tensor | None:
        """Both masks as one that is added to the scores."""
        bias = None if mask is None else _added(mask, query)
        if bias is not None:
            bias = bias[None, None] if bias.dim() == 2 else bias.unflatten(0, (-1, self.num_heads))
        if padding is not None:
            keys = _added(padding, query).view(-1, 1, 1, key.shape[1])
            bias = keys if bias is None else bias + keys
        return bias


def _added(mask: Tensor, like: Tensor) -> Tensor:
    return like.new_zeros(mask.shape).masked_fill(mask, -torch.inf) if mask.dtype is torch.bool else mask.to(like)


@contextmanager
def free_heads(model: nn.Module) -> Iterator[None]:
    """Inside the block every ``nn.MultiheadAttention`` runs as :class:`HeadAttention`.

    Example:
        >>> layer = nn.MultiheadAttention(4, 2)
        >>> with free_heads(layer):
        ...     type(layer).__name__
        'HeadAttention'
        >>> type(layer).__name__
        'MultiheadAttention'
    """
    plain = [module for module in modules_of(model).values() if type(module) is nn.MultiheadAttention]
    flags = [module._qkv_same_embed_dim for module in plain]
    try:
        for module in plain:
            HeadAttention.of(module)
        yield
    finally:
        for module, flag in zip(plain, flags, strict=True):
            module.__class__ = nn.MultiheadAttention
            module._qkv_same_embed_dim = flag
            del module.scale

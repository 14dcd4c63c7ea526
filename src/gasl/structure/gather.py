"""A linear layer that reads some of its input's features."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

__all__ = ["GatherLinear"]


class GatherLinear(nn.Linear):
    """``y = x[..., index] @ weight.T + bias``: a linear layer whose other input features were removed one by one.

    Parameter names are those of ``nn.Linear``; ``index`` is a buffer, so that it is saved, moved and exported.

    Args:
        index: Which input features are read, shape ``(in_features,)``.
        out_features: Number of outputs.
        bias: Whether there is a bias.
        device: Where the parameters live.
        dtype: Their type.

    Example:
        >>> layer = GatherLinear(torch.tensor([2, 0]), out_features=1, bias=False)
        >>> _ = layer.weight.data.fill_(1.0)
        >>> layer(torch.tensor([[1.0, 10.0, 100.0]])).tolist()
        [[101.0]]
    """

    index: Tensor

    def __init__(
        self,
        index: Tensor,
        out_features: int,
        bias: bool = True,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(index.numel(), out_features, bias, device, dtype)
        self.register_buffer("index", index.to(device))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - nn.Linear's name
        """Select, then apply the linear map."""
        return F.linear(input.index_select(-1, self.index), self.weight, self.bias)

"""For each network of the zoo: what is left of its parameters at most, and what lies on removable axes at least.

Half of the units of every axis are killed, so a convolution or linear layer between two removable widths keeps a
quarter. ``body``: of convolution and linear weights, or of attention and feed-forward weights (see ``Entry.core``).
"""

from typing import NamedTuple

__all__ = ["FLOORS", "Floor"]


class Floor(NamedTuple):
    """Shares of the parameters."""

    left: float
    body: float
    total: float


FLOORS = {
    "vgg": Floor(0.2, 1.0, 0.99),
    "vgg-bn": Floor(0.2, 1.0, 0.99),
    "resnet-18": Floor(0.27, 1.0, 0.99),
    "resnet-50": Floor(0.34, 1.0, 0.99),
    "resnet-v2": Floor(0.31, 1.0, 0.99),
    "resnext": Floor(0.64, 0.67, 0.66),
    "densenet": Floor(0.3, 1.0, 0.99),
    "inception": Floor(0.33, 1.0, 0.99),
    "shufflenet-v2": Floor(0.78, 0.47, 0.44),
    "mobilenet-v1": Floor(0.79, 0.46, 0.43),
    "mobilenet-v3": Floor(0.83, 0.36, 0.34),
    "se-resnet": Floor(0.29, 1.0, 0.99),
    "u-net": Floor(0.39, 0.94, 0.93),
    "autoencoder": Floor(0.88, 0.29, 0.29),
    "super-resolution": Floor(0.41, 0.98, 0.97),
    "conv-1d": Floor(0.31, 1.0, 0.99),
    "conv-3d": Floor(0.3, 1.0, 0.99),
    "group-norm": Floor(0.85, 0.31, 0.3),
    "diffusion": Floor(0.79, 0.44, 0.43),
    "lstm": Floor(0.75, 0.63, 0.52),
    "table": Floor(0.44, 1.0, 0.89),
    "siamese": Floor(0.8, 0.41, 0.41),
    "pyramid": Floor(0.3, 1.0, 0.99),
    "vit-multihead": Floor(0.82, 0.46, 0.38),
    "vit-separate": Floor(0.82, 0.46, 0.38),
    "vit-narrow": Floor(0.78, 0.56, 0.44),
    "vit-fused": Floor(0.82, 0.46, 0.38),
    "vit-square": Floor(0.87, 0.33, 0.27),
    "vit-qk-norm": Floor(0.82, 0.46, 0.37),
    "vit-einsum": Floor(0.81, 0.48, 0.39),
    "vit-einsum-linear": Floor(0.82, 0.46, 0.38),
    "llama-own": Floor(0.81, 0.46, 0.38),
    "llama-rmsnorm": Floor(0.77, 0.61, 0.46),
    "tied-transformer": Floor(0.82, 0.5, 0.36),
    "tied-words": Floor(0.73, 1.0, 0.56),
    "transformer": Floor(0.85, 0.36, 0.31),
    "hf-resnet": Floor(0.4, 1.0, 0.99),
    "hf-resnet-basic": Floor(0.28, 1.0, 0.99),
    "hf-convnext": Floor(0.69, 1.0, 0.63),
    "hf-mobilenet-v1": Floor(0.86, 0.3, 0.29),
    "hf-mobilenet-v2": Floor(0.45, 0.93, 0.9),
    "hf-regnet-x": Floor(0.68, 0.61, 0.6),
    "hf-regnet-y": Floor(0.68, 0.64, 0.62),
    "hf-efficientnet": Floor(0.7, 0.63, 0.58),
    "hf-vit": Floor(0.84, 0.42, 0.34),
    "hf-deit": Floor(0.84, 0.42, 0.33),
    "hf-beit": Floor(0.83, 0.42, 0.34),
    "hf-swin": Floor(0.8, 0.48, 0.42),
    "hf-swin-v2": Floor(0.66, 0.71, 0.7),
    "hf-dinov2": Floor(0.8, 0.49, 0.4),
    "hf-dinov2-swiglu": Floor(0.8, 0.49, 0.41),
    "hf-segformer": Floor(0.92, -0.01, 0.14),
    "hf-levit": Floor(0.53, 0.98, 0.94),
    "hf-cvt": Floor(0.76, 0.66, 0.49),
    "hf-poolformer": Floor(0.83, 1.0, 0.36),
    "hf-mobilevit": Floor(0.62, 0.67, 0.64),
    "hf-clip": Floor(0.84, 0.43, 0.33),
    "hf-whisper": Floor(0.83, 0.33, 0.35),
    "hf-wav2vec2": Floor(0.81, 0.44, 0.39),
    "hf-bert": Floor(0.85, 0.44, 0.31),
    "hf-bert-classifier": Floor(0.82, 0.44, 0.38),
    "hf-roberta": Floor(0.82, 0.44, 0.38),
    "hf-distilbert": Floor(0.82, 0.44, 0.38),
    "hf-albert": Floor(0.82, 0.44, 0.37),
    "hf-electra": Floor(0.81, 0.44, 0.38),
    "hf-t5": Floor(0.85, 0.35, 0.32),
    "hf-t5-gated": Floor(0.8, 0.45, 0.41),
    "hf-bart": Floor(0.87, 0.36, 0.28),
    "hf-neox": Floor(0.88, 0.32, 0.25),
    "hf-llama": Floor(0.82, 0.46, 0.37),
    "hf-llama-square": Floor(0.78, 0.58, 0.45),
    "hf-mistral": Floor(0.82, 0.46, 0.37),
    "hf-qwen2": Floor(0.8, 0.51, 0.41),
    "hf-qwen3": Floor(0.82, 0.46, 0.37),
    "hf-gemma": Floor(0.82, 0.46, 0.37),
}

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
    "resnext": Floor(0.19, 1.0, 0.99),
    "densenet": Floor(0.3, 1.0, 0.99),
    "inception": Floor(0.33, 1.0, 0.99),
    "shufflenet-v2": Floor(0.39, 1.0, 0.99),
    "shufflenet-v1": Floor(0.55, 1.0, 0.99),
    "mobilenet-v1": Floor(0.38, 1.0, 0.99),
    "mobilenet-v3": Floor(0.42, 1.0, 0.99),
    "se-resnet": Floor(0.29, 1.0, 0.99),
    "u-net": Floor(0.28, 1.0, 0.99),
    "autoencoder": Floor(0.3, 1.0, 0.99),
    "super-resolution": Floor(0.33, 1.0, 0.99),
    "conv-1d": Floor(0.31, 1.0, 0.99),
    "conv-3d": Floor(0.3, 1.0, 0.99),
    "group-norm": Floor(0.28, 1.0, 0.99),
    "instance-norm": Floor(0.32, 1.0, 0.99),
    "diffusion": Floor(0.35, 1.0, 0.99),
    "lstm": Floor(0.32, 1.0, 0.99),
    "lstm-2-both": Floor(0.3, 1.0, 0.99),
    "gru": Floor(0.36, 1.0, 0.98),
    "gru-2-both": Floor(0.35, 1.0, 0.99),
    "cells": Floor(0.34, 1.0, 0.99),
    "table": Floor(0.33, 1.0, 0.99),
    "siamese": Floor(0.33, 1.0, 0.99),
    "pyramid": Floor(0.3, 1.0, 0.99),
    "vit-multihead": Floor(0.5, 1.0, 0.82),
    "vit-separate": Floor(0.64, 1.0, 0.82),
    "vit-narrow": Floor(0.61, 1.0, 0.79),
    "vit-fused": Floor(0.64, 1.0, 0.82),
    "vit-fused-as-wide": Floor(0.82, 0.46, 0.38),
    "vit-square": Floor(0.6, 1.0, 0.82),
    "vit-qk-norm": Floor(0.64, 1.0, 0.82),
    "vit-einsum": Floor(0.5, 1.0, 0.82),
    "vit-einsum-linear": Floor(0.5, 1.0, 0.82),
    "llama-own": Floor(0.59, 1.0, 0.83),
    "llama-rmsnorm": Floor(0.32, 1.0, 0.99),
    "tied-transformer": Floor(0.71, 1.0, 0.72),
    "tied-words": Floor(0.38, 1.0, 0.99),
    "transformer": Floor(0.44, 1.0, 0.86),
    "hf-resnet": Floor(0.4, 1.0, 0.99),
    "hf-resnet-basic": Floor(0.28, 1.0, 0.99),
    "hf-convnext": Floor(0.69, 1.0, 0.63),
    "hf-mobilenet-v1": Floor(0.3, 1.0, 0.99),
    "hf-mobilenet-v2": Floor(0.3, 1.0, 0.99),
    "hf-regnet-x": Floor(0.2, 1.0, 0.99),
    "hf-regnet-y": Floor(0.2, 1.0, 0.99),
    "hf-efficientnet": Floor(0.38, 1.0, 0.99),
    "hf-vit": Floor(0.52, 1.0, 0.82),
    "hf-deit": Floor(0.52, 1.0, 0.8),
    "hf-beit": Floor(0.59, 1.0, 0.82),
    "hf-swin": Floor(0.46, 1.0, 0.91),
    "hf-swin-v2": Floor(0.65, 1.0, 0.7),
    "hf-dinov2": Floor(0.51, 1.0, 0.84),
    "hf-dinov2-swiglu": Floor(0.51, 1.0, 0.84),
    "hf-segformer": Floor(0.65, 1.0, 0.6),
    "hf-levit": Floor(0.41, 1.0, 0.96),
    "hf-cvt": Floor(0.67, 0.98, 0.72),
    "hf-poolformer": Floor(0.83, 1.0, 0.36),
    "hf-mobilevit": Floor(0.44, 1.0, 0.97),
    "hf-clip": Floor(0.54, 1.0, 0.78),
    "hf-whisper": Floor(0.46, 1.0, 0.86),
    "hf-wav2vec2": Floor(0.52, 1.0, 0.81),
    "hf-bert": Floor(0.57, 1.0, 0.73),
    "hf-bert-classifier": Floor(0.54, 1.0, 0.79),
    "hf-roberta": Floor(0.54, 1.0, 0.79),
    "hf-distilbert": Floor(0.54, 1.0, 0.79),
    "hf-albert": Floor(0.58, 1.0, 0.72),
    "hf-electra": Floor(0.53, 1.0, 0.81),
    "hf-t5": Floor(0.41, 1.0, 0.93),
    "hf-t5-gated": Floor(0.43, 1.0, 0.93),
    "hf-bart": Floor(0.5, 1.0, 0.78),
    "hf-gpt2": Floor(0.54, 1.0, 0.78),
    "hf-neox": Floor(0.47, 1.0, 0.8),
    "hf-llama": Floor(0.26, 1.0, 0.99),
    "hf-llama-square": Floor(0.29, 1.0, 0.99),
    "hf-mistral": Floor(0.26, 1.0, 0.99),
    "hf-qwen2": Floor(0.26, 1.0, 0.99),
    "hf-qwen3": Floor(0.3, 1.0, 0.99),
    "hf-gemma": Floor(0.51, 1.0, 0.81),
}

"""Networks for images and sound as the ``transformers`` library has them, from small configurations."""

import torch
import transformers as hf

from zoo.entry import Entry, images

__all__ = ["ENTRIES"]

HEADS = {"num_attention_heads": 3, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
VIT = {"hidden_size": 30, "num_hidden_layers": 2, "intermediate_size": 44, "image_size": 16, "patch_size": 4}


def resnet(kind):
    depths = {"embedding_size": 10, "hidden_sizes": [12, 20, 28], "depths": [1, 2, 1]}
    return hf.ResNetForImageClassification(hf.ResNetConfig(**depths, layer_type=kind, num_labels=7))


def convnext(kind="V1"):
    config, model = {
        "V1": (hf.ConvNextConfig, hf.ConvNextForImageClassification),
        "V2": (hf.ConvNextV2Config, hf.ConvNextV2ForImageClassification),
    }[kind]
    return model(config(hidden_sizes=[8, 14, 22], depths=[1, 1, 2], num_stages=3, patch_size=2, num_labels=7))


def mobilenet_v1():
    return hf.MobileNetV1ForImageClassification(hf.MobileNetV1Config(depth_multiplier=0.125, num_labels=7))


def mobilenet_v2():
    config = hf.MobileNetV2Config(depth_multiplier=0.25, depth_divisible_by=2, min_depth=2, num_labels=7)
    return hf.MobileNetV2ForImageClassification(config)


def regnet(kind):
    config = hf.RegNetConfig(
        embedding_size=10, hidden_sizes=[12, 20, 32], depths=[1, 2, 1], groups_width=4, layer_type=kind, num_labels=7
    )
    return hf.RegNetForImageClassification(config)


def efficientnet():
    config = hf.EfficientNetConfig(
        width_coefficient=0.0625, depth_coefficient=0.3, depth_divisor=2, hidden_dim=80, num_labels=7, image_size=32
    )
    return hf.EfficientNetForImageClassification(config)


def vit():
    return hf.ViTForImageClassification(hf.ViTConfig(**VIT, **HEADS, num_labels=7))


def deit():
    return hf.DeiTForImageClassificationWithTeacher(hf.DeiTConfig(**VIT, **HEADS, num_labels=7))


def beit():
    config = hf.BeitConfig(**VIT, **HEADS, num_labels=7, use_relative_position_bias=True, layer_scale_init_value=0.5)
    return hf.BeitForImageClassification(config)


def swin(kind="V1"):
    config, model = {
        "V1": (hf.SwinConfig, hf.SwinForImageClassification),
        "V2": (hf.Swinv2Config, hf.Swinv2ForImageClassification),
    }[kind]
    sizes = {"image_size": 32, "patch_size": 2, "embed_dim": 12, "depths": [2, 1], "num_heads": [2, 4]}
    return model(config(**sizes, window_size=4, mlp_ratio=2.5, drop_path_rate=0.0, num_labels=7))


def dinov2(gated):
    config = hf.Dinov2Config(
        **{k: v for k, v in VIT.items() if k != "intermediate_size"}, num_attention_heads=3, mlp_ratio=2,
        use_swiglu_ffn=gated, num_labels=7,
    )  # fmt: skip
    return hf.Dinov2ForImageClassification(config)


def segformer():
    config = hf.SegformerConfig(
        num_encoder_blocks=3, depths=[1, 1, 1], hidden_sizes=[8, 18, 28], num_attention_heads=[1, 2, 4],
        sr_ratios=[4, 2, 1], patch_sizes=[7, 3, 3], strides=[4, 2, 2], mlp_ratios=[3, 3, 2], decoder_hidden_size=26,
        num_labels=5,
    )  # fmt: skip
    return hf.SegformerForSemanticSegmentation(config)


def levit():
    config = hf.LevitConfig(
        image_size=64, hidden_sizes=[16, 24, 40], num_attention_heads=[2, 3, 5], depths=[1, 1, 1], key_dim=[6, 7, 9],
        down_ops=[["Subsample", 6, 4, 2, 2, 2], ["Subsample", 7, 4, 2, 2, 2], [""]],
        mlp_ratio=[2, 2, 2], attention_ratio=[2, 2, 2], num_labels=7,
    )  # fmt: skip
    return hf.LevitForImageClassification(config)


def cvt():
    config = hf.CvtConfig(
        embed_dim=[12, 20, 30], num_heads=[1, 2, 3], depth=[1, 2, 3], patch_sizes=[7, 3, 3], drop_path_rate=[0.0] * 3,
        num_labels=7,
    )  # fmt: skip
    return hf.CvtForImageClassification(config)


def poolformer():
    config = hf.PoolFormerConfig(
        depths=[1, 1, 1], hidden_sizes=[10, 16, 26], num_encoder_blocks=3, patch_sizes=[7, 3, 3], strides=[4, 2, 2],
        padding=[2, 1, 1], mlp_ratio=2.0, layer_scale_init_value=0.5, num_labels=7,
    )  # fmt: skip
    return hf.PoolFormerForImageClassification(config)


def mobilevit():
    config = hf.MobileViTConfig(
        image_size=64, hidden_sizes=[24, 28, 32], neck_hidden_sizes=[6, 8, 12, 14, 18, 20, 46], num_attention_heads=4,
        mlp_ratio=2.0, expand_ratio=2.0, num_labels=7,
    )  # fmt: skip
    return hf.MobileViTForImageClassification(config)


def clip():
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 3}
    text = {"vocab_size": 61, "hidden_size": 24, "intermediate_size": 38, "max_position_embeddings": 24, **sizes}
    vision = {"hidden_size": 30, "intermediate_size": 44, "image_size": 16, "patch_size": 4, **sizes}
    return hf.CLIPModel(
        hf.CLIPConfig(
            text_config=text | {"eos_token_id": 60, "bos_token_id": 1, "pad_token_id": 0},
            vision_config=vision,
            projection_dim=17,
        )
    )


def text_and_image(batch, size):
    ids = torch.randint(3, 60, (batch, size))
    ids[:, -1] = 60
    return {"input_ids": ids, "pixel_values": torch.randn(batch, 3, 16, 16)}


def whisper():
    config = hf.WhisperConfig(
        vocab_size=61, num_mel_bins=10, encoder_layers=1, decoder_layers=2, encoder_attention_heads=3,
        decoder_attention_heads=4, encoder_ffn_dim=44, decoder_ffn_dim=38, d_model=24, max_source_positions=20,
        max_target_positions=16, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    return hf.WhisperForConditionalGeneration(config)


def sound_and_text(batch, size):
    ids = torch.randint(61, (batch, size))
    return {"input_features": torch.randn(batch, 10, 40), "decoder_input_ids": ids, "use_cache": False}


def wav2vec2():
    config = hf.Wav2Vec2Config(
        vocab_size=19, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=38,
        conv_dim=(10, 14, 16), conv_stride=(5, 2, 2), conv_kernel=(10, 3, 2), num_feat_extract_layers=3,
        num_conv_pos_embeddings=6, num_conv_pos_embedding_groups=4, mask_time_prob=0.0, mask_feature_prob=0.0,
        layerdrop=0.0,
    )  # fmt: skip
    return hf.Wav2Vec2ForCTC(config)


def sound(batch, size):
    return torch.randn(batch, 40 * size)


BLOCKS = r"(?<!conv_)(layers?|stages|blocks?)\.\d+\."
ENTRIES = (
    Entry("hf-resnet", "residual", lambda: resnet("bottleneck"), images(), 32, 40),
    Entry("hf-resnet-basic", "residual", lambda: resnet("basic"), images(), 32, 40),
    Entry("hf-convnext", "depthwise, LayerNorm", convnext, images(), 32, 40, core="pwconv"),
    Entry("hf-convnext-v2", "global response norm", lambda: convnext("V2"), images(), 32, 40, core="pwconv"),
    Entry("hf-mobilenet-v1", "depthwise", mobilenet_v1, images(), 32, 40),
    Entry("hf-mobilenet-v2", "inverted residual", mobilenet_v2, images(), 32, 40),
    Entry("hf-regnet-x", "grouped", lambda: regnet("x"), images(), 32, 40),
    Entry("hf-regnet-y", "grouped, gate", lambda: regnet("y"), images(), 32, 40),
    Entry("hf-efficientnet", "inverted residual, gate", efficientnet, images(), 32, 40),
    Entry("hf-vit", "ViT", vit, images(), 16, core=BLOCKS),
    Entry("hf-deit", "ViT, two tokens", deit, images(), 16, core=BLOCKS),
    Entry("hf-beit", "relative positions", beit, images(), 16, core=BLOCKS),
    Entry("hf-swin", "windows", swin, images(), 32, core=BLOCKS),
    Entry(
        "hf-swin-v2",
        "windows, cosine",
        lambda: swin("V2"),
        images(),
        32,
        core=r"\.(query|key|value|dense)\.weight",
        louder="position_bias_mlp.2",
    ),
    Entry("hf-dinov2", "ViT, layer scale", lambda: dinov2(False), images(), 16, 24, core=BLOCKS),
    Entry("hf-dinov2-swiglu", "ViT, SwiGLU", lambda: dinov2(True), images(), 16, 24, core=BLOCKS),
    Entry("hf-segformer", "reduced keys, decoder", segformer, images(), 32, 48, core=r"attention\.\w_proj|mlp\.fc"),
    Entry("hf-levit", "attention with BatchNorm", levit, images(), 64),
    Entry("hf-cvt", "convolutional projections", cvt, images(), 32, 48, core=r"\.(projection_\w+|dense)\.weight"),
    Entry("hf-poolformer", "pooling for attention", poolformer, images(), 32, 48, core="output.conv"),
    Entry("hf-mobilevit", "unfolded attention", mobilevit, images(), 64),
    Entry("hf-clip", "two towers", clip, text_and_image, 9, 12, core=BLOCKS),
    Entry("hf-whisper", "sound, decoder", whisper, sound_and_text, 7, 10, core=BLOCKS),
    Entry("hf-wav2vec2", "waveform, weight norm", wav2vec2, sound, 10, 14, core=BLOCKS),
)

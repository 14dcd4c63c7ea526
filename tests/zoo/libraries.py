"""Architectures of other model libraries, as they are: timm, vit-pytorch and x-transformers, if installed."""

import importlib.util

from torch import nn

from zoo.entry import Entry, images, tokens
from zoo.stub import without_torchvision

__all__ = ["entries"]

# Names of timm with the resolution that each is built for, or 0 where it takes any.
TIMM = {
    "test_byobnet": 0, "test_convnext": 0, "test_convnext2": 0, "test_convnext3": 0,
    "test_efficientnet": 0, "test_efficientnet_evos": 0, "test_efficientnet_gn": 0, "test_efficientnet_ln": 0,
    "test_mambaout": 0, "test_nfnet": 0, "test_resnet": 0, "test_vit": 64, "test_vit2": 64,
    "test_vit3": 64, "test_vit4": 64, "test_vit_relpos": 64, "dla46x_c": 0, "efficientnet_lite0": 0, "lcnet_050": 0,
    "mobilenetv3_small_050": 0, "mobilenetv4_conv_small_035": 0, "mnasnet_small": 0, "tinynet_e": 0,
    "ghostnet_050": 0, "regnetx_002": 0, "regnety_002": 0, "regnetz_005": 0, "resnet18": 0, "resnet26t": 0,
    "resnext26ts": 0, "seresnext26ts": 0, "eca_resnext26ts": 0, "gcresnet33ts": 0, "skresnet18": 0, "resnest14d": 0,
    "res2net50_14w_8s": 0, "densenet121": 0, "vovnet39a": 0, "ese_vovnet19b_dw": 0, "repvgg_a0": 0, "cspresnet50": 0,
    "darknet17": 0, "hrnet_w18_small": 0, "selecsls42": 0, "xception41": 0, "hardcorenas_a": 0, "semnasnet_050": 0,
    "edgenext_xx_small": 0, "mobilevit_xxs": 64, "mobilevitv2_050": 64, "mobileone_s0": 0, "repghostnet_050": 0,
    "starnet_s1": 0, "fastvit_t8": 0, "poolformer_s12": 0, "caformer_s18": 0, "convmixer_768_32": 0,
    "mixer_s32_224": 64, "gmlp_ti16_224": 64, "resmlp_12_224": 64, "deit_tiny_patch16_224": 64, "cait_xxs24_224": 64,
    "xcit_nano_12_p16_224": 64, "eva02_tiny_patch14_224": 56, "swin_tiny_patch4_window7_224": 56,
    "visformer_tiny": 64, "convit_tiny": 64, "pit_ti_224": 64, "crossvit_tiny_240": 0,
    "coat_tiny": 64, "tnt_s_patch16_224": 64, "twins_pcpvt_small": 64, "efficientformer_l1": 224,
    "efficientvit_b0": 0, "nest_tiny": 64, "pvt_v2_b0": 0, "sequencer2d_s": 64,
    "volo_d1_224": 64, "focalnet_tiny_srf": 0, "davit_tiny": 0, "gcvit_xxtiny": 64, "mvitv2_tiny": 64,
    "inception_v3": 0, "nf_resnet26": 0, "botnet26t_256": 64,
    "vitamin_small_224": 64, "test_coatnet": 64, "test_maxvit": 64, "maxvit_pico_rw_256": 64, "hiera_tiny_224": 64,
    "levit_128s": 64,
}  # fmt: skip


def _timm(name, size):
    import timm

    def build():
        if size:
            return timm.create_model(name, num_classes=7, img_size=size)
        return timm.create_model(name, num_classes=7)

    return Entry(f"timm-{name}", "timm", build, images(), size or 96, None if size else 128)


def _vit_pytorch():
    from vit_pytorch import ViT, cait, cct, deepvit, levit, max_vit, mobile_vit, pit, simple_vit, twins_svt

    sizes = {"image_size": 32, "patch_size": 8, "num_classes": 7, "dim": 30, "heads": 5, "mlp_dim": 44}
    models = {
        "vit": lambda: ViT(**sizes, depth=2, dim_head=7),
        "simple": lambda: simple_vit.SimpleViT(**sizes | {"dim": 28}, depth=2, dim_head=7),
        "deep": lambda: deepvit.DeepViT(**sizes, depth=2, dim_head=7),
        "cait": lambda: cait.CaiT(**sizes, depth=2, cls_depth=1, dim_head=7),
        "cct": lambda: cct.CCT(img_size=32, embedding_dim=30, num_layers=2, num_heads=5, mlp_ratio=2, num_classes=7),
        "pit": lambda: pit.PiT(**{**sizes, "depth": (1, 1)}, dim_head=7),
        "levit": lambda: levit.LeViT(image_size=64, num_classes=7, dim=(16, 24), depth=1, heads=(2, 3), mlp_mult=2),
        "max": lambda: max_vit.MaxViT(num_classes=7, dim=24, dim_head=8, depth=(1, 1), window_size=4, dim_conv_stem=14),
        "mobile": lambda: mobile_vit.MobileViT(
            (64, 64), [24, 28, 32], [6, 8, 12, 12, 14, 14, 18, 18, 20, 20, 46], 7, depths=(1, 1, 1)
        ),
        "twins": lambda: twins_svt.TwinsSVT(
            num_classes=7, s1_emb_dim=10, s1_patch_size=4, s1_local_patch_size=4, s1_global_k=4, s1_depth=1,
            s2_emb_dim=14, s2_patch_size=2, s2_local_patch_size=4, s2_global_k=4, s2_depth=1,
            s3_emb_dim=18, s3_patch_size=2, s3_local_patch_size=2, s3_global_k=2, s3_depth=1,
            s4_emb_dim=22, s4_patch_size=2, s4_local_patch_size=1, s4_global_k=1, s4_depth=1,
        ),
    }  # fmt: skip
    large = {"levit": 64, "max": 32, "mobile": 64, "twins": 64}
    return [Entry(f"vit-pytorch-{k}", "vit-pytorch", build, images(), large.get(k, 32)) for k, build in models.items()]


class _Words(nn.Module):
    """x-transformers takes its tokens by position."""

    def __init__(self, **settings):
        super().__init__()
        from x_transformers import Decoder, TransformerWrapper

        layers = Decoder(dim=30, depth=2, heads=5, attn_dim_head=7, **settings)
        self.inner = TransformerWrapper(num_tokens=61, max_seq_len=20, attn_layers=layers)

    def forward(self, input_ids):
        return self.inner(input_ids)


def _x_transformers():
    variants = {
        "plain": {},
        "rotary": {"rotary_pos_emb": True, "use_rmsnorm": True, "ff_glu": True, "ff_swish": True},
        "grouped": {"attn_kv_heads": 1, "attn_flash": True},
        "alibi": {"alibi_pos_bias": True, "ff_relu_squared": True, "use_scalenorm": True},
        "gated": {"attn_gate_values": True, "attn_qk_norm": True, "ff_no_bias": True},
    }
    return [
        Entry(f"x-transformers-{k}", "x-transformers", lambda s=s: _Words(**s), tokens(61), 7, 11)
        for k, s in variants.items()
    ]


def entries():
    """What the installed libraries give."""
    without_torchvision()
    found = []
    if importlib.util.find_spec("timm"):
        found += [_timm(name, size) for name, size in TIMM.items()]
    if importlib.util.find_spec("vit_pytorch"):
        found += _vit_pytorch()
    if importlib.util.find_spec("x_transformers"):
        found += _x_transformers()
    return {entry.name: entry for entry in found}

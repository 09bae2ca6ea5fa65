"""Networks of both libraries, small enough for a test, with random weights: what they find means nothing."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

NAMES = {0: "dog", 1: "road", 2: "person"}  # stuff between things, so that an order must be made
DETR = {"encoder_hidden_dim": 16, "encoder_in_channels": [8, 16, 16], "encoder_ffn_dim": 16} | {
    "encoder_attention_heads": 2, "d_model": 16, "num_queries": 12, "decoder_in_channels": [16, 16, 16],
    "decoder_ffn_dim": 16, "decoder_layers": 2, "decoder_attention_heads": 2,
}  # fmt: skip
HYBRID = ("rt_detr_v2", "d_fine")  # a backbone and an encoder of convolutions and attention
STAGES = ["stage2", "stage3", "stage4"]


class Backbone(nn.Module):
    """One level at a stride of 8."""

    out_channels = 32

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, self.out_channels, 8, stride=8)

    def forward(self, pictures: Tensor) -> OrderedDict[str, Tensor]:
        return OrderedDict([("0", self.layer(pictures).relu())])


def torchvision_network(kind: str, size: int, classes: int = 5) -> Any:
    """A network of a family, which neither resizes nor normalises pictures of `size`, nor suppresses anything."""
    from torchvision.models import detection
    from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
    from torchvision.ops import MultiScaleRoIAlign

    torch.manual_seed(3)
    plain: dict[str, Any] = {"image_mean": [0.0] * 3, "image_std": [1.0] * 3}
    sized = {"min_size": size, "max_size": size}
    if kind == "ssd":
        boxes = DefaultBoxGenerator([[2]], scales=[0.2, 0.4])
        head = detection.ssd.SSDHead([32], boxes.num_anchors_per_location(), classes)
        whole = {"score_thresh": 0.0, "nms_thresh": 1.0, "detections_per_img": 1000, "topk_candidates": 1000}
        network: Any = detection.ssd.SSD(Backbone(), boxes, (size, size), classes, head=head, **whole, **plain)
    elif kind in ("retinanet", "fcos"):
        ratios = (0.5, 1.0) if kind == "retinanet" else (1.0,)
        whole = {"score_thresh": 0.0, "nms_thresh": 1.0, "detections_per_img": 1000, "topk_candidates": 1000}
        anchors = AnchorGenerator(((16,),), (ratios,))
        maker = detection.RetinaNet if kind == "retinanet" else detection.FCOS
        network = maker(Backbone(), classes, anchor_generator=anchors, **sized, **whole, **plain)
    else:
        whole = {"box_score_thresh": 0.0, "box_nms_thresh": 1.0, "box_detections_per_img": 1000}
        parts: dict[str, Any] = {
            "rpn_anchor_generator": AnchorGenerator(((16, 24),), ((0.5, 1.0),)),
            "box_roi_pool": MultiScaleRoIAlign(["0"], 7, 2),
            "rpn_post_nms_top_n_test": 50,
        }
        maker = detection.FasterRCNN
        if kind == "maskrcnn":
            parts["mask_roi_pool"] = MultiScaleRoIAlign(["0"], 14, 2)
            whole["box_detections_per_img"] = 20
            maker = detection.MaskRCNN
        network = maker(Backbone(), classes, **sized, **whole, **plain, **parts)
    with torch.no_grad():  # scores that differ, so that their order does not hang on rounding
        for name, values in network.named_parameters():
            if (
                name.endswith(("cls_logits.weight", "cls_score.weight", "mask_fcn_logits.weight"))
                or ".classification_" in name
            ):
                values.normal_(std=4.0 if "cls_score" in name else 0.5)
    return network.eval()


def transformers_folder(kind: str, path: Path, *, picture: dict[str, Any] | None = None) -> Path:
    """The folder of a network of a ``model_type``."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(1)
    network = NETWORKS[kind](transformers, {"id2label": NAMES, "label2id": {v: k for k, v in NAMES.items()}})
    with torch.no_grad():
        for name, values in network.named_parameters():
            if ("class" in name or "score_head" in name) and values.ndim == 2:
                values.normal_(std=2.0)
            elif kind in HYBRID and not name.startswith("model.decoder."):
                # Else next to nothing of a picture is left, places have equal scores, and rounding chooses.
                if values.ndim >= 2:
                    values.normal_(std=(2 / values[0].numel()) ** 0.5)
                elif name.endswith("weight"):
                    values.uniform_(0.5, 1.5)
    network.eval().save_pretrained(path)
    if picture is not None:
        (path / "preprocessor_config.json").write_text(json.dumps(picture))
    if kind == "oneformer":
        _tokenizer(transformers, path)
    return path


def _tokenizer(t: Any, path: Path) -> None:
    """One of letters, of which no two are joined: ``the`` is 4, 5, 6."""
    words = ["<|startoftext|>", "<|endoftext|>", "a", "s", "t", "h", "e</w>"]
    t.CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[]).save_pretrained(path)


def _rt_detr_v2(t: Any, labels: dict[str, Any]) -> Any:
    backbone = t.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, layer_type="basic", out_features=STAGES
    )
    return t.RTDetrV2ForObjectDetection(t.RTDetrV2Config(backbone_config=backbone, **DETR, **labels))


def _d_fine(t: Any, labels: dict[str, Any]) -> Any:
    backbone = t.HGNetV2Config(
        stage_in_channels=[8, 8, 8, 16], stage_mid_channels=[8] * 4, stage_out_channels=[8, 8, 16, 16],
        stage_num_blocks=[1] * 4, stage_downsample=[False, True, True, True], stage_light_block=[False] * 4,
        stage_kernel_size=[3] * 4, stage_numb_of_layers=[1] * 4, stem_channels=[3, 8, 8], depths=[1] * 4,
        hidden_sizes=[8, 8, 16, 16], embedding_size=8, out_features=STAGES,
    )  # fmt: skip
    more = {"decoder_n_points": [2, 2, 2], "hidden_expansion": 0.5, "max_num_bins": 4}
    return t.DFineForObjectDetection(t.DFineConfig(backbone_config=backbone, **more, **DETR, **labels))


def _rf_detr(t: Any, labels: dict[str, Any]) -> Any:
    from transformers.models.rf_detr.configuration_rf_detr import RfDetrDinov2Config

    backbone = RfDetrDinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=64, patch_size=16,
        num_windows=2, out_indices=[1, 2],
    )  # fmt: skip
    config = t.RfDetrConfig(
        backbone_config=backbone, d_model=16, decoder_layers=2, decoder_ffn_dim=16, decoder_self_attention_heads=2,
        decoder_cross_attention_heads=2, num_queries=12, group_detr=1, **labels,
    )  # fmt: skip
    return t.RfDetrForObjectDetection(config)


def _eomt(t: Any, labels: dict[str, Any]) -> Any:
    config = t.EomtConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=16, num_queries=8,
        num_blocks=1, num_upscale_blocks=1, num_register_tokens=1, **labels,
    )  # fmt: skip
    return t.EomtForUniversalSegmentation(config)


def _swin(t: Any) -> Any:
    stages = ["stage1", *STAGES]
    return t.SwinConfig(embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=4, out_features=stages)


MASKS = {"num_queries": 8, "hidden_dim": 32, "encoder_feedforward_dim": 16, "encoder_layers": 1} | {
    "decoder_layers": 2, "num_attention_heads": 2, "dim_feedforward": 16,
}  # fmt: skip


def _mask2former(t: Any, labels: dict[str, Any]) -> Any:
    config = t.Mask2FormerConfig(backbone_config=_swin(t), feature_size=32, mask_feature_size=32, **MASKS, **labels)
    return t.Mask2FormerForUniversalSegmentation(config)


def _oneformer(t: Any, labels: dict[str, Any]) -> Any:
    config = t.OneFormerConfig(
        backbone_config=_swin(t), conv_dim=32, mask_dim=32, task_seq_len=8, text_encoder_width=16,
        text_encoder_num_layers=1, text_encoder_context_length=8, text_encoder_vocab_size=20, is_training=False,
        **MASKS, **labels,
    )  # fmt: skip
    return t.OneFormerForUniversalSegmentation(config)


def _segformer(t: Any, labels: dict[str, Any]) -> Any:
    config = t.SegformerConfig(
        hidden_sizes=[8] * 4, depths=[1] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8, mlp_ratios=[1] * 4,
        **labels,
    )  # fmt: skip
    return t.SegformerForSemanticSegmentation(config)


NETWORKS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "rt_detr_v2": _rt_detr_v2,
    "d_fine": _d_fine,
    "rf_detr": _rf_detr,
    "eomt": _eomt,
    "mask2former": _mask2former,
    "oneformer": _oneformer,
    "segformer": _segformer,
}

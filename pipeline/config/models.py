"""Settings of what is done with a frame: detector, segmenter, suppression, tracker."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from pipeline.config.settings import Settings

EMBEDDED_MODEL = "everyframe-nano"
EMBEDDED_INT8 = "everyframe-nano-int8"
EMBEDDED_MODELS = (EMBEDDED_MODEL, EMBEDDED_INT8)
NO_MODEL = "none"
TORCH_LIBRARIES = ("torchvision", "transformers")

DetectorLayout = Literal["auto", "nano", "yolox", "yolo", "nanodet", "picodet", "fastestdet", "ssd"]

Weights = Annotated[
    str | None,
    Meta(description="File of weights of a torchvision model (.pth, .safetensors). Null: those torchvision publishes."),
]
Sha256 = Annotated[
    Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{8,64}$")] | None,
    Meta(description="SHA-256 that the weights of a torch model must have, or begin with. Null: any."),
]
PictureSize = Annotated[
    tuple[Annotated[int, Meta(ge=32, le=8192)], Annotated[int, Meta(ge=32, le=8192)]] | None,
    Meta(description="Width and height of its picture, where a network takes any. Null: the model's own."),
]
Execution = Annotated[
    Literal["auto", "eager", "compile", "graph"],
    Meta(description="How a torch model runs; auto: CUDA graphs on a GPU, else eager."),
]
Precision = Annotated[
    Literal["auto", "f32", "bf16", "fp16"],
    Meta(description="Arithmetic; auto: bf16 where a CPU has it, on a GPU as the model needs."),
]
Provider = Annotated[
    Literal["auto", "cuda", "tensorrt"],
    Meta(description="For ONNX on a GPU; auto: cuda. tensorrt takes minutes to build, once."),
]
Fraction01 = Annotated[float, Meta(ge=0.0, le=1.0)]


def is_openvino(model: str) -> bool:
    """Whether a model's file is one that OpenVINO alone runs, on a CPU."""
    return model == EMBEDDED_INT8 or model.endswith(".xml")


def is_torch(model: str) -> bool:
    """Whether a model's name is one that torch runs."""
    library, found, _ = model.partition(":")
    return bool(found) and library in TORCH_LIBRARIES


class DetectorConfig(Settings, frozen=True, kw_only=True):
    """The network that finds things."""

    model: Annotated[
        str,
        Meta(
            description="'everyframe-nano' (embedded, panoptic; everyframe-nano-int8: the same in 8 bits), a path to "
            "an ONNX detector or OpenVINO's .xml, torchvision:NAME, transformers:FOLDER or a hub's OWNER/NAME after "
            "it, or 'none': frames are decoded and accounted for, and nothing is looked for."
        ),
    ] = EMBEDDED_MODEL
    weights: Weights = None
    sha256: Sha256 = None
    picture_size: PictureSize = None
    execution: Execution = "auto"
    layout: Annotated[
        DetectorLayout,
        Meta(description="Output layout of an ONNX detector; auto: read from the graph."),
    ] = "auto"
    backend: Annotated[
        Literal["auto", "openvino", "onnxruntime"],
        Meta(description="What runs an ONNX network; auto: OpenVINO, and on a GPU onnxruntime."),
    ] = "auto"
    provider: Provider = "auto"
    precision: Precision = "auto"
    threads: Annotated[int, Meta(ge=0, le=256, description="Inference threads; 0: all cores.")] = 0
    requests: Annotated[
        int, Meta(ge=0, le=64, description="Frames inferred side by side; 0: chosen for the machine.")
    ] = 0
    score_threshold: Annotated[
        Annotated[float, Meta(ge=0.0, le=1.0)] | None,
        Meta(description="Boxes below are dropped before suppression. Null: the model's own."),
    ] = None
    classes: Annotated[list[str] | None, Meta(description="Class names to keep. Null: all.")] = None
    class_names: Annotated[
        list[str] | None, Meta(description="Names of a foreign detector's classes in its order. Null: COCO's 80.")
    ] = None


class SegmenterConfig(Settings, frozen=True, kw_only=True):
    """A semantic network beside a detector without masks (merge rule b)."""

    model: Annotated[
        str,
        Meta(min_length=1, description="Path to a semantic ONNX file, torchvision:NAME, or transformers:FOLDER."),
    ]
    weights: Weights = None
    sha256: Sha256 = None
    picture_size: PictureSize = None
    execution: Execution = "auto"
    layout: Annotated[Literal["auto", "semantic", "twinlite"], Meta(description="auto: read from the graph.")] = "auto"
    backend: Annotated[Literal["auto", "openvino", "onnxruntime"], Meta(description="What runs the network.")] = "auto"
    provider: Provider = "auto"
    precision: Precision = "auto"
    threads: Annotated[int, Meta(ge=0, le=256, description="Inference threads; 0: all cores.")] = 0
    class_names: Annotated[
        list[str] | None, Meta(description="Names of its classes in its order. Null: known by channel count.")
    ] = None


class SuppressConfig(Settings, frozen=True, kw_only=True):
    """Removing boxes that find the same object again."""

    method: Annotated[
        Literal["soft-gaussian", "soft-linear", "hard", "matrix"], Meta(description="How overlapping boxes lose score.")
    ] = "soft-gaussian"
    sigma: Annotated[float, Meta(gt=0, le=10, description="Width of the gaussian decay.")] = 0.5
    iou_threshold: Annotated[Fraction01, Meta(description="Overlap above which hard and linear suppression act.")] = 0.5
    score_threshold: Annotated[Fraction01, Meta(description="Boxes below after suppression are dropped.")] = 0.1
    max_detections: Annotated[int, Meta(ge=1, le=10_000, description="Kept a frame, best first.")] = 100
    class_agnostic: Annotated[bool, Meta(description="Whether boxes of different classes suppress each other.")] = False


class TrackerConfig(Settings, frozen=True, kw_only=True):
    """Identities over time: a Kalman filter, overlaps and assignment, by one of two recipes."""

    recipe: Annotated[
        Literal["bytetrack", "oc-sort"],
        Meta(
            description="bytetrack: doubtful boxes continue tracks; oc-sort: also directions seen, recovery where last "
            "seen, and a filter led along the line between."
        ),
    ] = "bytetrack"
    high_score: Annotated[Fraction01, Meta(description="Boxes from here are matched first and may start a track.")] = (
        0.5
    )
    low_score: Annotated[Fraction01, Meta(description="Boxes from here may still continue a track.")] = 0.1
    new_track_score: Annotated[Fraction01, Meta(description="Boxes from here start a track.")] = 0.5
    match_iou: Annotated[Fraction01, Meta(description="Overlap with the prediction needed in the first pass.")] = 0.15
    second_match_iou: Annotated[Fraction01, Meta(description="Overlap needed in the second pass.")] = 0.5
    confirm_frames: Annotated[int, Meta(ge=1, le=100, description="Sightings before a track is confirmed.")] = 2
    lost_seconds: Annotated[float, Meta(gt=0, le=60, description="How long a track may go unseen before it ends.")] = (
        1.5
    )
    direction_weight: Annotated[
        float, Meta(ge=0, le=2, description="How much going on in the direction seen counts, for oc-sort.")
    ] = 0.2
    buffer: Annotated[
        float, Meta(ge=0, le=2, description="Share of its size that a box is widened by for the first pass (C-BIoU).")
    ] = 0.0
    wide_buffer: Annotated[
        float, Meta(ge=0, le=2, description="Likewise, for one more pass over what is left. 0: no such pass.")
    ] = 0.0
    follow: Annotated[
        Literal["boxes", "masks"],
        Meta(description="masks: what a panoptic map shows is followed, whatever its score; boxes: by score alone."),
    ] = "boxes"
    mask_weight: Annotated[
        Fraction01, Meta(description="How much masks' overlap counts beside boxes', where they are followed.")
    ] = 0.3
    camera_motion: Annotated[
        Literal["none", "sparse-flow"],
        Meta(description="sparse-flow: tracks are moved as the background moves, for cameras that are not fixed."),
    ] = "none"

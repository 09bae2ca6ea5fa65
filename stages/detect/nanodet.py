"""NanoDet (RangiLyu/nanodet, nanodet-m): distributions of distances at strides 8, 16, 32."""

from __future__ import annotations

from functools import partial

from stages.detect import gfl
from stages.detect.layout import Layout
from stages.models.backend import Normalisation, Signature
from stages.models.preprocess import InputSpec

STRIDES = (8, 16, 32)
# ImageNet's mean and deviation, blue first, as in upstream's config/nanodet-m-416.yml.
_NORMALISE = Normalisation(mean=(103.53, 116.28, 123.675), deviation=(57.375, 57.12, 58.395))


def _picture(signature: Signature) -> InputSpec:
    height, width = signature.input_size
    return InputSpec(width=width, height=height, colours="bgr", fit="centre", padding=0, normalise=_NORMALISE)


LAYOUT = Layout(
    shape="for each of the strides 8, 16, 32: 1 x cells x C class scores and 1 x cells x 32 distance bins",
    classes=partial(gfl.classes, strides=STRIDES),
    picture=_picture,
    decoder=partial(gfl.decoder, strides=STRIDES),
)

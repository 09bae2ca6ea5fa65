"""PicoDet (Yu et al. 2021, arXiv:2111.00902): distributions of distances at strides 8, 16, 32, 64."""

from __future__ import annotations

from functools import partial

from stages.detect import gfl
from stages.detect.layout import Layout
from stages.models.backend import Normalisation, Signature
from stages.models.preprocess import InputSpec

STRIDES = (8, 16, 32, 64)
# ImageNet's mean and deviation, as in upstream's configs/picodet/_base_/picodet_416_reader.yml.
_NORMALISE = Normalisation(mean=(123.675, 116.28, 103.53), deviation=(58.395, 57.12, 57.375))


def _picture(signature: Signature) -> InputSpec:
    height, width = signature.input_size
    return InputSpec(width=width, height=height, colours="rgb", fit="stretch", normalise=_NORMALISE)


LAYOUT = Layout(
    shape="for each of the strides 8, 16, 32, 64: 1 x cells x C class scores and 1 x cells x 32 distance bins",
    classes=partial(gfl.classes, strides=STRIDES),
    picture=_picture,
    decoder=partial(gfl.decoder, strides=STRIDES),
)

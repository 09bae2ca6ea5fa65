"""The arithmetic of a probe, and what NVIDIA's decoder takes."""

import av
import pytest

from stages.decode.measure import MOST_KEPT, NS, Keyframes, Rate
from stages.decode.nvdec_limits import nvdec_refusal
from stages.decode.watch import bits_of, chroma_of


def rate_of(*times_ns: int) -> Rate:
    rate = Rate()
    for time_ns in times_ns:
        rate.saw(time_ns)
    return rate


def test_a_rate_needs_two_frames() -> None:
    assert rate_of().per_second is None
    assert rate_of(5).per_second is None
    assert rate_of(0, NS // 4).per_second == 4.0


def test_2997_is_not_30() -> None:
    rate = rate_of(*(i * NS * 1001 // 30000 for i in range(100)))
    assert rate.per_second == pytest.approx(30000 / 1001, abs=1e-6)
    assert not rate.varies


def test_a_jump_counts_for_nothing() -> None:
    rate = rate_of(0, NS)
    rate.saw(500 * NS, jumped=True)
    rate.saw(501 * NS)
    rate.saw(400 * NS)  # back, which nobody flagged
    assert rate.per_second == 1.0


def test_a_rate_that_varies() -> None:
    assert rate_of(0, 1 * NS, 2 * NS, 7 * NS, 8 * NS, 9 * NS).varies
    assert not rate_of(0, 10 * NS).varies


def test_what_is_kept_is_bounded() -> None:
    rate, keyframes = rate_of(*range(MOST_KEPT + 50)), Keyframes()
    for _ in range(MOST_KEPT + 50):
        keyframes.saw(is_keyframe=True)
    assert len(rate.steps_ns) == len(keyframes.intervals) == MOST_KEPT


@pytest.mark.parametrize(
    ("packets", "count", "usual", "longest"),
    [
        ("", 0, None, None),
        ("ppp", 0, None, None),
        ("k", 1, None, 1),
        ("kppp", 1, None, 4),
        ("ppkpppkpppk", 3, 4, 4),
        ("kpkpkppppp", 3, 2, 6),
        ("kkk", 3, 1, 1),
    ],
)
def test_keyframes(packets: str, count: int, usual: int | None, longest: int | None) -> None:
    keyframes = Keyframes()
    for packet in packets:
        keyframes.saw(is_keyframe=packet == "k")
    assert (keyframes.count, keyframes.usual, keyframes.longest) == (count, usual, longest)


@pytest.mark.parametrize(
    ("name", "chroma", "bits"),
    [
        ("yuv420p", "4:2:0", 8),
        ("yuvj422p", "4:2:2", 8),
        ("nv12", "4:2:0", 8),
        ("yuv422p10le", "4:2:2", 10),
        ("yuv444p12le", "4:4:4", 12),
        ("yuv440p", "4:4:0", 8),
        ("yuv411p", "4:1:1", 8),
        ("yuv410p", "4:1:0", 8),
        ("gray", "gray", 8),
        ("gray10le", "gray", 10),
        ("rgb24", "rgb", 8),
        ("gbrp10le", "rgb", 10),
    ],
)
def test_pixel_formats(name: str, chroma: str, bits: int) -> None:
    pixels = av.VideoFormat(name, 16, 16)
    assert (chroma_of(pixels), bits_of(pixels)) == (chroma, bits)


@pytest.mark.parametrize(
    ("codec", "bits", "chroma", "width", "height", "refusal"),
    [
        ("h264", 8, "4:2:0", 1920, 1080, None),
        ("h264", None, None, 1920, 1080, None),
        ("h264", 10, "4:2:0", 1920, 1080, "8 bits a sample, not 10"),
        ("h264", 10, "4:2:2", 1920, 1080, "4:2:0, not 4:2:2"),
        ("h264", 8, "4:4:4", 1920, 1080, "4:2:0, not 4:4:4"),
        ("h264", 8, "4:2:0", 1919, 1080, "even sides"),
        ("h264", 8, "4:2:0", 7680, 4320, "48x16 to 4096x4096, not 7680x4320"),
        ("hevc", 10, "4:4:4", 7680, 4320, None),
        ("hevc", 8, "4:2:2", 1920, 1080, "4:2:0 or 4:4:4, not 4:2:2"),
        ("hevc", 8, "4:2:0", 64, 64, "144x144 to 8192x8192"),
        ("av1", 12, "4:2:0", 1920, 1080, "8 or 10 bits a sample, not 12"),
        ("mjpeg", 8, "4:2:2", 1920, 1080, "4:2:0, not 4:2:2"),
        ("prores", 10, "4:2:2", 1920, 1080, "no decoder for prores"),
    ],
)
def test_what_nvdec_takes(
    codec: str, bits: int | None, chroma: str | None, width: int, height: int, refusal: str | None
) -> None:
    told = nvdec_refusal(codec=codec, bits=bits, chroma=chroma, width=width, height=height)
    assert (told is None) == (refusal is None)
    assert refusal is None or refusal in str(told)

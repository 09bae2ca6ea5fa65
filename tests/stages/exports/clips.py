"""Clips with sound, made on the spot: a flash and a beep at the same moment."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

WIDTH, HEIGHT, RATE, SOUND_RATE = 64, 48, 25, 48_000
FLASH_SECONDS = 1.0
FLASH_LENGTH = 0.2
WHOLE: dict[str, Any] = {"s16": np.int16, "s16p": np.int16, "s32": np.int32, "s32p": np.int32}  # others are floats


def flash_and_beep(
    path: Path, *, codec: str | None = "aac", seconds: float = 2.0, sound_from: float = 0.0, pause: float = 0.0
) -> Path:
    """A black clip that flashes at `FLASH_SECONDS`, and beeps then.

    `sound_from`: the sound begins so much later. `pause`: a hole in the sound, so long, half a second after its start.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound: Any = None if codec is None else container.add_stream(codec, rate=SOUND_RATE, layout="mono")
        for packet in _pictures(video, seconds):
            container.mux(packet)
        if sound is not None:
            for packet in _sounds(sound, seconds, sound_from, pause):
                container.mux(packet)
    return path


def _pictures(stream: Any, seconds: float) -> list[Any]:
    packets = []
    for i in range(round(seconds * RATE)):
        lit = FLASH_SECONDS <= i / RATE < FLASH_SECONDS + FLASH_LENGTH
        frame = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), 255 * lit, np.uint8), format="rgb24")
        frame.pts, frame.time_base = i, Fraction(1, RATE)
        packets += stream.encode(frame)
    return [*packets, *stream.encode(None)]


def _sounds(stream: Any, seconds: float, begins: float, pause: float) -> list[Any]:
    packets = []
    samples = stream.codec_context.frame_size or 1024
    form = stream.codec_context.format.name
    for first in range(round(begins * SOUND_RATE), round(seconds * SOUND_RATE) - samples, samples):
        if pause and begins + 0.5 <= first / SOUND_RATE < begins + 0.5 + pause:
            continue
        times = (first + np.arange(samples)) / SOUND_RATE
        loud = (times >= FLASH_SECONDS) & (times < FLASH_SECONDS + FLASH_LENGTH)
        wave = 0.5 * np.sin(2 * np.pi * 1000 * times) * loud
        data = (wave * np.iinfo(WHOLE[form]).max).astype(WHOLE[form]) if form in WHOLE else wave.astype(np.float32)
        frame = av.AudioFrame.from_ndarray(data[None], format=form, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, first, Fraction(1, SOUND_RATE)
        packets += stream.encode(frame)
    return [*packets, *stream.encode(None)]


def flash_and_beep_seconds(path: Path) -> tuple[float, float]:
    """When a clip flashes, and when it beeps, on its own time line."""
    with av.open(str(path)) as container:
        flash = next(
            float(frame.pts * frame.time_base)
            for frame in container.decode(video=0)
            if frame.to_ndarray(format="gray")[: HEIGHT // 2].mean() > 128
        )
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            loud = np.flatnonzero(np.abs(_mono(frame)) > 0.1)
            if len(loud):
                return flash, float(frame.pts * frame.time_base) + float(loud[0]) / frame.sample_rate
    raise AssertionError(f"{path} has no beep")


def _mono(frame: Any) -> np.ndarray:
    wave = frame.to_ndarray()
    wave = wave[0] if frame.format.is_planar else wave.reshape(-1, frame.layout.nb_channels)[:, 0]
    return wave / (np.iinfo(wave.dtype).max if np.issubdtype(wave.dtype, np.integer) else 1)

"""JPEGs of frames, for those who asked: at a chosen size, and not more often than chosen."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from pipeline.config import FrameConfig
from pipeline.errors import SinkError
from pipeline.messages import Frame, Picture, UInt8
from stages.publish.rgb import rgb_of


class Pictures:
    """Says when a source's next picture is due, and makes it."""

    def __init__(self, config: FrameConfig, *, now_seconds: Callable[[], float] = time.monotonic) -> None:
        import av  # noqa: F401 - while starting up a second or two may pass; between two results it may not
        import cv2  # noqa: F401

        self._config, self._now_seconds = config, now_seconds
        self._due: dict[str, float] = {}

    def is_due(self, source_id: str) -> bool:
        """Whether it is time for a picture of this source."""
        return self._now_seconds() >= self._due.get(source_id, 0.0)

    def make(self, frame: Frame) -> Picture:
        """The picture of a frame; the next of its source is due as the rate has it."""
        now = self._now_seconds()
        interval = 1.0 / self._config.frames_a_second
        due = self._due.get(frame.source_id, now)
        self._due[frame.source_id] = due + interval if due + interval > now else now + interval
        width = min(self._config.width, frame.width)
        height = max(1, round(frame.height * width / frame.width))
        return Picture(
            source_id=frame.source_id,
            epoch=frame.epoch,
            seq=frame.seq,
            pts=frame.pts,
            time_base=frame.time_base,
            capture_time_ns=frame.capture_time_ns,
            clock=frame.clock,
            width=frame.width,
            height=frame.height,
            jpeg_width=width,
            jpeg_height=height,
            jpeg=jpeg_of(rgb_of(frame.surface, size=(width, height)), quality=self._config.quality),
        )

    def forget(self, source_id: str) -> None:
        """Drop what is known of a source that is gone."""
        self._due.pop(source_id, None)


def jpeg_of(rgb: UInt8, *, quality: int) -> bytes:
    """RGB [H, W, 3] as a JPEG. Raises `SinkError`."""
    import cv2

    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise SinkError(f"zeromq: a picture of {rgb.shape[1]}x{rgb.shape[0]} cannot be coded as JPEG")
    return np.asarray(data).tobytes()

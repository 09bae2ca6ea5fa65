"""NVIDIA's decoder: 1080p30 frames a second of one session, and of as many as its engines take, by this project's code.

``python -m tests.benchmarks nvdec --device cuda``. Theirs is the vendor's figure for Hopper, 770 frames a second of
H.264 an engine, seven engines (`VENDOR_FPS`); HEVC, which is no slower, is held against the same. Every picture is
copied into a pool as it is in a run.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from pipeline.config import SourceConfig
from stages.decode.device_parts import CudaParts
from tests.benchmarks.clips import CODECS, clip_of, packets_in
from tests.benchmarks.table import Row
from tests.benchmarks.timing import Device, wait_for

VENDOR_FPS, ENGINES, TARGET = 770.0, 7, 0.9
SESSIONS_AN_ENGINE = 2  # so that none waits for the host
SOURCE = SourceConfig(url="clip.mp4", source_id="clip")
SLOTS = 4


def decoded(parts: Any, header: Any, packets: list[Any], count: list[int], *, rounds: int) -> None:
    """Decode the packets so often, in this thread."""
    decoder, pool = parts.decoder(header, SOURCE), parts.pool()
    for _ in range(rounds):
        for packet in packets:
            for picture in decoder.decode(packet):
                _, read = pool.write(count[0] % SLOTS, picture.surface)
                if read is not None:
                    decoder.read_until(read)
                count[0] += 1
    decoder.close()


def frames_a_second(parts: Any, codec: str, *, sessions: int, library: Any, device: Device, rounds: int) -> float:
    """Of all sessions together, once each has decoded the clip before."""
    header, packets = packets_in(clip_of(codec), library=library)
    counts = [[0] for _ in range(sessions)]
    decoded(parts, header, packets, [0], rounds=1)
    threads = [
        threading.Thread(target=decoded, args=(parts, header, packets, count), kwargs={"rounds": rounds})
        for count in counts
    ]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(device)
    return sum(count[0] for count in counts) / (time.perf_counter() - begin)


def run(device: Device = "cuda", *, parts: Any = None, library: Any = None, rounds: int = 3) -> list[Row]:
    """A row for each codec and number of sessions. `parts`, `library`: in place of the GPU's."""
    if parts is None:
        import PyNvVideoCodec

        parts, library = CudaParts("cuda:0"), PyNvVideoCodec
    rows = []
    for codec in CODECS:
        for sessions, engines in ((1, 1), (ENGINES * SESSIONS_AN_ENGINE, ENGINES)):
            ours = frames_a_second(parts, codec, sessions=sessions, library=library, device=device, rounds=rounds)
            theirs = VENDOR_FPS * engines
            name = f"{codec} 1080p, {sessions} session{'s' if sessions > 1 else ''}, against the vendor's figure"
            rows.append(
                {"name": name, "ours": ours, "theirs": theirs, "ratio": ours / theirs, "unit": "frames/s"}
                | {"target": TARGET}
            )
    return rows

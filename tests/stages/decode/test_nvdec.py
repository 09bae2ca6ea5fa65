"""NVIDIA's decoder gives FFmpeg's pictures. Nothing here needs PyAV but where it says so: a GPU machine may lack it.

On a GPU: EVERYFRAME_REQUIRE=gpu pytest -m gpu
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.messages import CodedPacket, StreamHeader
from pipeline.stage import PacketDecoder
from stages.decode.nvdec import NvdecDecoder
from stages.decode.pool import TorchPool
from tests.benchmarks.clips import packets_in
from tests.gpu import cuda_device
from tests.stages.decode.planes import CLIP, FRAMES, digest, of_ffmpeg, stored

MOST = 1 << 26


def test_what_is_stored_is_what_ffmpeg_gives() -> None:
    assert stored() == of_ffmpeg()
    assert len(set(stored())) == FRAMES


def digests(decoder: PacketDecoder, packets: list[CodedPacket], device: str) -> list[str]:
    """Of the first pictures, each copied into a pool as in a run, and looked at from another stream."""
    import torch

    pool, found = TorchPool(device), list[str]()
    for packet in packets:
        for picture in decoder.decode(packet):
            there, read = pool.write(len(found) % 4, picture.surface)
            if read is not None:
                decoder.read_until(read)
            torch.cuda.current_stream().wait_event(there.ready)
            found.append(digest(there.planes))
        if len(found) >= FRAMES:
            break
    decoder.close()
    return found[:FRAMES]


@pytest.fixture
def clip() -> tuple[StreamHeader, list[CodedPacket]]:
    """The sample, read by PyNvVideoCodec's own demuxer; its pictures are reordered."""
    cuda_device()
    library: Any = __import__("PyNvVideoCodec")
    header, packets = packets_in(CLIP, library=library)
    return replace(header, reorders=True), packets


@pytest.mark.gpu
def test_nvdec_gives_the_pictures_of_ffmpeg(clip: tuple[StreamHeader, list[CodedPacket]]) -> None:
    device = cuda_device().name
    header, packets = clip
    assert digests(NvdecDecoder(header, device=device, max_pixels=MOST), packets, device) == stored()


@pytest.mark.gpu
def test_several_sessions_give_the_same_at_once(clip: tuple[StreamHeader, list[CodedPacket]]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    device = cuda_device().name
    header, packets = clip

    def decode(_: int) -> list[str]:
        return digests(NvdecDecoder(header, device=device, max_pixels=MOST), packets, device)

    with ThreadPoolExecutor(8) as threads:
        assert all(found == stored() for found in threads.map(decode, range(8)))


@pytest.mark.gpu
def test_ffmpeg_on_cuda_gives_the_pictures_of_ffmpeg() -> None:
    device = cuda_device().name
    pytest.importorskip("av", reason="needs PyAV")
    from stages.decode.hwaccel import HwaccelDecoder

    header, packets = packets_in(CLIP)
    assert digests(HwaccelDecoder(header, device=device, max_pixels=MOST), packets, device) == stored()

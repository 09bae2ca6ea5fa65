"""Packets decoded where they are looked at: every decoder gives the pictures that the reader gives, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from pipeline.config import SourceConfig
from pipeline.errors import DecodeError, DeviceLost
from pipeline.messages import CodedPacket, StreamHeader, Surface
from pipeline.stage import Access, Decoded, PacketDecoder
from stages.decode import open_source
from stages.decode.container import open_container
from stages.decode.host_decoder import HostDecoder
from stages.decode.nvdec import NvdecDecoder
from stages.decode.packets import header_of, packets_of
from tests.stages.decode.nvc import Library

CROSSING = Path(__file__).parents[3] / "samples" / "crossing" / "crossing.mp4"
MOST = 1 << 26
FRAMES = 24


@pytest.fixture(params=["h264-b-frames", "h264-low-delay", "hevc", "raw-h264"])
def clip(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return made(tmp_path, request.param)


def made(folder: Path, kind: str, *, sizes: tuple[tuple[int, int], ...] = ((160, 144),)) -> Path:
    """A clip of moving noise; one of several sizes is raw, since no container changes its mind."""
    path = folder / ("clip.h264" if kind == "raw-h264" or len(sizes) > 1 else "clip.mp4")
    written = b""
    for number, (width, height) in enumerate(sizes):
        part = folder / f"{number}{path.suffix}"
        with av.open(str(part), "w", format="h264" if path.suffix == ".h264" else None) as container:
            stream: Any = container.add_stream("libx265" if kind == "hevc" else "libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            options = {"bf": "3" if kind == "h264-b-frames" else "0", "g": "12", "x265-params": "log-level=none"}
            stream.options = options | ({"tune": "zerolatency"} if kind == "h264-low-delay" else {})
            noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
            for frame in range(FRAMES):
                picture: Any = av.VideoFrame.from_ndarray(np.roll(noise, frame * 3, axis=1), format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        written += part.read_bytes()
    path.write_bytes(written)
    return path


def packets(path: Path) -> tuple[StreamHeader, list[CodedPacket]]:
    opened = open_container(SourceConfig(url=str(path), source_id="a"), str(path))
    header, found = header_of(opened, live=False), list(packets_of(opened, live=False))
    opened.container.close()
    return header, found


def read(path: Path) -> list[tuple[int | None, Surface]]:
    """What the reader gives."""
    reader = open_source(SourceConfig(url=str(path), source_id="a"), next_epoch=lambda: 1, access=Access())
    found = [(frame.pts, frame.surface) for frame in reader]
    reader.close()
    return found


def decoded_by(decoder: PacketDecoder, given: list[CodedPacket]) -> Iterator[tuple[int | None, list[np.ndarray]]]:
    """Time stamps and planes, copied before the next packet."""
    for packet in given:
        for one in decoder.decode(packet):
            yield one.pts, planes(one)
    while held := decoder.flush():
        for one in held:
            yield one.pts, planes(one)


def planes(one: Decoded) -> list[np.ndarray]:
    """Luma, and both chroma planes, of whatever layout."""
    found = [(plane.cpu().numpy() if isinstance(plane, torch.Tensor) else plane).copy() for plane in one.surface.planes]
    return [found[0], found[1][..., 0], found[1][..., 1]] if len(found) == 2 else found


def check_same(found: list[tuple[int | None, list[np.ndarray]]], wanted: list[tuple[int | None, Surface]]) -> None:
    assert len(wanted) >= FRAMES
    assert [pts for pts, _ in found] == [pts for pts, _ in wanted]
    for (_, ours), (_, theirs) in zip(found, wanted, strict=True):
        for one, other in zip(ours, theirs.planes, strict=True):
            assert np.array_equal(one, other)


def test_packets_decoded_elsewhere_give_the_pictures_of_the_reader(clip: Path) -> None:
    header, given = packets(clip)
    check_same(list(decoded_by(HostDecoder(header, max_pixels=MOST), given)), read(clip))


def test_nvdec_is_driven_so_that_it_gives_them_too(clip: Path) -> None:
    library = Library()
    header, given = packets(clip)
    decoder = NvdecDecoder(header, device="cpu", max_pixels=MOST, library=library)
    check_same(list(decoded_by(decoder, given)), read(clip))
    (session,) = library.sessions
    assert session["latency"] == ("native" if header.reorders else "low")
    assert set(library.flags) == ({0} if header.reorders else {8})
    decoder.close()
    decoder.close()


def test_the_sample_is_told_and_decoded_alike() -> None:
    header, given = packets(CROSSING)
    assert (header.codec, header.width, header.height, header.declared_packets) == ("h264", 1280, 720, 350)
    assert (header.extradata, given[0].is_key, given[1].is_key) == (b"", True, False)
    assert given[0].data.startswith(b"\x00\x00\x00\x01")
    first = next(iter(decoded_by(HostDecoder(header, max_pixels=MOST), given[:8])))
    reader = open_source(SourceConfig(url=str(CROSSING), source_id="a"), next_epoch=lambda: 1, access=Access())
    frame = next(iter(reader))
    reader.close()
    assert (header.matrix or "bt709", header.range) == (frame.surface.matrix, frame.surface.range)
    for one, other in zip(first[1], frame.surface.planes, strict=True):
        assert np.array_equal(one, other)


def test_pictures_of_another_size_in_midstream_begin_a_session_anew(tmp_path: Path) -> None:
    clip = made(tmp_path, "h264-low-delay", sizes=((96, 64), (128, 96), (64, 48)))
    library = Library()
    header, given = packets(clip)
    decoder = NvdecDecoder(header, device="cpu", max_pixels=MOST, library=library)
    found = list(decoded_by(decoder, given))
    assert [one[0].shape for _, one in found] == [(64, 96)] * FRAMES + [(96, 128)] * FRAMES + [(48, 64)] * FRAMES
    assert len(library.sessions) == 3


def test_pictures_are_given_up_after_the_event_that_they_are_read_until() -> None:
    header, given = packets(CROSSING)
    decoder = NvdecDecoder(replace(header, reorders=False), device="cpu", max_pixels=MOST, library=Library())
    order: list[str] = []

    class Event:
        def synchronize(self) -> None:
            order.append("passed")

    session = decoder._session
    decode = session.Decode

    def noted(packet: Any) -> Any:
        order.append("next")
        return decode(packet)

    session.Decode = noted
    for packet in given[:4]:
        if decoder.decode(packet):
            decoder.read_until(Event())
            order.append("read")
    assert "read" in order
    for at, what in enumerate(order[:-1]):
        if what == "read":
            assert order[at + 1] == "passed"
    decoder.close()


def test_a_packet_that_cannot_be_decoded_costs_itself(tmp_path: Path) -> None:
    library = Library()
    header, given = packets(made(tmp_path, "h264-low-delay"))
    decoder = NvdecDecoder(header, device="cpu", max_pixels=MOST, library=library)
    assert decoder.decode(given[0])
    library.failure.append("Decode Error occurred for picture 1")
    with pytest.raises(DecodeError, match="h264 on NVDEC: Decode Error occurred"):
        decoder.decode(given[1])
    assert len(decoder.decode(given[2])) == 1


def test_a_device_that_is_lost_says_so(tmp_path: Path) -> None:
    library = Library()
    header, given = packets(made(tmp_path, "h264-low-delay"))
    decoder = NvdecDecoder(header, device="cpu", max_pixels=MOST, library=library)
    for told in ("CUDA_ERROR_ILLEGAL_ADDRESS at cuvidDecodePicture", "cuvidMapVideoFrame64 returned error 700"):
        library.failure.append(told)
        with pytest.raises(DeviceLost, match="the process must end"):
            decoder.decode(given[0])
    library.failure.append("cuvidCreateDecoder returned error 100")
    with pytest.raises(DecodeError, match="error 100"):
        decoder.decode(given[0])


def test_what_nvdec_cannot_give_is_refused(tmp_path: Path) -> None:
    header, given = packets(made(tmp_path, "h264-low-delay"))
    with pytest.raises(DecodeError, match="no decoder for theora"):
        NvdecDecoder(replace(header, codec="theora"), device="cpu", max_pixels=MOST, library=Library())
    library = Library()
    library.layout = "P016"
    decoder = NvdecDecoder(header, device="cpu", max_pixels=MOST, library=library)
    with pytest.raises(DecodeError, match="P016; only NV12 is read"):
        decoder.decode(given[0])
    small = NvdecDecoder(header, device="cpu", max_pixels=100, library=Library())
    with pytest.raises(DecodeError, match="160x144; max_pixels is 100"):
        small.decode(given[0])


def test_rubbish_costs_the_host_decoder_a_packet(tmp_path: Path) -> None:
    header, given = packets(made(tmp_path, "h264-low-delay"))
    decoder = HostDecoder(header, max_pixels=MOST)
    assert decoder.decode(given[0])
    with pytest.raises(DecodeError):
        decoder.decode(replace(given[1], data=b"\x00\x00\x00\x01\x65" + bytes(200)))
    with pytest.raises(DecodeError, match="no decoder for nonesuch"):
        HostDecoder(replace(header, codec="nonesuch"), max_pixels=MOST)


def test_without_the_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, _ = packets(made(tmp_path, "h264-low-delay"))
    monkeypatch.setitem(__import__("sys").modules, "PyNvVideoCodec", None)
    with pytest.raises(DecodeError, match="pip install pynvvideocodec"):
        NvdecDecoder(header, device="cpu", max_pixels=MOST)


def test_a_broken_packet_of_a_container_ends_nothing(tmp_path: Path) -> None:
    clip = made(tmp_path, "h264-low-delay")
    content = bytearray(clip.read_bytes())
    _, given = packets(clip)
    at = content.index(given[9].data[4:40])
    content[at - 4 : at] = b"\x7f\xff\xff\xff"  # the length of the part
    clip.write_bytes(bytes(content))
    _, broken = packets(clip)
    assert [packet.is_corrupt for packet in broken] == [n == 9 for n in range(FRAMES)]


def test_planes_of_ffmpeg_on_cuda_are_taken_without_a_stream() -> None:
    from stages.decode import hwaccel

    class Plane:
        """Refuses a stream, as PyAV's do."""

        def __init__(self, values: torch.Tensor) -> None:
            self._values = values

        def __dlpack__(self, stream: object = None) -> Any:
            if stream is not None:
                raise NotImplementedError("stream synchronisation is not supported")
            return self._values.__dlpack__()

    decoder: Any = object.__new__(hwaccel.HwaccelDecoder)
    header, _ = packets(CROSSING)
    decoder._header, decoder._device = header, torch.device("cpu")
    luma, chroma = torch.arange(48, dtype=torch.uint8).view(6, 8), torch.arange(24, dtype=torch.uint8).view(3, 8)

    class Picture:
        planes = (Plane(luma), Plane(chroma))
        height, width = 5, 7

    surface = decoder._surface(Picture())
    assert torch.equal(surface.planes[0], luma[:5, :7])
    assert torch.equal(surface.planes[1], chroma.view(3, 4, 2))

"""Cameras for the benchmark: ``python -m pipeline.cli.bench_sender``, started by `bench_cameras` alone.

One process serves any number of clients over RTSP on the loopback, each from the clip's start and at its own pace, as
so many cameras would. It prints its port once it listens, and ends with the process that started it.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Final

from pipeline.cli.bench_clip import FPS, Clip, encoded, scene
from pipeline.cli.bench_packets import CLOCK_RATE, PAYLOAD_TYPE, Picture
from pipeline.parent import end_with_parent

HOST: Final = "127.0.0.1"
SESSION: Final = "1;timeout=60"
_REASONS: Final = {200: "OK", 404: "Not Found", 461: "Unsupported Transport", 501: "Not Implemented"}


def main() -> None:
    """Serve until ended."""
    end_with_parent()
    clip = encoded(scene())
    asyncio.run(serve(clip))


async def serve(clip: Clip) -> None:
    """Listen, say where, and serve for ever."""
    cameras = Cameras(clip)
    server = await asyncio.start_server(cameras.serve, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


class Cameras:
    """Answers clients, and sends each the clip."""

    def __init__(self, clip: Clip) -> None:
        self._description = description(clip)
        self._pictures = [Picture.of(nals) for nals in clip.pictures]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until it leaves."""
        playing: asyncio.Task[None] | None = None
        with suppress(OSError, asyncio.IncompleteReadError, ValueError):
            while (request := await read_request(reader)) is not None:
                method, url, headers = request
                writer.write(self._answer(method, url, headers))
                if method == "PLAY" and playing is None:
                    playing = asyncio.create_task(play(writer, self._pictures))
                if method == "TEARDOWN":
                    break
        if playing is not None:
            playing.cancel()
        writer.close()

    def _answer(self, method: str, url: str, headers: Mapping[str, str]) -> bytes:
        sequence, transport = headers.get("cseq", "0"), headers.get("transport", "")
        if method == "OPTIONS":
            return response(200, sequence, {"Public": "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"})
        if method == "DESCRIBE":
            told = {"Content-Base": f"{url}/", "Content-Type": "application/sdp"}
            return response(200, sequence, told, self._description)
        if method == "SETUP" and "interleaved=0-1" not in transport:
            return response(461, sequence, {})
        if method == "SETUP":
            return response(200, sequence, {"Transport": transport, "Session": SESSION})
        if method in ("PLAY", "TEARDOWN", "GET_PARAMETER"):
            return response(200, sequence, {"Session": SESSION})
        return response(501, sequence, {})


async def play(writer: asyncio.StreamWriter, pictures: Sequence[Picture]) -> None:
    """Send the clip again and again, each picture when it is due; a client that does not read holds it up."""
    loop = asyncio.get_running_loop()
    started, sequence = loop.time(), 0
    with suppress(OSError):
        for number in count():
            await asyncio.sleep(max(0.0, started + number / FPS - loop.time()))
            picture = pictures[number % len(pictures)]
            writer.write(picture.numbered(sequence, number * CLOCK_RATE // FPS))
            sequence += len(picture.offsets)
            await writer.drain()


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]] | None:
    """Method, address and headers (names in lower case) of the next request; None at the end.

    What a client sends in between, its receiver reports, is passed over.
    """
    while (first := await reader.read(1)) in (b"$", b"\r", b"\n"):
        if first == b"$":
            _channel, high, low = await reader.readexactly(3)
            await reader.readexactly(high << 8 | low)
    words = (first + await reader.readline()).decode("latin-1").split()
    if len(words) != 3:
        return None
    headers: dict[str, str] = {}
    while (line := (await reader.readline()).decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    await reader.readexactly(int(headers.get("content-length", "0")))
    return words[0], words[1], headers


def response(status: int, sequence: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """An RTSP response."""
    told = {"CSeq": sequence, **headers, **({"Content-Length": str(len(body))} if body else {})}
    lines = [f"RTSP/1.0 {status} {_REASONS[status]}", *(f"{name}: {value}" for name, value in told.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def description(clip: Clip) -> bytes:
    """The SDP of a clip, parameter sets included."""
    sets = ",".join(base64.b64encode(nal).decode() for nal in (clip.sps, clip.pps))
    lines = [
        "v=0",
        f"o=- 1 1 IN IP4 {HOST}",
        "s=everyframe bench",
        "t=0 0",
        "a=control:*",
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
        f"a=rtpmap:{PAYLOAD_TYPE} H264/{CLOCK_RATE}",
        f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={clip.sps[1:4].hex()};"
        f"sprop-parameter-sets={sets}",
        f"a=framerate:{FPS}",
        "a=control:track=0",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()


if __name__ == "__main__":
    main()

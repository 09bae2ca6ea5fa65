"""What FFmpeg is told: only options that are written down here, and only such as it knows."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import av  # noqa: F401 - loads the libraries that are asked
import pytest

from pipeline.config import SourceConfig, parse
from pipeline.errors import ConfigError
from stages.decode.options import OPTIONS, opening_options
from tests.faults.fixtures import Seen

LOCAL = {"file", "stdin", "webcam"}  # no network, so no time limit of it

SEARCH_CHILDREN, SEARCH_FAKE_OBJECT = 1, 2  # libavutil/opt.h

BOGUS = {"stimeout": "5000000", "ffmpeg_options": {"rtsp_flags": "prefer_tcp"}, "options": {"timeout": "1"}}


@pytest.mark.fault("renamed or bogus FFmpeg option", promise="an allow-list; anything else is refused with its name")
@pytest.mark.parametrize("name", BOGUS)
def test_an_option_that_is_not_ours_is_refused(seen: Seen, name: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(name)) as caught:
        parse({"sources": [{"url": "rtsp://127.0.0.1/a", name: BOGUS[name]}]})
    seen(str(caught.value))


@pytest.mark.fault("renamed or bogus FFmpeg option", promise="both of FFmpeg's time limits are set, in its own unit")
@pytest.mark.parametrize("scheme", sorted(OPTIONS))
def test_the_timeouts_are_set(seen: Seen, scheme: str) -> None:
    source = SourceConfig(url=f"{scheme}://127.0.0.1/a", read_timeout_seconds=7.5)
    options = opening_options(source, scheme)
    names = [name for name in ("timeout", "rw_timeout") if name in options]
    if scheme in LOCAL:
        assert names == []
    else:
        assert [options[name] for name in names] == ["7500000"]
    assert SourceConfig(url=source.url).read_timeout_seconds == 10  # the watchdog on decoded video
    assert options["max_pixels"] == str(source.max_pixels)
    seen(f"{scheme}: {', '.join(f'{name}={options[name]}' for name in (*names, 'max_pixels'))}")


@pytest.mark.fault("renamed or bogus FFmpeg option", promise="FFmpeg knows every option it is given")
@pytest.mark.parametrize("scheme", sorted(OPTIONS))
def test_ffmpeg_knows_every_option(seen: Seen, scheme: str) -> None:
    options = opening_options(SourceConfig(url=f"{scheme}://127.0.0.1/a"), scheme)
    assert [name for name in options if not knows(name)] == []
    assert not knows("stimeout")  # what `timeout` of RTSP was called once: a misspelt one would be found
    seen(f"{scheme}: {len(options)} options, all known to FFmpeg")


def knows(name: str) -> bool:
    """Whether any demuxer, protocol or decoder of the FFmpeg within PyAV has an option of that name."""
    classes = (library("avformat").avformat_get_class, library("avcodec").avcodec_get_class)
    find = library("avutil").av_opt_find
    find.restype = ctypes.c_void_p
    for class_of in classes:
        class_of.restype = ctypes.c_void_p
        pretended = ctypes.c_void_p(class_of())  # an object of this class, of which only the class is looked at
        if find(ctypes.byref(pretended), name.encode(), None, 0, SEARCH_CHILDREN | SEARCH_FAKE_OBJECT):
            return True
    return False


def library(name: str) -> ctypes.CDLL:
    """A library of FFmpeg as this process has it loaded."""
    paths = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if f"lib{name}" in line}
    return ctypes.CDLL(paths.pop())

"""Sources to frames: files, RTSP and HTTP streams through PyAV on the CPU. `av` is imported when a source is opened."""

from stages.decode.source import open_source

__all__ = ["open_source"]

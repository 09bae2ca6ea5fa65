"""Video devices of this machine (Video4Linux): whether one can be opened, and what to do where it cannot."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from pipeline.config import SourceConfig, device_path
from pipeline.errors import SourceError, SourceNotFound, SourceUnauthorized, SourceUnreachable, SourceUnsupported
from stages.decode.faults import named

_VIDEO_MAJOR = 81  # Documentation/admin-guide/devices.txt


def device(source: SourceConfig, address: str) -> str:
    """The path of the device behind an address, which is a camera this user may open. Raises `SourceError`."""
    path = device_path(address)
    fault = refusal(path, source)
    if fault is not None:
        raise fault
    return str(path)


def refusal(path: Path, source: SourceConfig) -> SourceError | None:
    """Why a device is not opened; None where nothing speaks against it."""
    try:
        status = path.stat()
        if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) != _VIDEO_MAJOR:
            return SourceUnsupported(f"{named(source)}: {path} is no video device")
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as exc:
        return fault_of(exc.errno, path, source)
    return None


def device_fault(exc: Exception, source: SourceConfig, address: str) -> SourceError:
    """Why FFmpeg could not open a device."""
    return fault_of(getattr(exc, "errno", None), device_path(address), source)


def fault_of(code: int | None, path: Path, source: SourceConfig) -> SourceError:
    """An error of the system as ours, with what can be done about it."""
    who = named(source)
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        found = sorted(device.name.removeprefix("video") for device in path.parent.glob("video[0-9]*"))
        there = f"; there are {', '.join(f'webcam:{number}' for number in found)}" if found else "; there is none"
        return SourceNotFound(f"{who}: {path} is not there{there}; plug the camera in")
    if code in (errno.EACCES, errno.EPERM):
        return SourceUnauthorized(f"{who}: this user may not open {path}; add the user to the group 'video'")
    if code == errno.EBUSY:
        return SourceUnreachable(f"{who}: {path} is in use by another program; close that one")
    if code in (errno.ENOTTY, errno.EINVAL):
        return SourceUnsupported(f"{who}: {path} gives no pictures; a camera often has a second device that does not")
    reason = os.strerror(code) if code is not None and code > 0 else "no reason given"
    return SourceUnreachable(f"{who}: {path} could not be opened: {reason}")

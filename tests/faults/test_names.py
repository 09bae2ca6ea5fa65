"""Hosts whose names do not resolve, or do so only later."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from pipeline.errors import SourceNotFound
from tests.cameras import numbered_video
from tests.faults.fixtures import Cameras, Seen
from tests.reading import chained_texts, read_source
from tests.require import skip_without

PASSWORD = "c@n:ary/w%rd"

# Run where /etc/hosts is a file of our own, which a mount namespace makes possible without touching the machine's.
LATER = """
import sys
from pathlib import Path
from pipeline.errors import SourceNotFound
from tests.reading import read_source
hosts, url = Path(sys.argv[1]), sys.argv[2]
try:
    read_source(url)
except SourceNotFound as exc:
    print("before:", type(exc).__name__)
hosts.write_text("127.0.0.1 camera.everyframe.test\\n")
print("after:", len(read_source(url, max_frames=3).frames), "frames")
"""


@pytest.mark.fault("name does not resolve", promise="bounded, and a typed error")
@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_host_that_does_not_resolve(seen: Seen, scheme: str) -> None:
    started = time.monotonic()
    with pytest.raises(SourceNotFound, match="names a host that does not resolve") as caught:
        read_source(f"{scheme}://user:{quote(PASSWORD, safe='')}@camera.invalid/a", open_timeout_seconds=4)
    took = time.monotonic() - started
    assert not [text for text in chained_texts(caught.value) if "ary/w" in text or "ary%2Fw" in text]
    assert took < 10
    seen(f"{scheme}: {caught.value.state} after {took:.2f} s")


@pytest.mark.fault("name does not resolve", promise="resolved anew at each try")
def test_a_name_that_resolves_later(rtsp_camera: Cameras, tmp_path: Path, seen: Seen) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode:
        skip_without("namespaces", lacking="a mount namespace of its own (unshare -rm)")
    camera = rtsp_camera(numbered_video(5, fps=100))
    hosts = tmp_path / "hosts"
    hosts.write_text("")
    url = camera.url.replace("127.0.0.1", "camera.everyframe.test")
    mounted = 'mount --bind "$1" /etc/hosts && exec "$2" -c "$3" "$1" "$4"'
    command = [unshare, "-rm", "sh", "-c", mounted, "sh", str(hosts), sys.executable, LATER, url]
    root = Path(__file__).parents[2]
    run = subprocess.run(command, cwd=root, env=None, capture_output=True, text=True, timeout=120, check=False)
    assert run.stdout.splitlines() == ["before: SourceNotFound", "after: 3 frames"], run.stderr
    seen("one process: SourceNotFound, then 3 frames once the name was there")

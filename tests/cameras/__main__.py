"""A camera to try things with: `python -m tests.cameras [FILE.mp4] [--port 8554] [--user U --password P]`."""

from __future__ import annotations

import argparse
import signal

from tests.cameras import HangUpAfter, RtspCamera, numbered_video, video_from_file


def main() -> None:
    """Serve numbered pictures, or the H.264 of a file, in a loop until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.cameras", description=__doc__)
    parser.add_argument("file", nargs="?", help="H.264 video to serve; none: numbered pictures")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--hang-up-after", type=int, metavar="FRAMES", help="close every connection after so many")
    given = parser.parse_args()
    video = video_from_file(given.file) if given.file else numbered_video(250, 640, 480, keyframe_interval=25)
    behaviour = None if given.hang_up_after is None else HangUpAfter(given.hang_up_after)
    with RtspCamera(video, user=given.user, password=given.password, port=given.port, behaviour=behaviour) as camera:
        print(camera.url, flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    # Blocked before any thread starts, so that every thread leaves them to sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main()

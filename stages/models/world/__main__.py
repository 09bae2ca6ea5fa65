"""`python -m stages.models.world`: render a clip of a crossing, and its truth."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stages.models.world.catalogue import CATALOGUES
from stages.models.world.clip import crossing, write_clip


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 for arguments that make no clip, 1 where a file cannot be written."""
    options = _parser().parse_args(arguments)
    try:
        width, height = (int(side) for side in options.size.split("x"))
        world = crossing(options.seed, split=options.split, width=width, height=height, fps=options.fps)
        count = write_clip(
            world, options.seconds, options.output, truth=options.truth, crf=options.crf, progress=_progress
        )
    except ValueError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"\ncannot write the clip: {error}", file=sys.stderr)
        return 1
    files = [path for path in (options.output, options.truth) if path]
    print(f"\r{count} frames: " + ", ".join(f"{path} ({path.stat().st_size / 1e6:.2f} MB)" for path in files))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stages.models.world", description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="which crossing; any number from 0 on")
    parser.add_argument("--output", type=Path, required=True, help="the video file, H.264 in MP4")
    parser.add_argument("--truth", type=Path, help="the truth file (.json.gz): boxes of every frame, id maps of some")
    parser.add_argument(
        "--split", choices=tuple(CATALOGUES), default="unseen", help="what may be drawn; the model trains on 'train'"
    )
    parser.add_argument("--seconds", type=float, default=14.0, help="length (default 14)")
    parser.add_argument("--fps", type=float, default=25.0, help="frames a second (default 25)")
    parser.add_argument("--size", default="1280x720", metavar="WxH", help="size of the picture (default 1280x720)")
    parser.add_argument("--crf", type=int, default=23, help="H.264 rate factor; smaller looks better (default 23)")
    return parser


def _progress(done: int, count: int) -> None:
    print(f"\r{done}/{count} frames", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())

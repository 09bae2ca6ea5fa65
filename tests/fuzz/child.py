"""One target in a process of its own: `python -m tests.fuzz.child TARGET ...`, started by `python -m tests.fuzz`.

Ends with 0 when the time is over and nothing was found. A finding is written to `--findings` and told on standard
error, as are libFuzzer's final figures, which the plain engine prints in the same words.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.fuzz.bounds import confine, peak_rss_bytes
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import Target, load

INPUT_SECONDS = 60  # one input may take; generous, for machines that do other things too
ROOT = Path(__file__).parents[2]
REGRESSIONS = Path(__file__).parent / "regressions"


class TooSlowError(Exception):
    """One input took longer than `INPUT_SECONDS`."""


def main() -> None:
    """Fuzz as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--memory-mb", type=int, required=True)
    parser.add_argument("--findings", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    confine(memory_mb=options.memory_mb)
    (run_plainly if options.plain else run_with_coverage)(options)


def run_with_coverage(options: argparse.Namespace) -> NoReturn:
    """libFuzzer, steered by which lines of ours an input reaches."""
    import atheris

    with atheris.instrument_imports(include=["pipeline", "stages"], exclude=compiled_modules()):
        target = load(options.target)
    for number, data in enumerate(corpus(target)):
        (options.corpus / f"seed-{number}").write_bytes(data)
    limit_mb = peak_rss_bytes() // (1 << 20) + options.memory_mb
    flags = {
        "max_total_time": max(1, round(options.seconds)),
        "seed": options.seed,
        "timeout": INPUT_SECONDS,
        "rss_limit_mb": limit_mb,
        "max_len": target.longest,
        "artifact_prefix": f"{options.findings}/{target.name}-",
        "print_final_stats": 1,
    }
    arguments = [f"-{flag}={value}" for flag, value in flags.items()]
    atheris.Setup([sys.argv[0], *arguments, str(options.corpus)], target.one_input)
    atheris.Fuzz()
    raise AssertionError("libFuzzer ends the process itself")


def compiled_modules() -> list[str]:
    """Modules whose functions numba compiles, which it cannot with libFuzzer's counters in them."""
    files = (path for path in (ROOT / "stages").rglob("*.py") if "stages.compiled" in path.read_text(encoding="utf-8"))
    return ["stages.compiled", *(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)]


def run_plainly(options: argparse.Namespace) -> None:
    """Seeds and mutations of them, drawn by chance, without looking at what they reach."""
    target = load(options.target)
    signal.signal(signal.SIGALRM, _too_slow)
    originals = corpus(target)
    executed, until = 0, time.monotonic() + options.seconds
    for data in inputs(originals, random.Random(options.seed), target.longest):
        try:
            signal.alarm(INPUT_SECONDS)
            target.one_input(data)
        except BaseException:  # noqa: BLE001 - whatever comes out is a finding
            signal.alarm(0)
            traceback.print_exc()
            path = options.findings / f"{target.name}-crash-{hashlib.sha1(data).hexdigest()}"
            path.write_bytes(data)
            sys.exit(77)
        executed += 1
        if executed >= len(originals) and time.monotonic() >= until:
            break
    signal.alarm(0)
    print(f"Done {executed} runs in {options.seconds:.0f} second(s)", file=sys.stderr)
    print(f"stat::peak_rss_mb: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}", file=sys.stderr)


def corpus(target: Target) -> list[bytes]:
    """What is right, and what once went wrong."""
    once_wrong = sorted((REGRESSIONS / target.name).glob("*"))
    return [*target.seeds(), *(path.read_bytes() for path in once_wrong)]


def inputs(originals: Sequence[bytes], chance: random.Random, longest: int) -> Iterator[bytes]:
    """The corpus as it is, then mutations of it for ever."""
    yield from originals
    while True:
        yield mutated(originals, chance, largest=longest)


def _too_slow(_: int, __: FrameType | None) -> NoReturn:
    raise TooSlowError(f"an input took longer than {INPUT_SECONDS} s")


if __name__ == "__main__":
    main()

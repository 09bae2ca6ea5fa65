"""`python -m tests.fuzz TARGET --seconds N` fuzzes one target, `all` every one in turn."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import TARGETS, load

ROOT = Path(__file__).parents[2]
GRACE_SECONDS = 120.0  # to import, to run the corpus, and to finish the last input
_TAIL_LINES = 40


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of one target came to."""

    target: str
    engine: str
    executions: int
    seconds: int
    peak_mb: int
    findings: tuple[Path, ...]
    failed: bool
    output: str

    def __str__(self) -> str:
        found = f"{len(self.findings) or 'one'} finding" if self.failed else "clean"
        rate = self.executions / self.seconds if self.seconds else 0
        return (
            f"{self.target:<10} {self.engine:<8} {self.executions:>9} inputs in {self.seconds:>4} s "
            f"({rate:6.0f} a second), at most {self.peak_mb:>4} MB: {found}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 1 where something was found."""
    options = read(arguments)
    if options.input is not None:
        load(options.target).one_input(options.input.read_bytes())
        print(f"{options.target} takes {options.input}")
        return 0
    engine = "plain" if options.plain or importlib.util.find_spec("atheris") is None else "atheris"
    if engine == "plain" and not options.plain:
        print("atheris is not installed (pip install -e '.[fuzz]'): inputs are drawn without regard to what they reach")
    failed = False
    for name in TARGETS if options.target == "all" else [options.target]:
        outcome = fuzz(name, engine, options)
        print(outcome, flush=True)
        if outcome.failed:
            failed = True
            print(outcome.output)
            for path in outcome.findings:
                print(f"again with: python -m tests.fuzz {name} --input {path}")
    return int(failed)


def read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    listed = "\n".join(f"  {name:<10} {what}" for name, (what, _) in TARGETS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=f"Fuzz what reads foreign bytes.\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", choices=[*TARGETS, "all"], metavar="TARGET", help="one of the above, or all")
    parser.add_argument("--seconds", type=float, default=60, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn (1)")
    parser.add_argument("--memory-mb", type=int, default=2048, help="an input may make the process take (2048)")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()) / "everyframe-findings")
    parser.add_argument("--corpus", type=Path, help="folder to keep what was found to reach new lines, and start from")
    parser.add_argument("--plain", action="store_true", help="mutate the corpus without looking at coverage")
    parser.add_argument("--input", type=Path, help="run this one input, and say what happens")
    return parser.parse_args(arguments)


def fuzz(name: str, engine: str, options: argparse.Namespace) -> Outcome:
    """Run one target in a process of its own."""
    options.findings.mkdir(parents=True, exist_ok=True)
    in_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="everyframe-fuzz-", dir=in_memory))
    corpus = (options.corpus or folder / "corpus") / name
    corpus.mkdir(parents=True, exist_ok=True)
    before = set(options.findings.iterdir())
    command = [sys.executable, "-m", "tests.fuzz.child", name, "--seconds", f"{options.seconds}"]
    command += ["--seed", f"{options.seed}", "--memory-mb", f"{options.memory_mb}"]
    command += ["--findings", f"{options.findings}", "--corpus", f"{corpus}", *(["--plain"] * (engine == "plain"))]
    try:
        code, output = finished(command, folder, options.seconds + GRACE_SECONDS)
    finally:
        shutil.rmtree(folder)
    found = sorted(path for path in set(options.findings.iterdir()) - before)
    tail = "\n".join(output.splitlines()[-_TAIL_LINES:])
    executions, seconds = figure(output, r"Done (\d+) runs"), figure(output, r"Done \d+ runs in (\d+) second")
    peak = figure(output, r"stat::peak_rss_mb:\s+(\d+)")
    return Outcome(name, engine, executions, seconds, peak, tuple(found), code != 0, tail)


def finished(command: list[str], folder: Path, seconds: float) -> tuple[int, str]:
    """Exit code and output of a process that may take so long, and no longer."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        return -9, f"{output}\nended after {seconds:g} s"
    return process.returncode, output


def figure(output: str, pattern: str) -> int:
    """One of the figures that a fuzzing process prints last, in libFuzzer's words; 0 where it came to no end."""
    match = re.search(pattern, output)
    return int(match[1]) if match else 0


if __name__ == "__main__":
    sys.exit(main())

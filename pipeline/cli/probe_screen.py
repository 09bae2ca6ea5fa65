"""A probe's report on one screen, and the line that tells how far it has come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.cli.probe_report import Report
from pipeline.cli.probe_run import Progress
from pipeline.cli.probe_verdict import clock_words
from pipeline.messages.findings import Findings, StreamFindings

WIDE: Final = 200  # columns where the output is no terminal, so that nothing is folded
STYLES: Final = {"usable": "bold green", "usable, but": "bold yellow", "not usable": "bold red"}
CLOCKS: Final = {
    "rtcp": "the camera's own (RTCP sender reports)",
    "pts": "the stream's time stamps, laid on this machine's clock by arrival",
    "host": "this machine's, at arrival; the source tells no time",
    "recording": "the recording's time stamps",
}


def print_report(report: Report) -> None:
    """Print the report to the output stream."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(screen(report))
        return
    console = Console(highlight=False, width=WIDE, color_system=None)
    with console.capture() as captured:
        console.print(screen(report))
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))  # rich fills its lines with blanks


def screen(report: Report) -> RenderableType:
    """The whole report."""
    parts: list[RenderableType] = [Text(report.source, style="bold")]
    if report.found is not None:
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim", no_wrap=True)
        rows.add_column(overflow="fold")
        for name, text in rows_of(report.found, nvdec=report.nvdec or ""):
            rows.add_row(Text(name), Text(text))
        parts.append(Padding(rows, (1, 0, 1, 2)))
    parts.append(verdict_text(report))
    return Group(*parts)


def verdict_text(report: Report) -> Text:
    """The verdict in its colour, and why."""
    style = STYLES[report.verdict]
    if not report.reasons:
        return Text(report.verdict, style=style)
    if len(report.reasons) == 1:
        return Text(f"{report.verdict}: ", style=style).append(report.reasons[0], style="not bold")
    listed = Text(f"{report.verdict}:", style=style)
    for reason in report.reasons:
        listed.append(f"\n  - {reason}", style="not bold")
    return listed


def rows_of(found: Findings, *, nvdec: str) -> Iterator[tuple[str, str]]:
    """What was found, a row each."""
    yield "what", what_words(found.stream, live=found.live)
    yield "frame rate", rate_words(found)
    yield "decodes", decode_words(found)
    yield "NVDEC", nvdec
    yield "keyframes", keyframe_words(found)
    yield "B-frames", f"yes; the decoder holds back {found.held_back_frames} frames" if found.b_frames else "none seen"
    yield "clock", clock_row(found)
    yield "bit rate", "unknown" if found.bit_rate is None else f"{found.bit_rate / 1e6:.3g} Mbit/s"
    yield "opened in", opened_words(found)
    yield "watched", watched_words(found)


def what_words(stream: StreamFindings, *, live: bool) -> str:
    """Kind, container, codec, size, pixels."""
    codec = f"{stream.codec} ({stream.profile})" if stream.profile else stream.codec
    pixels = stream.pixel_format or "unknown pixels"
    if stream.bits is not None and stream.chroma is not None:
        pixels += f" ({stream.chroma}, {stream.bits} bit)"
    container = "/".join(stream.container.split(",")[:2])  # FFmpeg names a family: mov,mp4,m4a,3gp,3g2,mj2
    told = [f"{'camera' if live else 'file'}: {container}", codec, f"{stream.width}x{stream.height}", pixels]
    if stream.interlaced:
        told.append("interlaced")
    if stream.rotation:
        told.append(f"turned by {stream.rotation} degrees")
    if stream.declared_seconds is not None:
        told.append(f"{stream.declared_seconds:.1f} s")
    return ", ".join(told)


def rate_words(found: Findings) -> str:
    """Measured and declared."""
    declared = "none declared" if found.stream.declared_rate is None else f"{found.stream.declared_rate:.4g} declared"
    if found.measured_rate is None:
        return f"{declared}; not measured"
    varying = ", varying" if found.varying_rate else ""
    arrived = "" if found.arrival_rate is None else f", {found.arrival_rate:.3g} arrived"
    return f"{found.measured_rate:.4g} measured{varying}, {declared}{arrived}"


def decode_words(found: Findings) -> str:
    """Whether, and at what cost."""
    if not found.frames:
        return f"no frame so far; by FFmpeg's {found.stream.decoder} on the CPU"
    told = f"yes, by FFmpeg's {found.stream.decoder} on the CPU"
    if not found.cpu_ms_a_frame:
        return told
    told += f"; {found.cpu_ms_a_frame:.1f} ms of a core a frame"
    rate = found.measured_rate or found.stream.declared_rate
    return f"{told}, {found.cpu_ms_a_frame * rate / 10:.0f} % of a core" if rate else told


def keyframe_words(found: Findings) -> str:
    """How often."""
    keyframes = found.keyframes
    if not keyframes.count:
        return "none seen"
    if keyframes.interval_frames is None:
        longest = "" if keyframes.longest_seconds is None else f" in {keyframes.longest_seconds:.1f} s"
        return f"one seen{longest}"
    if keyframes.interval_frames == 1:
        return "every frame is one"
    seconds = "" if keyframes.interval_seconds is None else f"{keyframes.interval_seconds:.3g} s, "
    return f"every {seconds}{keyframes.interval_frames} frames ({keyframes.count} seen)"


def clock_row(found: Findings) -> str:
    """Where capture times come from."""
    if found.clock is None:
        return "unknown"
    told = f"{found.clock}: {CLOCKS[found.clock]}"
    if found.camera_ahead_seconds is not None:
        told += f"; {clock_words(found.camera_ahead_seconds)} ours"
    return told


def opened_words(found: Findings) -> str:
    """How long it took."""
    first = "no frame" if found.first_frame_seconds is None else f"first frame after {found.first_frame_seconds:.2f} s"
    return f"{found.open_seconds:.2f} s; {first}"


def watched_words(found: Findings) -> str:
    """How much was seen."""
    whole = ", the whole file" if found.to_the_end else ""
    lost = f"{found.undecoded} packets without a picture, {found.damaged} damaged pictures"
    return f"{found.watched_seconds:.1f} s: {found.frames} frames{whole}, {lost}"


def progress_words(progress: Progress) -> str:
    """How far it has come, in a line."""
    if progress.phase == "first frame":
        return "open; waiting for the first frame"
    if progress.phase == "watching" and progress.findings is not None:
        return f"watching: {progress.findings.frames} frames in {progress.findings.watched_seconds:.1f} s"
    return progress.phase

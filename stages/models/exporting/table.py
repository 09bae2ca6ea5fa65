"""What was written, for a person."""

from __future__ import annotations

from collections.abc import Sequence

from stages.models.exporting.agreement import SEEN_SCORE
from stages.models.exporting.export import Exported
from stages.models.exporting.frames import Frames

_HEAD = f"{'file':<32} {'MB':>6} {'mean difference':>16} {'same detections':>16}"


def table(exported: Sequence[Exported], frames: Frames) -> str:
    """A line a file, and what INT8 costs."""
    lines = [f"checked on {frames.told}", _HEAD]
    for one in exported:
        worst = max(one.agreement.mean.values())
        same = f"{one.agreement.same} of {one.agreement.seen}"
        lines.append(f"{one.path.name:<32} {one.size / 1e6:>6.2f} {worst:>15.3%} {same:>16}")
    for one in exported:
        if one.judged is not None:
            floats = f"; {one.judged.floats} in float" if one.judged.floats else ""
            lines.append(f"INT8 costs {one.judged.drop:.4f}: {one.judged.told}{floats}")
    lines.append(f"written: {', '.join(str(one.path) for one in exported)}")
    return "\n".join(lines)


def warnings(exported: Sequence[Exported], frames: Frames) -> list[str]:
    """What a person should know of how little was checked."""
    told = []
    if not frames.real:
        told.append(f"checked on {frames.told}; give --footage or --data for frames like those it will see")
    if not any(one.agreement.seen for one in exported):
        told.append(f"the network finds nothing above {SEEN_SCORE} on them, so that no detections could be compared")
    return told

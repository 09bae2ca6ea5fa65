"""The report's HTML. Every text from outside is escaped where it enters; the page may fetch nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from stages.exports.entry import utc_of
from stages.exports.report_charts import Series, clock, timeline
from stages.exports.report_document import document
from stages.exports.report_pictures import ReportPictures
from stages.exports.report_tally import Tally, TrackTally
from stages.publish.colours import OKABE_ITO

SHOWN_CLASSES: Final = 6  # with a colour of their own; the rest share one
OTHER_COLOUR: Final = "#8d939c"
EARLIEST_YEAR: Final = 1980  # recordings without a clock begin in 1970


@dataclass(frozen=True, slots=True)
class Facts:
    """What the results do not tell."""

    file: str
    name: str
    undecoded: int | None = None  # packets without a picture; None: not known
    damaged: int | None = None  # pictures with guessed parts


def page(facts: Facts, tally: Tally, tracks: Sequence[TrackTally], pictures: ReportPictures) -> str:
    """The whole page."""
    series = series_of(tally)
    colours = {label: one.colour for one in series for label in one.labels}
    body = "\n".join(
        part
        for part in (
            _header(facts, tally),
            _hero(tally, pictures),
            _timeline(tally, series),
            _classes(tally, colours),
            _tracks(tally, tracks, pictures, colours),
            _heat(tally, pictures),
            _losses(facts, tally),
        )
        if part
    )
    return document(f"{facts.file}: report", body)


def series_of(tally: Tally) -> list[Series]:
    """The classes of the time line, the most frequent first; those past `SHOWN_CLASSES` as one."""
    ordered = _ordered(tally)
    shown = ordered if len(ordered) <= SHOWN_CLASSES + 1 else ordered[:SHOWN_CLASSES]
    series = [
        Series(_class_name(tally, label), _css(OKABE_ITO[i % len(OKABE_ITO)]), frozenset({label}))
        for i, label in enumerate(shown)
    ]
    rest = frozenset(ordered[len(shown) :])
    return [*series, Series(f"{len(rest)} others", OTHER_COLOUR, rest)] if rest else series


def _ordered(tally: Tally) -> list[int]:
    return sorted(tally.classes, key=lambda label: (-tally.classes[label].objects, label))


def _css(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _class_name(tally: Tally, label: int) -> str:
    names = () if tally.first is None else tally.first.classes.names
    return names[label] if label < len(names) else f"class {label}"


def _header(facts: Facts, tally: Tally) -> str:
    first = tally.first
    sizes = ", ".join(f"{width} × {height}" for width, height in tally.sizes)
    rows = {
        "Source": facts.name,
        "Duration": "" if first is None else _duration(tally),
        "Began": _began(tally),
        "Picture": sizes,
        "Frames": _number(tally.frames),
        "Analysed": _share(tally.analysed, tally.frames),
        "Model": "" if first is None else f"{first.model.name} {first.model.version}".strip(),
    }
    told = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in rows.items() if value)
    return f"<header>\n<p>Video report</p>\n<h1>{escape(facts.file)}</h1>\n<dl>{told}</dl>\n</header>"


def _duration(tally: Tally) -> str:
    """With the last frame's own time, as players have it."""
    rate = tally.rate
    text = clock(tally.duration_ns / 1e9 + (1 / rate if rate else 0), fine=True)
    return f"{text} at {rate:.4g} frames/s" if rate else text


def _began(tally: Tally) -> str:
    moment = None if tally.first is None else utc_of(tally.first_ns)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment is not None and moment.year >= EARLIEST_YEAR else ""


def _hero(tally: Tally, pictures: ReportPictures) -> str:
    if pictures.scene:
        return (
            f'<figure class="hero"><img src="{pictures.scene}" alt="A frame of the recording">'
            "<figcaption>A frame from the middle of the recording.</figcaption></figure>"
        )
    if not pictures.busiest or tally.busiest is None:
        return ""
    at = clock((tally.busiest.capture_time_ns - tally.first_ns) / 1e9, fine=True)
    things = f"{tally.most} object{'s' if tally.most > 1 else ''}"
    return (
        f'<figure class="hero"><img src="{pictures.busiest}" alt="A frame with its results drawn over it">'
        f"<figcaption>The busiest moment, {at}: {things} in the picture.</figcaption></figure>"
    )


def _timeline(tally: Tally, series: Sequence[Series]) -> str:
    if tally.first is None:
        return '<section>\n<h2>Nothing to show</h2>\n<p class="none">The recording gave no result.</p>\n</section>'
    if not series:
        return '<section>\n<h2>Objects over time</h2>\n<p class="none">No objects were found.</p>\n</section>'
    gaps = [note.after_ns or 0 for note in tally.gaps]
    legend = "".join(f"<li>{_dot(one.colour)}{escape(one.name)}</li>" for one in series)
    gap = '<li><i class="gapkey"></i>frames without a result</li>' if gaps else ""
    width = tally.bins.width_ns / 1e9
    return (
        "<section>\n<h2>Objects over time</h2>\n"
        f"<div class=wide>{timeline(tally.bins, tally.duration_ns, series, gaps)}</div>\n"
        f'<ul class="legend">{legend}{gap}</ul>\n'
        f'<p class="note">Objects in a frame, averaged over {width:g} s at a time.</p>\n</section>'
    )


def _dot(colour: str) -> str:
    return f'<i style="background:{colour}"></i>'


def _classes(tally: Tally, colours: dict[int, str]) -> str:
    if not tally.classes:
        return ""
    rows = []
    for label in _ordered(tally):
        one = tally.classes[label]
        cells = (
            _number(one.tracks),
            _number(one.most),
            f"{one.objects / tally.results:.2f}",
            _percent(one.frames, tally.results),
            f"{one.score_sum / one.objects:.2f}",
        )
        name = f"<th scope=row>{_dot(colours[label])}{escape(_class_name(tally, label))}</th>"
        rows.append(f"<tr>{name}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    heads = ("Different objects", "Most at once", "In a frame", "Frames with any", "Mean score")
    return (
        "<section>\n<h2>Classes</h2>\n<div class=wide><table><thead><tr><th scope=col>Class</th>"
        f"{''.join(f'<th scope=col>{head}</th>' for head in heads)}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>\n"
        '<p class="note">Different objects are confirmed tracks: one that leaves and returns counts twice.</p>\n'
        "</section>"
    )


def _tracks(tally: Tally, tracks: Sequence[TrackTally], pictures: ReportPictures, colours: dict[int, str]) -> str:
    if not tracks:
        return ""
    cards = "\n".join(_card(tally, track, pictures.tracks.get(track.number, ""), colours) for track in tracks)
    return f'<section>\n<h2>Longest tracks</h2>\n<ol class="cards">\n{cards}\n</ol>\n</section>'


def _card(tally: Tally, track: TrackTally, picture: str, colours: dict[int, str]) -> str:
    name = escape(_class_name(tally, track.label))
    start, end = ((time - tally.first_ns) / 1e9 for time in (track.first_ns, track.last_ns))
    shown = f'<img src="{picture}" alt="{name} {track.number}">' if picture else '<div class="blank"></div>'
    return (
        f"<li>{shown}<b>{_dot(colours.get(track.label, OTHER_COLOUR))}{name} {track.number}</b>"
        f"<span>{end - start:.1f} s, {clock(start)} to {clock(end)}</span>"
        f"<span>mean score {track.score_sum / track.frames:.2f}</span></li>"
    )


def _heat(tally: Tally, pictures: ReportPictures) -> str:
    if not pictures.heat or not tally.classes:
        return ""
    most = int(tally.heat.counts().max()) / tally.results
    return (
        "<section>\n<h2>Where objects were</h2>\n"
        f'<figure><img src="{pictures.heat}" alt="The scene, brighter where objects were">'
        '<figcaption class="scale"><span>never</span><i></i>'
        f"<span>{most:.2f} objects on average</span></figcaption></figure>\n</section>"
    )


def _losses(facts: Facts, tally: Tally) -> str:
    return f"<section>\n<h2>Every frame accounted for</h2>\n{_balance(facts, tally)}{_gap_table(tally)}</section>"


def _balance(facts: Facts, tally: Tally) -> str:
    lost = sum(tally.lost.values())
    if not tally.frames:
        told = "There was no frame."
    elif not lost:
        told = f"All {_number(tally.frames)} frames have a result."
    else:
        told = f"{_number(tally.results)} of {_number(tally.frames)} frames have a result; {_number(lost)} have none."
    if tally.results > tally.analysed:
        predicted = tally.results - tally.analysed
        told += f" In {_number(predicted)} of them, left out as planned, boxes are predicted by the tracker."
    notes = [told]
    if facts.undecoded is not None:
        notes.append(f"Packets that gave no picture: {_number(facts.undecoded)}.")
    if facts.damaged:
        notes.append(f"Pictures that the decoder had to guess parts of: {_number(facts.damaged)}.")
    return f"<p>{' '.join(notes)}</p>\n"


def _gap_table(tally: Tally) -> str:
    if not tally.gaps:
        return ""
    rows = "".join(
        f"<tr><td>{'' if note.after_ns is None else clock(note.after_ns / 1e9, fine=True)}</td>"
        f"<td>{_number(note.number)} to {_number(note.number + note.gap.count - 1)}</td>"
        f"<td>{_number(note.gap.count)}</td><td class=word>{escape(note.gap.reason.replace('_', ' '))}</td></tr>"
        for note in tally.gaps
    )
    more = tally.gap_count - len(tally.gaps)
    rest = f'<p class="note">And {_number(more)} more.</p>' if more else ""
    return (
        "<div class=wide><table><thead><tr><th scope=col>After</th><th scope=col>Frames</th><th scope=col>Count</th>"
        f"<th scope=col class=word>Reason</th></tr></thead><tbody>{rows}</tbody></table></div>{rest}\n"
    )


def _number(value: int) -> str:
    """With thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def _share(part: int, whole: int) -> str:
    return f"{_number(part)} ({_percent(part, whole)})" if whole else ""


def _percent(part: int, whole: int) -> str:
    """Never 100 % of what is not whole, nor 0 % of something."""
    if not whole:
        return "0 %"
    share = 100 * part / whole
    if 0 < part < whole:
        share = min(max(share, 0.1), 99.9)
        return f"{share:.1f} %" if share < 1 or share > 99 else f"{share:.0f} %"
    return f"{share:.0f} %"

"""Prints who is in sight: python subscribe.py [ADDRESS]"""

import sys

from pipeline import Subscriber

with Subscriber(*sys.argv[1:], topics=["*/tracks"]) as results:
    for result in results:
        tracks = zip(result.tracks.labels, result.tracks.ids, strict=True)
        seen = [f"{result.class_name(label)}#{track_id}" for label, track_id in tracks]
        if result.gap_before:
            seen.append(f"({result.gap_before} frames lost, {results.missed} messages missed)")
        print(f"{result.source_id} {result.epoch}/{result.seq}", *seen, flush=True)

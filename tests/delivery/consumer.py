"""A member of a consumer group, to be killed: ``python -m tests.delivery.consumer ADDRESS GROUP TOPIC APPLIED``.

It applies items by writing each as a line to the file APPLIED, and takes note of nothing else: what was applied before
it was killed stands there, and what is delivered again is written again. It ends when its standard input does.
"""

from __future__ import annotations

import os
import sys
import threading

from pipeline import Subscriber
from pipeline.messages import FrameResult, Gap

NAME = "teller"  # whoever takes a killed one's place goes on at once with what that one held


def main(address: str, group: str, topic: str, applied_path: str) -> None:
    """Apply until told to stop."""
    applied = os.open(applied_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with Subscriber(address, topics=[topic], group=group, consumer=NAME, start="beginning") as subscriber:
        threading.Thread(target=lambda: (sys.stdin.read(), subscriber.close()), daemon=True).start()
        for item in subscriber.items():
            if isinstance(item, FrameResult):
                line = f"{item.source_id} {item.epoch} {item.seq} {item.seq} result\n"
            elif isinstance(item, Gap):
                line = f"{item.source_id} {item.epoch} {item.first_seq} {item.last_seq} gap\n"
            else:
                continue
            os.write(applied, line.encode())


if __name__ == "__main__":
    main(*sys.argv[1:])

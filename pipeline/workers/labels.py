"""Which epoch and number a frame goes by, where the runtime starts epochs that the reader knows nothing of."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.messages import Frame


class Labels:
    """Maps a reader's `(epoch, seq)` to that under which the frame leaves.

    They are the same until `renew` is called: a replaced vision worker starts a new epoch in the middle of a reader's,
    in which frames count from 0 again.
    """

    def __init__(self, next_epoch: Callable[[], int]) -> None:
        self._next_epoch = next_epoch
        self._reader_epoch = 0
        self._epoch = 0
        self._first_seq = 0  # the reader's number of the epoch's first frame
        self.renewed = False  # the next frame starts a new epoch

    def renew(self) -> None:
        """The next frame starts a new epoch."""
        self.renewed = True

    def of(self, frame: Frame) -> tuple[int, int]:
        """The epoch and number of a frame."""
        if frame.epoch != self._reader_epoch:
            # The reader asked for this epoch itself, after any that was issued here: it can only be higher.
            self._reader_epoch = self._epoch = frame.epoch
            self._first_seq = frame.seq
        elif self.renewed:
            self._epoch, self._first_seq = self._next_epoch(), frame.seq
        self.renewed = False
        return self._epoch, frame.seq - self._first_seq

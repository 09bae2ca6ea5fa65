"""How busy a GPU and its decoder are, as the driver says (NVML)."""

from __future__ import annotations

import statistics
import subprocess
import threading


class Busy(threading.Thread):
    """Asks the driver how busy the GPU and its decoder are, while this is entered."""

    ASK = ("nvidia-smi", "--query-gpu=utilization.gpu,utilization.decoder", "--format=csv,noheader,nounits", "-lms=200")

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.share: dict[str, float] = {}
        self._asked: list[list[float]] = []

    def __enter__(self) -> Busy:
        self._asker = subprocess.Popen(self.ASK, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._asker.terminate()
        self._asker.wait()
        self.join()
        if self._asked:
            columns = zip(*self._asked, strict=True)
            self.share = dict(zip(("GPU", "decoder"), map(statistics.fmean, columns), strict=True))

    def run(self) -> None:
        """Read what it says until it ends."""
        assert self._asker.stdout is not None
        for line in self._asker.stdout:
            told = [part.strip() for part in line.split(",")]
            if len(told) == 2 and all(part.isdigit() for part in told):  # else the driver does not say
                self._asked.append([float(part) for part in told])

"""Ends asked for by signals."""

from __future__ import annotations

import os
import signal

import pytest

from pipeline.cli.interrupts import Interrupts, unwinding_on_sigterm


def end_oneself(cleaned: list[bool]) -> None:
    with unwinding_on_sigterm():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.sigtimedwait([], 5.0)  # where the signal comes a moment later
        finally:
            cleaned.append(True)


def test_sigterm_unwinds_with_its_code_and_only_while_asked_to() -> None:
    before, cleaned = signal.getsignal(signal.SIGTERM), list[bool]()
    with pytest.raises(SystemExit) as caught:
        end_oneself(cleaned)
    assert (caught.value.code, cleaned) == (143, [True])
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_first_signal_is_remembered_and_a_second_breaks_off() -> None:
    told: list[bool] = []
    with Interrupts(lambda: told.append(True)) as interrupts:
        assert not interrupts.asked()
        os.kill(os.getpid(), signal.SIGTERM)
        signal.sigtimedwait([], 0.0)
        assert (interrupts.asked(), interrupts.exit_code, told) == (True, 143, [True])
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert interrupts.exit_code == 143

"""`everyframe keys`, and the keys of `everyframe watch`."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from pipeline.allow_list import entries
from pipeline.cli.app import execute
from pipeline.messages import Gap
from stages.publish.zeromq import ZeroMQPublisher
from tests.pipeline.strangers import Site


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = execute(["keys", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_keys_are_made_listed_and_shown_but_never_a_secret(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "everyframe" / "keys"
    texts = [printed(capsys, "list"), printed(capsys, "make", "site"), printed(capsys, "make", "alice")]
    assert "no keys in" in texts[0][1]
    secrets = [(folder / f"{name}.key").read_text().strip() for name in ("site", "alice")]
    (folder / "alice.key").chmod(0o644)
    (folder / "site.key").unlink()
    texts += [printed(capsys, "list"), printed(capsys, "show", "alice")]
    assert [code for code, _, _ in texts] == [0] * 5
    assert entries(texts[-1][1], "shown")[0].name == "alice"
    listed = texts[-2][1].splitlines()
    assert listed[0].startswith("alice  ")
    assert listed[0].endswith(f"others may read it (mode 0644): chmod 600 {folder / 'alice.key'}")
    assert listed[1].endswith("public key alone")
    assert not [text for _, out, err in texts for text in (out, err) if any(secret in text for secret in secrets)]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["make"], "keys make takes a name"),
        (["list", "site"], "keys list takes no name"),
        (["show", "nobody"], "there is no file"),
        (["show", "../site"], "is not a name for a key"),
        (["remove", "site"], "invalid choice"),
    ],
)
def test_what_cannot_be_done(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], said: str
) -> None:
    code, out, err = printed(capsys, *arguments, "--directory", str(tmp_path))
    assert (code, out) == (2, "")
    assert said in err


def test_watch_shows_its_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.allow(site.pair("alice"))
    done = threading.Event()

    def publish(publisher: ZeroMQPublisher) -> None:
        while not done.is_set():
            publisher.socket.poll(20)
            publisher.publish_gap(Gap("door", 1, 0, 0, "late"))

    with site.published() as publisher:
        thread = threading.Thread(target=publish, args=(publisher,))
        thread.start()
        try:
            keys = ["--server-key", str(tmp_path / "site.pub"), "--key", str(tmp_path / "alice.key")]
            code = execute(["watch", publisher.address, "-t", "door/all", "-n", "1", *keys])
        finally:
            done.set()
            thread.join()
    out, _ = capsys.readouterr()
    assert code == 0
    assert "gap: 1 frame lost" in out


def test_watch_says_that_its_key_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.cli.watch_loop.PATIENCE_SECONDS", 2.0)
    site = Site(tmp_path)
    site.pair("alice")
    with site.published() as publisher:
        keys = ["--server-key", str(tmp_path / "site.pub"), "--key", str(tmp_path / "alice.key")]
        code = execute(["watch", publisher.address, "--timeout", "3", "-n", "1", *keys])
    _, err = capsys.readouterr()
    assert code == 1
    assert "the publisher does not let in this key" in err
    assert "our key was refused" in err

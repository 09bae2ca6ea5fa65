"""Keys in files: made once, never replaced, never shown; and the list of those that are let in."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import zmq

from pipeline.allow_list import AllowList, entries
from pipeline.client.curve import reader_keys
from pipeline.config import check, parse
from pipeline.errors import ConfigError, UsageError
from pipeline.keys import is_key, make_pair, pairs_in, public_key, secret_key

PUBLIC = b"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7".decode()  # the example of ZeroMQ's manual


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_pair_is_two_files_that_belong_together(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = make_pair("site", tmp_path / "keys")
    finally:
        os.umask(before)
    assert made.secret_path is not None
    assert (mode(made.secret_path), mode(tmp_path / "keys" / "site.pub")) == (0o600, 0o644)
    own = secret_key(made.secret_path, setting="test")
    assert zmq.curve_public(own.secret).decode() == own.public == made.public.key
    assert public_key(str(tmp_path / "keys" / "site.pub"), setting="test") == own.public
    assert own.secret.decode() not in repr(own) + repr(made)
    assert pairs_in(tmp_path / "keys") == [made]


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    make_pair("site", tmp_path)
    was = (tmp_path / "site.key").read_bytes()
    with pytest.raises(UsageError, match=r"site\.key is there already"):
        make_pair("site", tmp_path)
    (tmp_path / "site.key").unlink()
    with pytest.raises(UsageError, match=r"site\.pub is there already"):
        make_pair("site", tmp_path)
    assert not (tmp_path / "site.key").exists()
    assert len(was) == 41


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-x", "a b", "x" * 65])
def test_a_name_makes_a_file_in_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not a name for a key"):
        make_pair(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="keys cannot be written there"):
        make_pair("site", tmp_path / "file" / "keys")


@pytest.mark.parametrize("permissions", [0o640, 0o604, 0o666])
def test_a_secret_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path, permissions: int) -> None:
    path = make_pair("site", tmp_path).secret_path
    assert path is not None
    path.chmod(permissions)
    with pytest.raises(UsageError, match=rf"publish\.key: .*mode {permissions:04o}.*chmod 600") as caught:
        secret_key(path, setting="publish.key")
    assert path.read_text().strip() not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 5_000, b"\xff" * 40, b"~" * 40, b"#" * 40])
def test_what_is_no_key_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.key"
    path.write_bytes(content)
    path.chmod(0o600)
    for read in (lambda: secret_key(path, setting="key"), lambda: public_key(str(path), setting="key")):
        with pytest.raises(UsageError, match=r"^key: .*x\.key") as caught:
            read()
        assert len(content) < 5 or content.decode("latin-1") not in str(caught.value)


def test_a_public_key_may_be_written_as_itself() -> None:
    assert public_key(PUBLIC, setting="server_key") == PUBLIC
    with pytest.raises(UsageError, match=r"server_key: there is no file nowhere\.pub; 'everyframe keys make NAME'"):
        public_key("nowhere.pub", setting="server_key")


def test_what_a_key_is() -> None:
    assert is_key(PUBLIC)
    assert not any(map(is_key, ["", PUBLIC[:-1], PUBLIC + "0", "#" * 40, "~" + PUBLIC[1:], PUBLIC + "\n"]))


def test_a_reader_needs_both_keys_or_neither(tmp_path: Path) -> None:
    make_pair("me", tmp_path)
    assert reader_keys(None, None) is None
    with pytest.raises(UsageError, match="key: not given, but server_key is"):
        reader_keys(PUBLIC, None)
    with pytest.raises(UsageError, match="server_key: not given, but key is"):
        reader_keys(None, tmp_path / "me.key")
    keys = reader_keys(PUBLIC, tmp_path / "me.key")
    assert keys is not None
    assert keys.secret.decode() not in repr(keys)


def test_a_publisher_needs_both_settings_or_neither() -> None:
    for given, missing in (("key", "clients"), ("clients", "key")):
        with pytest.raises(ConfigError, match=rf"^publish\.{missing}: null, while publish\.{given} is set"):
            check(parse({"sources": ["a.mp4"], "publish": {given: "x"}}))


def test_lines_of_a_list() -> None:
    found = entries(f"# {PUBLIC}\n\n{PUBLIC} alice of the office\n  {PUBLIC}\n#\n", "clients")
    assert [(entry.key, entry.name) for entry in found] == [(PUBLIC, "alice of the office"), (PUBLIC, "")]
    assert not is_key("#" + PUBLIC[1:])  # five characters that begin so stand for more than four bytes
    with pytest.raises(ConfigError, match=r"publish\.clients: clients, line 2: no public key"):
        entries(f"{PUBLIC}\nalice {PUBLIC}\n", "clients")


def test_a_list_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "clients"
    path.write_text("")
    allowed = AllowList(path)
    assert not allowed.allows(PUBLIC)
    path.write_text(f"{PUBLIC}\n")
    assert allowed.allows(PUBLIC)
    path.write_text("nonsense\n")
    assert allowed.allows(PUBLIC)
    assert "line 1" in allowed.fault
    path.unlink()
    assert allowed.allows(PUBLIC)
    assert "cannot be read" in allowed.fault
    path.write_text("# nobody\n")
    assert not allowed.allows(PUBLIC)
    assert allowed.fault == ""


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"no key\n", b"x" * (1 << 20) + b"x"])
def test_a_list_that_cannot_be_read_at_the_start_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "clients"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"^publish\.clients: "):
        AllowList(path)

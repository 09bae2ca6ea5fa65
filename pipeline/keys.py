"""Keys for CURVE, ZeroMQ's encryption: pairs of files, and how a key is written.

A pair is two files in one folder. ``NAME.key`` holds the secret key and is its owner's alone (mode 0600). ``NAME.pub``
holds a line ``KEY NAME``, which is also how a list of keys that are let in has it (`pipeline.allow_list`). A key is 40
characters of Z85, 32 bytes, as every ZeroMQ library takes it.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UsageError

PUBLIC, SECRET = ".pub", ".key"
MOST_BYTES = 4_096  # of a file that holds one key

_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that may be shown, and whose it is."""

    key: str  # 40 characters
    name: str = ""

    def __str__(self) -> str:
        return f"{self.key} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key that is never shown, and the public key that belongs to it."""

    secret: bytes = field(repr=False)  # 40 characters
    public: str


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """The two files of a pair, of which the secret one is elsewhere where another machine owns it."""

    name: str
    public: PublicKey
    secret_path: Path | None


def path_of(written: str | Path) -> Path:
    """A path as it was written, ``~`` standing for the home folder where there is one."""
    try:
        return Path(written).expanduser()
    except RuntimeError:  # nobody of that name
        return Path(written)


def default_directory() -> Path:
    """Where keys are kept unless said otherwise (the XDG base directory rules)."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "everyframe" / "keys"


def make_pair(name: str, directory: Path) -> KeyFiles:
    """Make a pair of files; those that are there are never replaced. Raises `UsageError`."""
    import zmq

    secret_path, public_path = directory / f"{check_name(name)}{SECRET}", directory / f"{name}{PUBLIC}"
    for path in (secret_path, public_path):
        if path.exists():
            raise UsageError(f"{path} is there already; a key is never replaced: remove it, or choose another name")
    public, secret = zmq.curve_keypair()
    line = PublicKey(public.decode(), name)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(secret_path, secret + b"\n", 0o600)
        try:
            _write(public_path, f"{line}\n".encode(), 0o644)
        except OSError:
            secret_path.unlink()  # half a pair is of no use, and in the way of the next try
            raise
    except OSError as exc:
        raise UsageError(f"{exc.filename or directory}: keys cannot be written there: {exc.strerror}") from exc
    return KeyFiles(name, line, secret_path)


def pairs_in(directory: Path) -> list[KeyFiles]:
    """The pairs and public keys of a folder by name; none where there is no folder. Raises `UsageError`."""
    pairs = []
    for path in sorted(directory.glob(f"*{PUBLIC}")):
        secret_path = path.with_suffix(SECRET)
        public = PublicKey(public_key(str(path), setting="keys"), path.stem)
        pairs.append(KeyFiles(path.stem, public, secret_path if secret_path.exists() else None))
    return pairs


def check_name(name: str) -> str:
    """The name itself if a pair may have it. Raises `UsageError`."""
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} is not a name for a key; 1 to 64 of A-Z a-z 0-9 . _ - are, the first a letter, a digit or _"
        )
    return name


def public_key(written: str, *, setting: str) -> str:
    """The public key that is written as itself, or as a file that holds it. Raises `UsageError` naming the setting."""
    path = path_of(written)
    if is_key(written) and not path.exists():
        return written
    words = _read(path, setting=setting).split()
    if not words or not is_key(words[0]):
        raise UsageError(f"{setting}: {written} holds no public key; a file NAME.pub of 'everyframe keys make' does")
    return words[0]


def secret_key(path: str | Path, *, setting: str) -> SecretKey:
    """The secret key of a file that only its owner can read. Raises `UsageError` naming the setting, not the key."""
    import zmq

    text = _read(Path(path), setting=setting, secret=True).strip()
    if not is_key(text):
        raise UsageError(f"{setting}: {path} holds no secret key; a file NAME.key of 'everyframe keys make' does")
    return SecretKey(text.encode(), zmq.curve_public(text.encode()).decode())


def is_key(text: str) -> bool:
    """Whether these are 40 characters that stand for 32 bytes."""
    if _KEY.fullmatch(text) is None:
        return False
    from zmq.utils import z85

    try:
        z85.decode(text)
    except struct.error:  # five characters that stand for more than four bytes
        return False
    return True


def mode_fault(path: Path) -> str:
    """What is wrong with who may read a secret key, and the command that mends it; empty for nothing."""
    mode = stat.S_IMODE(path.stat().st_mode)
    return f"others may read it (mode {mode:04o}): chmod 600 {path}" if mode & 0o077 else ""


def _read(path: Path, *, setting: str, secret: bool = False) -> str:
    try:
        if not path.is_file():
            raise UsageError(f"{setting}: there is no file {path}; 'everyframe keys make NAME' makes keys")
        if secret and (fault := mode_fault(path)):
            raise UsageError(f"{setting}: {path}: {fault}")
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{setting}: {path} is larger than {MOST_BYTES} bytes; it is no key")
        return path.read_bytes().decode("ascii")
    except OSError as exc:
        raise UsageError(f"{setting}: {path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError:  # its message would show what is in the file
        raise UsageError(f"{setting}: {path} holds no key, but other bytes than ASCII") from None


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # whatever the umask
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise

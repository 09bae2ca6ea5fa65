"""Certificates for `rediss://`: the files an address names, and a server whose own certificate is not believed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from pipeline.address import redact
from pipeline.errors import UsageError
from pipeline.redis_address import CA, CERTIFICATE, KEY

HINT: Final = f"; the file of the authority that signed it is named by ?{CA}=/PATH/ca.pem"
UNKNOWN_SIGNER: Final = frozenset({18, 19, 20, 21})  # X509_V_ERR_*: self-signed, an issuer that nobody knows


def check_files(address: str) -> None:
    """Read the certificates that an address names, once, before anything connects with them.

    Raises:
        UsageError: one cannot be read, or is of another kind; names the option and the file.
    """
    import ssl

    named = dict(parse_qsl(urlsplit(address).query))
    context = ssl.create_default_context()
    if CA in named:
        try:
            context.load_verify_locations(named[CA])
        except OSError as exc:  # of which ssl.SSLError is one
            raise _unreadable(address, CA, named[CA], exc) from exc
    if CERTIFICATE in named:
        try:
            # A key under a password would have whoever sits at the terminal asked for it, and a service wait for ever.
            context.load_cert_chain(named[CERTIFICATE], named.get(KEY), password="")
        except OSError as exc:
            both = f"{named[CERTIFICATE]} with {named.get(KEY, 'its key')}, which must have no password,"
            raise _unreadable(address, CERTIFICATE, both, exc) from exc
    elif KEY in named:
        raise UsageError(f"{redact(address)}: {KEY}: not without {CERTIFICATE}, the certificate that the key is for")


def distrust(error: BaseException) -> str:
    """Why the server's certificate is not believed, if that is what an error comes from; else nothing."""
    import ssl

    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            hint = HINT if cause.verify_code in UNKNOWN_SIGNER else ""
            return f"its certificate is not believed: {cause.verify_message.rstrip('.')}{hint}"
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _unreadable(address: str, option: str, path: str, exc: OSError) -> UsageError:
    import ssl

    why = (exc.reason or "no PEM").lower().replace("_", " ") if isinstance(exc, ssl.SSLError) else exc.strerror
    return UsageError(f"{redact(address)}: {option}: {path} cannot be read: {why}")

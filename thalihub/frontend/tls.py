"""TLS as every hub speaks it: 1.3 only, our certificate chain shown, the client's asked for.

The one idea: TLS proves that the client holds the key of the certificate it shows, and nothing
else.  Who that key is, and whether it may do anything, is judged by `acl` for each request, so
every certificate is taken here, and none at all too (design/identity-and-tls.md).

Nothing is resumed: a resumed session skips the proof and reports the old certificate.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

logger = logging.getLogger(__name__)

HTTP_1_1 = b"http/1.1"
_RECORD = 16 * 1024
_RECORDS_AT_ONCE = 16
# IANA's numbers, which the ASGI TLS extension asks for, of the suites TLS 1.3 has.
_SUITES = {
    "TLS_AES_128_GCM_SHA256": 0x1301,
    "TLS_AES_256_GCM_SHA384": 0x1302,
    "TLS_CHACHA20_POLY1305_SHA256": 0x1303,
}


class Peer(NamedTuple):
    """What the other end showed: `leaf` is proven, `others` are bytes that it appended."""

    leaf: bytes | None
    others: tuple[bytes, ...]


class _Connection(SSL.Connection):
    """Gives in one piece what one reading of the socket brought: a TLS record is 16 KB at most.

    Each piece goes through all of Twisted's layers, which costs more than to decrypt it.
    """

    _later: SSL.Error | None = None

    def recv(self, bufsiz: int, flags: int | None = None) -> bytes:
        """Return every record that is here; why there are no more is raised by the next call."""
        if self._later is not None:
            raise self._taken()
        records: list[bytes] = []
        try:
            while len(records) < _RECORDS_AT_ONCE:
                records.append(super().recv(_RECORD, flags))
        except SSL.Error as error:
            if not records:
                raise
            # Its traceback would keep the records until the next collection of garbage.
            self._later = error.with_traceback(None)
        return records[0] if len(records) == 1 else b"".join(records)

    def _taken(self) -> SSL.Error:
        error, self._later = self._later, None
        assert error is not None
        return error


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """Makes the TLS side of each accepted connection.

    A hub that becomes a device of another identity shows its new certificate from then on: the
    file is looked at for each connection, and read when it was replaced.
    """

    def __init__(self, folder: Path, *, ask_for_certificate: bool) -> None:
        self._folder, self._asks = folder, ask_for_certificate
        self._stamp = self._stamp_of_now()
        self._context = _read_context(folder, asks=ask_for_certificate)

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:  # noqa: N802, N803
        """Return a new connection (the name is Twisted's)."""
        try:
            self._renew()
        except (OSError, ValueError, SSL.Error):
            # What was shown so far is as good as before.
            logger.warning("%s cannot be read.", self._folder / "device.crt", exc_info=True)
        return _Connection(self._context, None)

    def _renew(self) -> None:
        stamp = self._stamp_of_now()
        if stamp != self._stamp:
            self._stamp = stamp
            self._context = _read_context(self._folder, asks=self._asks)

    def _stamp_of_now(self) -> tuple[int, int]:
        status = (self._folder / "device.crt").stat()
        return status.st_mtime_ns, status.st_ino


@implementer(IOpenSSLServerConnectionCreator)
class GivenTls:
    """Shows one certificate, and asks the client for its own, naming nobody from whom."""

    def __init__(self, certificate: x509.Certificate, key: Any) -> None:
        self._context = _context([certificate], key)
        self._context.set_verify(SSL.VERIFY_PEER, _accept)

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:  # noqa: N802, N803
        """Return a new connection (the name is Twisted's)."""
        return _Connection(self._context, None)


Maker = ServerTls | GivenTls


def server_tls(folder: Path, *, ask_for_certificate: bool) -> ServerTls:
    """Return the TLS of a listener that presents `device.crt` and `device.key` of `folder`."""
    return ServerTls(folder, ask_for_certificate=ask_for_certificate)


def _read_context(folder: Path, *, asks: bool) -> SSL.Context:
    chain = x509.load_pem_x509_certificates((folder / "device.crt").read_bytes())
    key = load_pem_private_key((folder / "device.key").read_bytes(), password=None)
    context = _context(chain, key)
    if asks:
        context.set_verify(SSL.VERIFY_PEER, _accept)
    return context


def _context(chain: Sequence[x509.Certificate], key: Any) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    # OpenSSL still sends tickets in TLS 1.3, but such that name a session of the cache, and there
    # is no cache: a client that shows one gets a whole handshake.
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # An idle feed should cost no 34 KB of buffers.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"thali")  # Without one, OpenSSL refuses clients with certificates.
    context.use_certificate(chain[0])
    for certificate in chain[1:]:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(key)
    context.check_privatekey()
    context.set_alpn_select_callback(_choose_protocol)
    return context


def _accept(*_: object) -> bool:
    return True


def _choose_protocol(_: SSL.Connection, offered: list[bytes]) -> Any:
    return HTTP_1_1 if HTTP_1_1 in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def peer(transport: TLSMemoryBIOProtocol) -> Peer:
    """Return what the client of `transport` showed.  Ask once per connection.

    OpenSSL's chain of a client leaves the leaf out and holds whatever the client appended: only
    `leaf` is backed by the handshake.
    """
    connection = transport.getHandle()
    leaf = connection.get_peer_certificate()
    if leaf is None:
        return Peer(None, ())
    others = connection.get_peer_cert_chain() or ()
    return Peer(_der(leaf), tuple(_der(other) for other in others))


def _der(certificate: crypto.X509) -> bytes:
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


def extension(transport: TLSMemoryBIOProtocol, shown: Peer) -> dict[str, Any]:
    """Return the ASGI TLS extension of the connection (asgi.readthedocs.io, "TLS Extension")."""
    certificates = () if shown.leaf is None else (shown.leaf, *shown.others)
    return {
        "server_cert": None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(der) for der in certificates],
        "client_cert_name": _subject(shown.leaf),
        "client_cert_error": None,
        "tls_version": 0x0304,
        "cipher_suite": _SUITES.get(transport.getHandle().get_cipher_name() or ""),
    }


def _subject(der: bytes | None) -> str | None:
    if der is None:
        return None
    # A certificate that OpenSSL took may be one that `cryptography` cannot read.
    with contextlib.suppress(ValueError, x509.InvalidVersion):
        return x509.load_der_x509_certificate(der).subject.rfc4514_string()
    return None

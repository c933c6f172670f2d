"""A TLS context that goes on only with the key that is expected.

The check stands at the end of the handshake, in the class that the context makes its connections
of (Python's documentation, "SSLContext.sslobject_class").  So nothing that is built on it can send
a byte before, and a library that opens a second connection checks that one, too.

Until Python 3.13 the certificates that the peer appended are only to be had from a private member;
this module is the one place that knows.
"""

from __future__ import annotations

import ssl
import sys
from typing import Any

from acl.core import certs
from acl.core.errors import KeyFormatError


class PinMismatchError(ssl.SSLCertVerificationError):
    """The other end holds another key."""


class _Checked(ssl.SSLObject):
    def do_handshake(self) -> None:
        """Finish the handshake, then look at the key; raises PinMismatchError."""
        super().do_handshake()  # Raises SSLWantReadError until it is finished.
        context = self.context
        assert isinstance(context, PinnedContext)
        context.check(self.getpeercert(binary_form=True), _appended(self))


def _appended(connection: ssl.SSLObject) -> list[bytes]:
    if sys.version_info >= (3, 13):
        return list(connection.get_unverified_chain())
    private: Any = connection._sslobj  # type: ignore[attr-defined]
    chain = private.get_unverified_chain() or []
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in chain]


class PinnedContext(ssl.SSLContext):
    """A client's TLS 1.3 that accepts one key: of the peer, or of who has signed the peer's.

    Without an expected key the first one that is seen is expected from then on.
    """

    sslobject_class = _Checked

    def __new__(cls, *_: object) -> PinnedContext:
        """Make the context of a client."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, expected: str | None, own_key: str) -> None:
        self.expected = expected
        self.keys: tuple[str, ...] = ()
        self.is_stranger = self.is_ourselves = False
        self._own_key = own_key
        self.check_hostname = False
        self.verify_mode = ssl.CERT_NONE  # `check` judges, by the key alone.
        self.minimum_version = ssl.TLSVersion.TLSv1_3
        self.options |= ssl.OP_NO_TICKET

    def check(self, leaf: bytes | None, appended: list[bytes]) -> None:
        """Take the peer's certificates; raises PinMismatchError."""
        try:
            keys = tuple(certs.verified_keys(leaf or b"", appended))
        except KeyFormatError:
            keys = ()
        self.is_ourselves = self._own_key in keys[:1]
        self.is_stranger = not keys or (self.expected is not None and self.expected not in keys)
        if self.is_ourselves or self.is_stranger:
            raise PinMismatchError("The key is not the one that is expected.")
        self.expected = self.expected or keys[0]
        self.keys = keys

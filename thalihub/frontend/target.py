"""The request target and the Host header: what may be routed, and what is refused at the door.

CouchDB names may hold an encoded slash, so the API routes on the path as it was sent
(`raw_path`); this module lets only such paths through that decode to Unicode text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from couchapi.core.errors import BadRequest

Headers = Iterable[tuple[bytes, bytes]]

_ABSOLUTE = re.compile(rb"(https?|httpkey)://([^/?]*)([^?]*)(.*)", re.IGNORECASE | re.DOTALL)
_KEY_SEGMENT = re.compile(rb"/[^/]*")
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")
_ONCE = frozenset({b"authorization", b"host", b"origin", b"sec-fetch-site"})
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Target(NamedTuple):
    """A request target in ASGI's three forms."""

    path: str
    raw_path: bytes
    query: bytes


def parse_target(target: bytes) -> Target:
    """Return the parts of a request target, in origin form or absolute form (RFC 9112, 3.2).

    An httpkey URL names the key in its first path segment; the client has compared it with the
    key of the TLS handshake, so it is dropped like the authority.

    Raises BadRequest for anything that is not ASCII, not Unicode when decoded, or holds a NUL.
    """
    if not target.startswith(b"/"):
        target = _origin_form(target)
    if not target.isascii() or b"#" in target:
        raise BadRequest("The request target must be ASCII, without a fragment.")
    raw_path, _, query = target.partition(b"?")
    return Target(_decoded(raw_path), raw_path, query)


def _origin_form(target: bytes) -> bytes:
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise BadRequest("The request target must be a path or an absolute URL.")
    scheme, authority, path, query = absolute.groups()
    if b"@" in authority:  # RFC 9110, 4.2.4; a password in a URL ends in logs.
        raise BadRequest("The request target must not hold a name or password.")
    if scheme.lower() == b"httpkey":
        path = _KEY_SEGMENT.sub(b"", path, count=1)
    return (path or b"/") + query


def _decoded(raw_path: bytes) -> str:
    if b"%" not in raw_path:
        return raw_path.decode("ascii")
    if _BROKEN_ESCAPE.search(raw_path):
        raise BadRequest("The path holds a % that is not followed by two hexadecimal digits.")
    path = unquote_to_bytes(raw_path)
    if b"\0" in path:
        raise BadRequest("The path holds a NUL.")
    try:
        return path.decode()
    except UnicodeDecodeError:
        raise BadRequest("The path is not UTF-8.") from None


def check_headers(headers: Headers) -> None:
    """Raise BadRequest for headers that could be understood in two ways.

    There is exactly one Host (RFC 9112, 3.2), and at most one of what says who asks, and whose
    page.  The only transfer coding is "chunked": "identity" is no longer one, and beside a length
    it would let two readers see two bodies (RFC 9112, 6.1).
    """
    seen: list[bytes] = []
    for name, value in headers:
        if name in _ONCE:
            seen.append(name)
            if name == b"host" and not _HOST.fullmatch(value):
                raise BadRequest("The Host header is not a host.")
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            raise BadRequest("The only Transfer-Encoding is chunked.")
    if seen.count(b"host") != 1:
        raise BadRequest("Send exactly one Host header.")
    if len(seen) > len(set(seen)):
        raise BadRequest("Send Authorization, Origin and Sec-Fetch-Site once.")

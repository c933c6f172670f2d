"""From a certificate, or the token of a local application, to a principal.

The keys come from the TLS connection, never from a body.  A friend's devices have keys of their
own, with certificates that the friend's identity signed: the leaf's own key is looked up first (it
may be revoked), then the key that verifiably signed it (design/identity-and-tls.md, "Keys").

A token stands for an application and for nobody else, whatever the table says: `Everything.tokens`
holds none of another kind of principal.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from acl import usage
from acl.core import certs
from acl.core.errors import KeyFormatError
from acl.models import Principal
from acl.snapshot import current

_LARGEST_REMEMBERED = 8 * 1024
_APPLICATION = Principal.Kind.APPLICATION.value

OWNERS = frozenset({Principal.Kind.OWNER.value, Principal.Kind.DEVICE.value})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request."""

    principal_id: int | None = None
    name: str = ""
    key: str | None = None
    """Hash of the principal's key; of the certificate's own key where nobody is known by it."""
    leaf_key: str | None = None
    is_owner: bool = False
    has_certificate: bool = False
    may_create: bool = False
    token: str | None = None
    """The digest of the token that the caller sent, if it is known by one."""


NOBODY = Caller()


async def authenticate(leaf: bytes | None, others: Sequence[bytes] = ()) -> Caller:
    """Return the caller of the certificate `leaf` (DER); `others` are what the peer sent with it.

    A certificate that cannot be taken, or of a key that nobody is known by, makes a stranger.
    """
    if leaf is None:
        return NOBODY
    verified = _verified_keys(leaf, tuple(others))
    acls = await current()
    for key in verified:
        known = acls.principals.get(key)
        if known is None:
            continue
        principal_id, name, kind, may_create, revoked = known
        if revoked:  # Also when the identity that signed it is known.
            break
        if kind == _APPLICATION:
            usage.note(principal_id)
        return Caller(principal_id, name, key, verified[0], kind in OWNERS, True, may_create)
    return (
        Caller(key=verified[0], leaf_key=verified[0], has_certificate=True) if verified else NOBODY
    )


async def of_token(digest: str, now: float) -> Caller | None:
    """Return the application whose token has this digest; None where there is none, or no more."""
    acls = await current()
    key, end = acls.tokens.get(digest, ("", 0.0))
    known = acls.principals.get(key)
    if known is None or end <= now:
        return None
    principal_id, name, _, may_create, _ = known
    usage.note(principal_id)
    return Caller(principal_id, name, key, may_create=may_create, token=digest)


def _verified_keys(leaf: bytes, others: tuple[bytes, ...]) -> tuple[str, ...]:
    # A stranger may append 100 KB to each connection: such a chain is read, but not remembered.
    if len(leaf) + sum(map(len, others)) > _LARGEST_REMEMBERED:
        return _read_keys(leaf, others)
    return _remembered_keys(leaf, others)


def _read_keys(leaf: bytes, others: tuple[bytes, ...]) -> tuple[str, ...]:
    try:
        return tuple(certs.verified_keys(leaf, others))
    except KeyFormatError:
        return ()


_remembered_keys = functools.lru_cache(maxsize=1024)(_read_keys)

"""Connecting local applications: their databases, their rights, and what proves who they are.

Secrets are returned once and nowhere kept: of a token the hash stays, of a key the hash of its
public half (acl/core/tokens.py, acl/core/bundles.py).
"""

from __future__ import annotations

import base64
import datetime
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.utils.translation import gettext as _

from acl import sql, store
from acl.core import bundles, certs, keys, tokens
from acl.core.errors import BadName
from acl.core.policy import ADDRESSBOOK
from acl.store import Rights
from couchapi.core import names
from couchapi.core.errors import FileExists
from couchapi.store import databases

MOST_DATABASES = 20
MOST_ORIGINS = 20
_MOST_DAYS = 3650
_LETTERS = {"r": "read", "w": "write", "a": "admin"}


class Wanted(NamedTuple):
    """What an application is to be called, and what it may do."""

    name: str
    rights: Sequence[Rights]
    origins: Sequence[str] = ()
    may_create: bool = False


class KeyFiles(NamedTuple):
    """A key that was made for an application."""

    passphrase: str
    pkcs12: bytes
    pem: bytes


def add_with_token(wanted: Wanted, now: datetime.datetime, days: int | None) -> str:
    """Connect an application, and return its token; raises HubError."""
    _check_days(days)
    # A key that nobody holds: nothing but the token stands for this application.
    _add(wanted, keys.key_hash(secrets.token_bytes(32)))
    return new_token(wanted.name, now, days)


def new_token(name: str, now: datetime.datetime, days: int | None) -> str:
    """Return a token for the application, for so many days; the one before ends at once.

    Raises HubError.
    """
    _check_days(days)
    token = tokens.spelled(secrets.token_bytes(tokens.BYTES))
    end = None if days is None else int((now + datetime.timedelta(days=days)).timestamp())
    store.put_token(name, tokens.digest_of(token), int(now.timestamp()), end)
    return token


def _check_days(days: int | None) -> None:
    if days is not None and not 0 < days <= _MOST_DAYS:
        raise BadName(_("A token lasts from one day to ten years."))


def add_with_key(wanted: Wanted) -> KeyFiles:
    """Connect an application, and return a key and certificate made for it; raises HubError."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = certs.self_signed(key, _serial())
    _add(wanted, certs.key_of(certificate))
    passphrase = _passphrase()
    pkcs12 = bundles.pkcs12_file(wanted.name, key, certificate, passphrase)
    return KeyFiles(passphrase, pkcs12, bundles.pem_file(key, certificate))


def add_with_request(wanted: Wanted, request: bytes, now: datetime.datetime) -> bytes:
    """Connect an application that keeps its key to itself, and return its certificate (PEM).

    Raises HubError, also for a request that is none.
    """
    key = bundles.requested_key(request)
    thrown_away = ec.generate_private_key(ec.SECP256R1())
    certificate = bundles.certificate_for(key, thrown_away, serial=_serial(), now=now)
    _add(wanted, certs.key_of(certificate))
    return certificate.public_bytes(Encoding.PEM)


def parse_rights(text: str) -> Rights:
    """Return the rights that `notes`, `notes:r` or `notes:rwa` names; raises BadName."""
    db_name, colon, letters = text.partition(":")
    if not colon:
        return Rights(db_name)
    held = {word: letter in letters for letter, word in _LETTERS.items()}
    if not letters or set(letters) - set(_LETTERS):
        raise BadName(
            f"“{letters}” are no rights. Write r to read, w to write, a to administer: notes:rw"
        )
    return Rights(db_name, **held)


def _add(wanted: Wanted, key: str) -> None:
    _check(wanted)
    existing = set(sql.read_sync(databases.names))
    for one in wanted.rights:
        if one.db_name not in existing:
            _make(one.db_name)
    store.add_application(
        wanted.name, key, wanted.rights, origins=wanted.origins, may_create=wanted.may_create
    )


def _check(wanted: Wanted) -> None:
    """Raise HubError before anything is made."""
    store.check_free(wanted.name)
    if not wanted.rights and not wanted.may_create:
        raise BadName(_("Name at least one database that the application may use."))
    if len(wanted.rights) > MOST_DATABASES or len(wanted.origins) > MOST_ORIGINS:
        raise BadName(_("These are too many at once."))
    for one in wanted.rights:
        names.check_database_name(one.db_name)
        store.check_grant(read=one.read, write=one.write, admin=one.admin, view="", selector="")
        if one.db_name == ADDRESSBOOK:
            raise BadName(_("The address book is yours alone: it cannot be shared."))
    for origin in wanted.origins:
        store.check_origin(origin)


def _make(db_name: str) -> None:
    policy, epoch = settings.HUB_CONFLICT_POLICY, secrets.token_hex(4)
    try:
        sql.write_sync(
            lambda connection: databases.create(connection, db_name, policy=policy, epoch=epoch)
        )
    except FileExists:  # Somebody was faster.
        return


def _serial() -> int:
    return secrets.randbits(128) | 1


def _passphrase() -> str:
    """Return 100 random bits that a person can type."""
    letters = base64.b32encode(secrets.token_bytes(13)).decode().lower()[:20]
    return "-".join(letters[start : start + 5] for start in range(0, 20, 5))

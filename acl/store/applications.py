"""Local applications: what one may do, its token, and when it was used last.

An application with a token only has a key as well, because everybody here has one: a random one
that nobody holds.  What is kept of the token is in `acl.core.tokens`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from django.db import transaction

from acl.core.errors import NoSuchHolder, RefusedError
from acl.models import ApplicationToken, ApplicationUse, Grant, Principal
from acl.sql import Sql
from acl.store.grants import add_grant
from acl.store.people import add_principal, allow_origin, find_principal, origins_by_principal

Token = tuple[str, float]
"""The key of the application, and when its token ends (Unix seconds, or infinity)."""


class Rights(NamedTuple):
    """What an application may do with one database."""

    db_name: str
    read: bool = True
    write: bool = True
    admin: bool = False


class Application(NamedTuple):
    """An application, and what there is to know of it."""

    principal: Principal
    token: ApplicationToken | None
    used_at: int | None
    grants: list[Grant]
    origins: list[str]


@transaction.atomic
def add_application(
    name: str,
    key: str,
    rights: Sequence[Rights],
    *,
    origins: Sequence[str] = (),
    may_create: bool = False,
) -> Principal:
    """Note an application with its rights and pages; raises RefusedError."""
    made = add_principal(name, key, Principal.Kind.APPLICATION)
    for one in rights:
        add_grant(one.db_name, name, read=one.read, write=one.write, admin=one.admin)
    for origin in origins:
        allow_origin(name, origin)
    if may_create:
        made.may_create_databases = True
        made.save()
    return made


@transaction.atomic
def put_token(name: str, digest: str, now: int, expires_at: int | None) -> None:
    """Make this the token of the application; the one before ends.

    Raises RefusedError for anybody but an application that is not revoked.
    """
    application = find_application(name)
    if application.revoked:
        raise RefusedError(f"“{name}” is revoked. Allow it again first.")
    ApplicationToken.objects.update_or_create(
        principal=application,
        defaults={"digest": digest, "made_at": now, "expires_at": expires_at},
    )


@transaction.atomic
def revoke_application(name: str, now: int) -> None:
    """End the application's token, and take its rights until it is allowed again."""
    application = find_application(name)
    token = ApplicationToken.objects.filter(principal=application)
    token.exclude(expires_at__lt=now).update(expires_at=now)
    application.revoked = True
    application.save()


@transaction.atomic
def restore_application(name: str) -> None:
    """Allow a revoked application again; it needs a new token if it had one."""
    application = find_application(name)
    application.revoked = False
    application.save()


def find_application(name: str) -> Principal:
    """Return the application of this name; raises NoSuchHolder, RefusedError."""
    found = find_principal(name)
    if found.kind != Principal.Kind.APPLICATION:
        raise NoSuchHolder(f"“{name}” is no application.")
    return found


def list_applications() -> list[Application]:
    """Return all, by name."""
    found = Principal.objects.filter(kind=Principal.Kind.APPLICATION)
    grants: dict[int | None, list[Grant]] = {}
    for grant in Grant.objects.filter(principal__in=found).order_by("database", "id"):
        grants.setdefault(grant.principal_id, []).append(grant)
    origins = origins_by_principal()
    tokens = ApplicationToken.objects.in_bulk()
    uses = ApplicationUse.objects.in_bulk()
    return [
        Application(
            one,
            tokens.get(one.pk),
            uses[one.pk].used_at if one.pk in uses else None,
            grants.get(one.pk, []),
            origins.get(one.pk, []),
        )
        for one in found.order_by("name")
    ]


# -- for the gate --------------------------------------------------------------------------------


def tokens_in(sql: Sql) -> dict[str, Token]:
    """Return the digests of all tokens that count: no principal but an application has one."""
    rows = sql.all(
        "SELECT t.digest, p.key, t.expires_at FROM acl_applicationtoken t"
        " JOIN acl_principal p ON p.id = t.principal_id"
        " WHERE p.kind = 'application' AND NOT p.revoked"
    )
    return {digest: (key, math.inf if end is None else end) for digest, key, end in rows}


def note_use(sql: Sql, principal_id: int, now: int) -> None:
    """Note that the application was used."""
    sql.execute(
        # It may have been forgotten meanwhile.
        "INSERT INTO acl_applicationuse (principal_id, used_at)"
        " SELECT id, %s FROM acl_principal WHERE id = %s"
        " ON CONFLICT (principal_id) DO UPDATE SET used_at = excluded.used_at",
        (now, principal_id),
    )

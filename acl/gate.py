"""The one door: every request of the API asks here what its caller may do.

The gate knows the ACLs and nothing of databases: it answers the same, by the same path, whether a
database exists or not.  All ACLs are kept in memory at one version (`snapshot`), and each question
looks at the version first: a right that was taken away is gone on the next request, in every
process (design/access-control.md).
"""

from __future__ import annotations

import time

from acl.authentication import OWNERS, Caller
from acl.core import policy
from acl.core.errors import Forbidden, NoCertificate, NotVisible
from acl.core.policy import Permit, Right
from acl.models import Principal
from acl.snapshot import current
from acl.store import Everything, Known

_APPLICATION = Principal.Kind.APPLICATION.value
_NO_TOKEN = ("", 0.0)
_NOBODY = Permit()
_OWNER = policy.owner()


async def check(
    caller: Caller, right: Right, db_name: str | None = None, view: str | None = None
) -> Permit:
    """Return what the caller may do with the database, or with the hub where none is named.

    Raises NoCertificate; NotVisible where the caller has no right at all on the database, so that
    it does not learn whether there is one; Forbidden where it has others.
    """
    if not caller.has_certificate and caller.token is None and Right.ANY not in right:
        raise NoCertificate
    permit = await permit_of(caller, db_name)
    if permit.allows(right, view):
        return permit
    about_database = db_name is not None and Right.CREATE not in right
    if about_database and not permit.is_visible:
        raise NotVisible
    raise Forbidden


async def permit_of(caller: Caller, db_name: str | None = None) -> Permit:
    """Return everything that the caller may do with the database."""
    acls = await current()
    known = _known(acls, caller)
    if known is None:
        return _NOBODY
    principal_id, _, kind, may_create, _ = known
    if kind in OWNERS:
        return _OWNER
    groups = acls.groups.get(principal_id, ())
    grants = acls.grants.get((db_name, principal_id), ()) if db_name else ()
    is_application = kind == _APPLICATION
    permit = policy.decide(
        grants, may_create=may_create, groups=groups, is_application=is_application
    )
    if is_application and db_name == policy.REPLICATOR:
        # Under which key it writes is under which it reads.
        own = acls.principals.get(caller.key or "") == known
        return policy.of_wishes(caller.key or "", permit) if own else permit
    return permit


def _known(acls: Everything, caller: Caller) -> Known | None:
    """Return who the caller is by the ACLs of now, or None.

    A feed asks again and again for one caller: its device may have been revoked meanwhile, or its
    token have ended.
    """
    if caller.principal_id is None:
        return None
    if caller.token is not None and acls.tokens.get(caller.token, _NO_TOKEN)[1] <= time.time():
        return None
    for key in (caller.leaf_key, caller.key):
        known = acls.principals.get(key or "")
        if known is not None:
            revoked = known[4]
            return None if revoked else known
    return None


async def visible_databases(caller: Caller) -> frozenset[str] | None:
    """Return the databases that the caller may read or write; None: all."""
    acls = await current()
    known = _known(acls, caller)
    if known is None:
        return frozenset()
    principal_id, _, kind, _, _ = known
    return None if kind in OWNERS else acls.databases.get(principal_id, frozenset())


async def origin_allowed(caller: Caller | None, origin: str) -> bool:
    """Tell whether a page of `origin` may act for the caller.

    A browser asks beforehand without a certificate: then it is enough that the page may act for
    somebody.  A page that may act for an application does not act for the owner, whose browser
    would send the owner's certificate by itself.
    """
    acls = await current()
    holders = acls.origins.get(origin, frozenset())
    if caller is None or caller.principal_id is None or None in holders:
        return bool(holders)
    return not holders.isdisjoint(_same_person(acls, caller))


def _same_person(acls: Everything, caller: Caller) -> set[int | None]:
    """Return the caller's id; of an owner's device, those of the owner and all devices."""
    if not caller.is_owner:
        return {caller.principal_id}
    return {one[0] for one in acls.principals.values() if one[2] in OWNERS}


async def acl_version() -> int:
    """Return the number that grows with each change of the ACLs."""
    return (await current()).version

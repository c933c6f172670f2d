"""The one door: every request of the API asks here what its caller may do.

The gate knows the ACLs and nothing of databases: it answers the same, by the same path, whether a
database exists or not.  All ACLs are kept in memory at one version (`snapshot`), and each question
looks at the version first: a right that was taken away is gone on the next request, in every
process (design/access-control.md).
"""

from __future__ import annotations

from acl.authentication import Caller
from acl.core import policy
from acl.core.errors import Forbidden, NoCertificate, NotVisible
from acl.core.policy import Permit, Right
from acl.snapshot import current

_NOBODY = Permit()


async def check(
    caller: Caller, right: Right, db_name: str | None = None, view: str | None = None
) -> Permit:
    """Return what the caller may do with the database, or with the hub where none is named.

    Raises NoCertificate; NotVisible where the caller has no right at all on the database, so that
    it does not learn whether there is one; Forbidden where it has others.
    """
    if not caller.has_certificate and Right.ANY not in right:
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
    if caller.is_owner:
        return policy.owner()
    if caller.principal_id is None:
        return _NOBODY
    acls = await current()
    groups = acls.groups.get(caller.principal_id, ())
    grants = acls.grants.get((db_name, caller.principal_id), ()) if db_name else ()
    return policy.decide(grants, may_create=caller.may_create, groups=groups)


async def visible_databases(caller: Caller) -> frozenset[str] | None:
    """Return the databases that the caller may read or write; None: all."""
    if caller.is_owner:
        return None
    if caller.principal_id is None:
        return frozenset()
    return (await current()).databases.get(caller.principal_id, frozenset())


async def origin_allowed(caller: Caller | None, origin: str) -> bool:
    """Tell whether a page of `origin` may act for the caller.

    A browser asks beforehand without a certificate: then it is enough that somebody allows it.
    The owner may use the pages of all applications.
    """
    holders = (await current()).origins.get(origin)
    if holders is None:
        return False
    if caller is None or not caller.has_certificate or caller.is_owner or None in holders:
        return True
    return caller.principal_id in holders


async def acl_version() -> int:
    """Return the number that grows with each change of the ACLs."""
    return (await current()).version

"""What an application may have replicated: its own databases, under their own names, with friends.

The hub goes to others as its owner, so an application must not reach by it what it could not read
here: another database of the same friend, or what the owner's own devices have.
"""

from __future__ import annotations

from acl import gate
from acl import store as acl_store
from acl.authentication import OWNERS, Caller
from acl.core.errors import Forbidden
from acl.core.policy import REPLICATOR, Right
from acl.snapshot import current
from discovery import store as found
from replication.core import job as words
from replication.core.job import Direction, Kind, Wish
from replication.store.links import Claim, Meant

_PEERS = (Kind.NAME, Kind.HUB, Kind.GROUP, Kind.HERE)


def check_wish(wish: Wish, meant: list[Meant]) -> None:
    """Raise Forbidden for what no application may wish."""
    kind = words.kind_of(wish.peer)
    if kind not in _PEERS:
        raise Forbidden("Applications replicate with people that the owner of this hub knows.")
    there = wish.there or words.database_at(wish.peer, wish.db_name)
    if kind is not Kind.HERE and there != wish.db_name:
        raise Forbidden("For an application the database has one name on both hubs.")
    own = {one.principal.key for one in found.other_devices()}
    if own & {one.key for one in meant}:
        raise Forbidden("The owner's own devices are in step without being asked.")
    if kind is not Kind.HERE and not {one.key for one in meant} <= _friends():
        raise Forbidden("Applications replicate with people that the owner of this hub knows.")
    if wish.options.target:
        raise Forbidden("Applications replicate databases of this hub.")
    if wish.options.create_target and kind is Kind.HERE:
        raise Forbidden("Make the database first.")


def _friends() -> set[str]:
    held = acl_store.list_principals()
    return {one.key for one in held if one.kind == "friend" and not one.revoked}


async def is_own(claim: Claim) -> bool:
    """Tell whether the far end is a hub of the owner, or this one."""
    if words.kind_of(claim.peer) is Kind.HERE:
        return True
    known = (await current()).principals.get(claim.key)
    return known is not None and known[2] in OWNERS


async def check(claim: Claim) -> None:
    """Raise AccessError where an application may no longer do what it wished for."""
    if not claim.wished_by:
        return
    pulls = claim.direction == Direction.PULL
    await check_databases(claim.wished_by, claim.db_name, claim.there, claim.peer, pulls=pulls)


async def check_databases(key: str, here: str, there: str, peer: str, *, pulls: bool) -> None:
    """Raise AccessError where the application of this key may not read or write what is needed."""
    if REPLICATOR in (here, there):
        # A replication writes as the owner, and what the owner writes there is the owner's wish.
        raise Forbidden("Write the documents of _replicator one by one.")
    caller = Caller(principal_id=0, key=key, has_certificate=True)
    permit = await gate.check(caller, Right.WRITE if pulls else Right.READ, here)
    if not pulls and permit.selectors is not None:
        raise Forbidden("A replication needs to read the whole database.")
    if words.kind_of(peer) is Kind.HERE:
        await gate.check(caller, Right.WRITE, there)

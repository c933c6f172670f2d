"""Who may what, decided from the grants alone: pure, and the only place that decides.

Nothing is granted by default.  A write right does not imply the right to read: a write-only
`inbox` is how unsolicited messages are taken (design/access-control.md).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

ADDRESSBOOK = "addressbook"
"""The database of who is who and who may what: nobody but the owner ever reads or writes it."""

REPLICATOR = "_replicator"
"""The database of wishes to replicate: each application has its own documents there."""

OWNERS_ALONE = frozenset({ADDRESSBOOK, REPLICATOR})
"""Databases that cannot be shared: what stands in `_replicator` is done as the owner wishes."""


class Right(enum.Flag):
    """What an endpoint asks for; several together mean that one of them is enough."""

    ANY = enum.auto()
    """Everybody, also without a certificate."""
    KNOWN = enum.auto()
    """Every principal that this hub knows."""
    READ = enum.auto()
    WRITE = enum.auto()
    VIEW = enum.auto()
    """Reading one view: of somebody who may read the database, or holds a grant on the view."""
    ADMIN = enum.auto()
    """Administering one database: the owner, or the application that made it."""
    CREATE = enum.auto()
    APPLICATION = enum.auto()
    """What a local application may ask of the hub itself: the owner may, too."""
    OWNER = enum.auto()


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """One line of an ACL that applies to the caller, by itself or by a group."""

    read: bool = False
    write: bool = False
    admin: bool = False
    view: str = ""
    selector: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Members:
    """Who may read and write a whole database, in CouchDB's words: names and roles."""

    names: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Permit:
    """What a caller may do with one database.

    `selectors` None means that everything can be seen; else a document must match one of them.
    """

    read: bool = False
    write: bool = False
    admin: bool = False
    views: frozenset[str] = frozenset()
    selectors: tuple[Mapping[str, Any], ...] | None = None
    may_create: bool = False
    is_owner: bool = False
    is_known: bool = False
    is_application: bool = False
    groups: tuple[str, ...] = ()

    @property
    def is_visible(self) -> bool:
        """Whether the caller may know that the database exists."""
        return self.read or self.write or self.admin or bool(self.views)

    def allows(self, right: Right, view: str | None = None) -> bool:
        """Tell whether the caller holds one of the rights in `right`."""
        # Nearly every request asks for one of these, and a table costs more than an answer.
        if right is Right.READ:
            return self.read
        if right is Right.WRITE:
            return self.write
        held = {
            Right.ANY: True,
            Right.KNOWN: self.is_known,
            Right.READ: self.read,
            Right.WRITE: self.write,
            Right.VIEW: self.read or view in self.views,
            Right.ADMIN: self.admin,
            Right.CREATE: self.may_create,
            Right.APPLICATION: self.is_application or self.is_owner,
            Right.OWNER: self.is_owner,
        }
        return any(held[one] for one in right)


def owner(groups: tuple[str, ...] = ()) -> Permit:
    """Return the permit of the hub's owner."""
    return Permit(
        read=True,
        write=True,
        admin=True,
        may_create=True,
        is_owner=True,
        is_known=True,
        groups=groups,
    )


def decide(
    grants: Iterable[GrantRecord],
    *,
    may_create: bool = False,
    groups: tuple[str, ...] = (),
    is_application: bool = False,
) -> Permit:
    """Return what these grants together allow to a principal that the hub knows."""
    held = list(grants)
    of_all = [one for one in held if not one.view]
    reads = [one for one in of_all if one.read]
    selectors = tuple(one.selector for one in reads if one.selector is not None)
    return Permit(
        read=bool(reads),
        write=any(one.write for one in of_all),
        admin=any(one.admin for one in of_all),
        # A selector fits documents, not rows of a view: such a grant gives nothing.
        views=frozenset(one.view for one in held if one.view and one.read and one.selector is None),
        selectors=selectors if reads and len(selectors) == len(reads) else None,
        may_create=may_create,
        is_known=True,
        is_application=is_application,
        groups=groups,
    )


def of_wishes(key: str, permit: Permit) -> Permit:
    """Return what an application may do with `_replicator`: its own documents are all it sees."""
    return replace(permit, read=True, write=True, selectors=({"owner": key},))

"""A document as a client is shown it: the stored body, and the `_` members it asked for.

The members come from the revision tree (CouchDB docs, "api/document/common", query parameters).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

import orjson

from couchapi.core import docjson, revtree
from couchapi.core.revid import RevId
from couchapi.core.revtree import RevTree


class Wanted(Protocol):
    """Which members beyond the body a client asked for (core/params.py, DocumentQuery)."""

    @property
    def revs(self) -> bool:
        """`_revisions`."""

    @property
    def revs_info(self) -> bool:
        """`_revs_info`."""

    @property
    def conflicts(self) -> bool:
        """`_conflicts`."""

    @property
    def deleted_conflicts(self) -> bool:
        """`_deleted_conflicts`."""

    @property
    def local_seq(self) -> bool:
        """`_local_seq`."""


def document(
    docid: str,
    rev: str,
    body: bytes,
    *,
    deleted: bool = False,
    members: Mapping[str, Any] | None = None,
    attachments: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the JSON text of one revision with its special members."""
    extra = []
    if deleted:
        extra.append(b'"_deleted":true')
    if attachments:
        extra.append(b'"_attachments":' + orjson.dumps(attachments))
    if members:
        extra.append(orjson.dumps(members)[1:-1])
    return docjson.splice(docid, rev, body, b",".join(extra))


def wants_members(wanted: Wanted) -> bool:
    """Tell whether any member needs the revision tree or the sequence number."""
    return (
        wanted.revs
        or wanted.revs_info
        or wanted.conflicts
        or wanted.deleted_conflicts
        or wanted.local_seq
    )


def wants_only_revs(wanted: Wanted) -> bool:
    """Tell whether `_revisions` is all that is wanted: what replicators ask for."""
    return wanted.revs and not (
        wanted.revs_info or wanted.conflicts or wanted.deleted_conflicts or wanted.local_seq
    )


def members(
    wanted: Wanted, tree: RevTree, rev: RevId, seq: int, kept: Collection[str]
) -> dict[str, Any]:
    """Return the members of `rev` that `wanted` names; `kept` are the revisions with a body."""
    shown: dict[str, Any] = {}
    if wanted.revs:
        shown["_revisions"] = revisions(tree, rev)
    if wanted.revs_info:
        shown["_revs_info"] = [
            {"rev": str(one), "status": _status(tree, one, kept)}
            for one in revtree.ancestry(tree, rev)
        ]
    if wanted.conflicts:
        _show(shown, "_conflicts", [one for one in revtree.conflicts(tree) if one != rev])
    if wanted.deleted_conflicts:
        deleted = [one for one in revtree.deleted_conflicts(tree) if one != rev]
        _show(shown, "_deleted_conflicts", deleted)
    if wanted.local_seq:
        shown["_local_seq"] = seq
    return shown


def naming_only(members: Mapping[str, Any], leaves: Collection[str]) -> dict[str, Any]:
    """Return the members without the conflicts that are not among `leaves`."""
    shown = dict(members)
    for name in ("_conflicts", "_deleted_conflicts"):
        named = [rev for rev in shown.pop(name, ()) if rev in leaves]
        if named:
            shown[name] = named
    return shown


def revisions(tree: RevTree, rev: RevId) -> dict[str, Any]:
    """Return `_revisions`: how deep `rev` stands, and the hashes from it to its root."""
    return {"start": rev.pos, "ids": revtree.hashes(tree, rev)}


def revisions_text(tree: bytes) -> bytes:
    """Return the member `_revisions` of the winner of an encoded tree that does not fork."""
    pos, hashes = revtree.read_unforked(tree)
    return b'"_revisions":' + orjson.dumps({"start": pos, "ids": hashes})


def _show(shown: dict[str, Any], name: str, revs: list[RevId]) -> None:
    # CouchDB leaves the member out where it would be empty.
    if revs:
        shown[name] = [str(rev) for rev in revs]


def _status(tree: RevTree, rev: RevId, kept: Collection[str]) -> str:
    if str(rev) not in kept:
        return "missing"
    return "deleted" if tree[rev].deleted else "available"

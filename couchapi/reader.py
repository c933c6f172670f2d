"""Opening documents: what is stored, made into what the caller asked for and may see.

Each function is one reading job for `acl.sql` (point or scan).  A document or revision that the
caller may not see is answered exactly like one that does not exist.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from acl.core.errors import HubError
from acl.sql import Sql
from couchapi.core import attached, docjson, presented, revid, revtree
from couchapi.core.attached import Attached
from couchapi.core.errors import ContentMissing, NotFound
from couchapi.core.presented import Wanted
from couchapi.core.revid import RevId
from couchapi.core.revtree import RevTree
from couchapi.core.visibility import Visible
from couchapi.store import attachments, databases, documents
from couchapi.store.databases import DatabaseRow
from couchapi.store.documents import Body, Found, Range


@dataclass(frozen=True, slots=True)
class Form:
    """How a document's attachments are shown; by default as stubs."""

    inline: bool = False
    follows: bool = False
    since: Sequence[RevId] = ()
    """Only those newer than the nearest of these revisions; the others stay stubs."""
    encoding_info: bool = False


class Opened(NamedTuple):
    """One revision, ready to send; `parts` are the attachments that follow its JSON."""

    rev: str
    deleted: bool
    text: bytes
    parts: Mapping[str, Attached]


Outcome = Opened | RevId | HubError | None
"""A revision that was asked for; else the one that is not here, None for the winner, or why."""

STUBS = Form()
_PAGE = 500


def winner(
    sql: Sql, db_name: str, docid: str, wanted: Wanted, form: Form, visible: Visible | None
) -> Opened:
    """Open the winning revision; raises NotFound, `deleted` for a tombstone."""
    found = find_visible(sql, db_name, docid, visible)
    if found.deleted:
        raise NotFound("deleted")
    body = Body(found.rev, found.body, found.attachments)
    return _opened(sql, found, body, False, wanted, form, visible)


def revision(
    sql: Sql,
    db_name: str,
    docid: str,
    rev: RevId,
    wanted: Wanted,
    form: Form,
    visible: Visible | None,
    *,
    latest: bool = False,
) -> Opened:
    """Open one revision, deleted or not, or with `latest` the best leaf that came of it."""
    found = find_visible(sql, db_name, docid, visible)
    tree = revtree.decode(found.tree)
    if rev not in tree:
        raise NotFound
    chosen = revtree.latest(tree, rev)[0] if latest else rev
    body = _visible_bodies(sql, found, [chosen], visible).get(str(chosen))
    if body is None:
        raise NotFound
    return _opened(sql, found, body, tree[chosen].deleted, wanted, form, visible)


def revisions(
    sql: Sql,
    db_name: str,
    docid: str,
    revs: Sequence[RevId] | None,
    wanted: Wanted,
    form: Form,
    visible: Visible | None,
    *,
    latest: bool = False,
) -> list[Opened | RevId]:
    """Open several revisions, None: every leaf; a revision alone is one that is not here."""
    try:
        found = find_visible(sql, db_name, docid, visible)
    except NotFound:
        if revs is None:
            raise
        return list(revs)
    return list(opened_revisions(sql, found, revs, wanted, form, visible, latest=latest))


def opened_revisions(
    sql: Sql,
    found: Found,
    revs: Sequence[RevId] | None,
    wanted: Wanted,
    form: Form,
    visible: Visible | None,
    *,
    latest: bool = False,
) -> Iterable[Opened | RevId]:
    """Open revisions of a document that is read already; see `revisions`."""
    if revs is not None and len(revs) == 1 and str(revs[0]) == found.rev:
        # What replicators nearly always ask for: the winner is a leaf, and its body is here.
        body = Body(found.rev, found.body, found.attachments)
        yield _opened(sql, found, body, found.deleted, wanted, form, visible)
        return
    tree = revtree.decode(found.tree)
    chosen = _chosen(tree, revs, latest)
    bodies = _visible_bodies(sql, found, chosen, visible)
    for rev in chosen:
        body = bodies.get(str(rev))
        if body is not None:
            yield _opened(sql, found, body, tree[rev].deleted, wanted, form, visible)
        elif revs is not None:  # A leaf that was not asked for is not even named.
            yield rev


def find_visible(sql: Sql, db_name: str, docid: str, visible: Visible | None) -> Found:
    """Return the document; raises NotFound where there is none that the caller may see."""
    found = documents.find(sql, db_name, docid)
    if visible is not None and not visible(found.docid, found.rev, found.body):
        raise NotFound
    return found


def shown(
    sql: Sql, found: Found, wanted: Wanted, form: Form, visible: Visible | None = None
) -> bytes:
    """Return the text of a document's winner: for listings that include documents.

    A content that is missing stays a stub, so that the listing goes on.
    """
    text = plain(found, wanted)
    if text is not None:
        return text
    body = Body(found.rev, found.body, found.attachments)
    try:
        return _opened(sql, found, body, found.deleted, wanted, form, visible).text
    except ContentMissing:
        stubs = replace(form, inline=False)
        return _opened(sql, found, body, found.deleted, wanted, stubs, visible).text


def plain(found: Found, wanted: Wanted) -> bytes | None:
    """Return the text of a winner that is shown from its own row alone; None: open it.

    It has no attachments, and at most `_revisions` is wanted of a tree that does not fork.  That
    is nearly every document that is read in bulk, at half the price.
    """
    if found.attachments is not None or found.leaf_count > 1:
        return None
    extra = b'"_deleted":true' if found.deleted else b""
    if presented.wants_members(wanted):
        if not presented.wants_only_revs(wanted):
            return None
        revisions = presented.revisions_text(found.tree)
        extra = extra + b"," + revisions if extra else revisions
    return docjson.splice(found.docid, found.rev, found.body, extra)


def visible_leaves(sql: Sql, found: Found, visible: Visible) -> list[RevId]:
    """Return the leaves that the caller may see, best first."""
    leaves = revtree.leaves(revtree.decode(found.tree))
    seen = _visible_bodies(sql, found, leaves, visible)
    return [leaf for leaf in leaves if str(leaf) in seen]


def counted(sql: Sql, db_name: str, visible: Visible) -> tuple[DatabaseRow, tuple[int, int]]:
    """Return the database, and how many documents and tombstones the caller may see."""
    database = databases.get(sql, db_name)
    docs = deleted = 0
    after: str | None = None
    everything = Range(include_deleted=True)
    while page := documents.page(sql, database.id, everything, after=after, skip=0, limit=_PAGE):
        after = page[-1].docid
        seen = [found.deleted for found in page if visible(found.docid, found.rev, found.body)]
        deleted += sum(seen)
        docs += len(seen) - sum(seen)
    return database, (docs, deleted)


def _chosen(tree: RevTree, revs: Sequence[RevId] | None, latest: bool) -> list[RevId]:
    if revs is None:
        return revtree.leaves(tree)
    if not latest:
        return list(revs)
    found = (revtree.latest(tree, rev) if rev in tree else [rev] for rev in revs)
    # Two revisions may have come to the same leaf: it is sent once.
    return list(dict.fromkeys(rev for some in found for rev in some))


def _visible_bodies(
    sql: Sql, found: Found, revs: Sequence[RevId], visible: Visible | None
) -> Mapping[str, Body]:
    if len(revs) == 1 and str(revs[0]) == found.rev:  # Read with the document already.
        return {found.rev: Body(found.rev, found.body, found.attachments)}
    bodies = documents.bodies(sql, found.id, [str(rev) for rev in revs])
    if visible is None:
        return bodies
    return {rev: body for rev, body in bodies.items() if visible(found.docid, rev, body.body)}


def _opened(
    sql: Sql,
    found: Found,
    body: Body,
    deleted: bool,
    wanted: Wanted,
    form: Form,
    visible: Visible | None,
) -> Opened:
    members = _members(sql, found, body.rev, wanted, visible)
    if body.attachments is None:
        text = presented.document(
            found.docid, body.rev, body.body, deleted=deleted, members=members
        )
        return Opened(body.rev, deleted, text, {})
    held = attached.decode(body.attachments)
    sent = _newer(held, found, body.rev, form)
    text = presented.document(
        found.docid,
        body.rev,
        body.body,
        deleted=deleted,
        members=members,
        attachments={name: _member(sql, one, name in sent, form) for name, one in held.items()},
    )
    return Opened(body.rev, deleted, text, sent if form.follows else {})


def _members(
    sql: Sql, found: Found, rev: str, wanted: Wanted, visible: Visible | None
) -> Mapping[str, Any] | None:
    if not presented.wants_members(wanted):
        return None
    tree = revtree.decode(found.tree)
    kept: Collection[str] = documents.kept_revs(sql, found.id) if wanted.revs_info else ()
    members = presented.members(wanted, tree, revid.parse(rev), found.seq, kept)
    if visible is not None and found.leaf_count > 1:
        named = {str(leaf) for leaf in visible_leaves(sql, found, visible)}
        members = presented.naming_only(members, named)
    return members


def _newer(held: Mapping[str, Attached], found: Found, rev: str, form: Form) -> dict[str, Attached]:
    """Return the attachments whose content is sent."""
    if not (form.inline or form.follows):
        return {}
    known = set(form.since)
    common = 0
    if known:
        ancestry = revtree.ancestry(revtree.decode(found.tree), revid.parse(rev))
        common = next((one.pos for one in ancestry if one in known), 0)
    return {name: one for name, one in held.items() if one.revpos > common}


def _member(sql: Sql, one: Attached, sent: bool, form: Form) -> dict[str, Any]:
    member = one.stub(form.encoding_info)
    if not sent:
        return member
    del member["stub"]
    if form.follows:
        attachments.check(sql, one)
        return {**member, **one.stored_form(), "follows": True}
    del member["length"]
    return {**member, "data": base64.b64encode(plain_content(sql, one)).decode()}


def plain_content(sql: Sql, one: Attached) -> bytes:
    """Return the whole content as a client sees it, unpacked."""
    content = attachments.read_all(sql, one.blob)
    if one.encoding == "gzip":
        content = zlib.decompress(content, 16 + zlib.MAX_WBITS)
    return content

"""Writing documents: the one place where a revision tree changes.

A batch is one transaction.  It locks the database, loads the trees of its documents at once, takes
one write after the other, and saves each changed document once, at the next sequence numbers.  A
document that is refused leaves the others alone.  What a write does to a tree is decided in
core/edits.py; here it is loaded and saved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from acl.core.errors import HubError
from acl.sql import Row, Sql
from couchapi.core import attached, edits, lww, revtree
from couchapi.core.edits import Edit, Outcome, Terms
from couchapi.core.errors import Conflict, NotFound
from couchapi.core.incoming import Incoming, Inline, Uploaded
from couchapi.core.revid import RevId
from couchapi.core.revtree import RevTree
from couchapi.core.visibility import Visible
from couchapi.store import databases, documents, incoming, shares
from couchapi.store.databases import DatabaseRow


class Author(NamedTuple):
    """Who writes, as far as it matters to what is written."""

    key: str = ""
    """Key of the principal; empty for this hub itself."""
    is_owner: bool = True
    may_read: bool = True
    visible: Visible | None = None
    """Which documents it may read, where that is not all."""
    groups: Sequence[str] = ()
    """Names of the groups it is in."""
    own_clocks: bool = True
    """Whether what it brings was dated by hubs of the owner, where it is the owner (rule R9)."""
    is_client: bool = False
    """Whether it delivers its own fresh edits, and not what it gathered elsewhere (rule R7)."""


OURSELVES = Author()


class Write(NamedTuple):
    """One document to write.

    `base` is the revision that an edit builds on.  With `path`, newest first, the write is a
    revision that was made elsewhere (`new_edits=false`), and `base` means nothing.
    """

    docid: str
    base: RevId | None
    deleted: bool
    body: bytes
    path: Sequence[RevId] | None = None
    attachments: Mapping[str, Incoming] | None = None


Written = tuple[str, RevId | HubError]
"""A document's id with its new revision, or with why it was refused."""


class Designs(NamedTuple):
    """Which design documents a batch was judged by: a database's, as of a sequence number."""

    database_id: int
    seq: int


class DesignsChanged(Exception):
    """The batch was judged by design documents that are not the database's any more."""


def write(
    sql: Sql,
    db_name: str,
    writes: Sequence[Write],
    author: Author,
    now_ms: int,
    designs: Designs | None = None,
) -> list[Written]:
    """Write a batch and return what became of each of `writes`, in their order.

    Raises DatabaseMissing, DesignsChanged when `designs` are not those of now, and StorageFull for
    a quota, unless all are deletions.  Raises MissingStub, too: an unknown attachment fails the
    whole batch, as in CouchDB (design/couch-api.md, "Errors").
    """
    database = databases.lock(sql, db_name)
    if designs is not None and designs != (database.id, database.design_seq):
        raise DesignsChanged
    batch = _Batch(sql, database, author, now_ms)
    several = [docid for docid, times in batch.load(one.docid for one in writes) if times > 1]
    written = [(one.docid, batch.take(one)) for one in writes]
    for docid in several:
        batch.settle(docid)
    batch.save()
    batch.charge(only_deletes=all(one.deleted for one in writes))
    return written


def attaching(
    sql: Sql, db_name: str, docid: str, base: RevId | None, name: str, uploaded: Uploaded | None
) -> Write | HubError:
    """Return the write of a revision like `base` with one attachment more, or with None one less.

    Without a base the document is new, or continues after its deletion.  The error is Conflict
    where there is no such revision, or NotFound for no such attachment to remove.
    """
    database = databases.get(sql, db_name)
    found = documents.find_many(sql, database.id, [docid]).get(docid)
    body, held = b"{}", dict[str, Incoming]()
    if base is not None:
        kept = documents.bodies(sql, found.id, [str(base)]).get(str(base)) if found else None
        if kept is None:
            return Conflict()
        body, held = kept.body, incoming.as_given(kept.attachments)
    if uploaded is not None:
        held[name] = uploaded
    elif held.pop(name, None) is None:
        # Without a revision nothing is removed: the base is missing, which is a conflict.
        return Conflict() if base is None and found else NotFound("Document is missing attachment")
    return Write(docid, base, False, body, attachments=held)


def settle_due(sql: Sql, db_name: str, docids: Sequence[str], now_ms: int) -> None:
    """Let the resolver look again at documents whose held stamps are due (rule R4)."""
    batch = _Batch(sql, databases.lock(sql, db_name), OURSELVES, now_ms)
    batch.load(docids)
    for docid in docids:
        batch.settle(docid)
    batch.save()


@dataclass(slots=True)
class _Document:
    """A document in the middle of a batch."""

    id: int
    docid: str
    tree: RevTree
    is_new: bool = True
    was_deleted: bool = False
    due: int | None = None
    resolved_from: int = 0
    resolver_count: int = 0
    changed: bool = False
    receipts: Mapping[RevId, int] | None = None
    """When fresh revisions came, of a document that the batch names several times."""

    def budget(self, now_ms: int) -> int:
        """Return how many revisions the resolver may add now (rule R10)."""
        if now_ms - self.resolved_from >= lww.HOUR:
            return lww.BUDGET
        return max(0, lww.BUDGET - self.resolver_count)

    def spend(self, added: int, now_ms: int) -> None:
        """Note that the resolver added revisions."""
        if now_ms - self.resolved_from >= lww.HOUR:
            self.resolved_from, self.resolver_count = now_ms, 0
        self.resolver_count += added


class _Batch:
    """The writes of one transaction."""

    def __init__(self, sql: Sql, database: DatabaseRow, author: Author, now_ms: int) -> None:
        self._sql = sql
        self._database = database
        self._author = author
        self._now_ms = now_ms
        self._documents: dict[str, _Document] = {}
        self._given: list[tuple[int, str, bytes, bytes | None, int | None]] = []
        self._copies: list[tuple[str, int, str]] = []
        self._size = 0
        # Whoever is not the owner has a share, and bodies know whose they are.
        self._share = None if author.is_owner else shares.number(sql, author.key)
        self._usual_terms = Terms(
            now_ms=now_ms,
            lww=database.conflict_policy == "lww",
            revs_limit=database.revs_limit,
            from_owner=author.is_owner and author.own_clocks,
            recent_client=author.is_client,
        )

    def load(self, docids: Iterable[str]) -> Iterable[tuple[str, int]]:
        """Read the documents that exist, make ready those that do not; return how often each."""
        times = Counter(docids)
        each, param = self._sql.each(list(times))
        rows = self._sql.all(
            "SELECT d.docid, d.id, d.tree, d.deleted, d.due, d.resolved_from, d.resolver_count"
            f" FROM {each} CROSS JOIN couchapi_document d"
            " WHERE d.database_id = %s AND d.docid = j.value",
            (param, self._database.id),
        )
        known = {row[0]: row for row in rows}
        new_ids = iter(_new_ids(self._sql, len(times) - len(known)))
        for docid in times:
            row = known.get(docid)
            self._documents[docid] = (
                _Document(next(new_ids), docid, revtree.EMPTY) if row is None else _known(row)
            )
        for docid, number in times.items() if len(times) < times.total() else ():
            if number > 1:
                self._documents[docid].receipts = {}
        return times.items()

    def take(self, one: Write) -> RevId | HubError:
        """Apply one write; a refusal is returned, the batch goes on."""
        document = self._documents[one.docid]
        try:
            outcome = self._apply(document, one)
        except HubError as refusal:
            return refusal
        if outcome.changed:
            self._note(document, one, outcome)
        assert outcome.rev is not None
        return outcome.rev

    def settle(self, docid: str) -> None:
        """Let the resolver look again."""
        document = self._documents[docid]
        terms = self._terms(document)
        if document.receipts:
            terms = terms._replace(receipts=document.receipts)
        if not document.tree.chains:
            return
        outcome = edits.settle(document.tree, terms)
        if outcome.changed or document.changed:
            self._note(document, None, outcome)
        elif outcome.due != document.due:
            self._sql.execute(
                "UPDATE couchapi_document SET due = %s WHERE id = %s", (outcome.due, document.id)
            )

    def save(self) -> None:
        """Store what has changed, at the next sequence numbers."""
        changed = [one for one in self._documents.values() if one.changed]
        if not changed:
            return
        self._save_bodies()
        seq = self._save_documents(changed)
        docs = deleted = 0
        for one in changed:
            is_deleted = one.tree.chains[0].deleted
            docs += (not is_deleted) - (not one.is_new and not one.was_deleted)
            deleted += is_deleted - one.was_deleted
        databases.count(
            self._sql, self._database, seq=seq, docs=docs, deleted=deleted, size=self._size
        )
        if any(one.docid.startswith("_design/") for one in changed):
            databases.note_designs(self._sql, self._database, seq)

    def charge(self, *, only_deletes: bool) -> None:
        """Have the author's share and the database take what was stored; raises StorageFull."""
        shares.charge(self._sql, self._share, self._database, self._size, only_deletes=only_deletes)

    def _terms(self, document: _Document) -> Terms:
        if not document.resolver_count:
            return self._usual_terms
        return self._usual_terms._replace(budget=document.budget(self._now_ms))

    def _apply(self, document: _Document, one: Write) -> Outcome:
        terms = self._terms(document)
        if one.path is not None:
            # The resolver comes once, after all that the batch brings of this document.
            alone = document.receipts is None
            return edits.apply_path(document.tree, one.path, one.deleted, terms, alone=alone)
        digests = _digests(one.attachments) if one.attachments else ()
        edit = Edit(one.base, one.deleted, one.body, digests)
        return edits.apply_edit(document.tree, edit, terms)

    def _note(self, document: _Document, one: Write | None, outcome: Outcome) -> None:
        """Remember what has to be saved of a document."""
        for rev, _, body_of in outcome.stored:
            if body_of is not None:
                self._copies.append((str(rev), document.id, str(body_of)))
                continue
            assert one is not None
            kept = None
            if one.attachments:
                kept = self._keep_attachments(document, one.attachments, rev, outcome.tree)
            self._given.append((document.id, str(rev), one.body, kept, self._share))
            if document.receipts is not None and one.path and self._author.is_client:
                document.receipts = {**document.receipts, rev: self._now_ms}
        document.changed = True
        document.tree, document.due = outcome.tree, outcome.due
        if outcome.added:
            document.spend(outcome.added, self._now_ms)

    def _keep_attachments(
        self, document: _Document, given: Mapping[str, Incoming], rev: RevId, tree: RevTree
    ) -> bytes | None:
        self._save_bodies()  # An edit of this batch may hold what a stub refers to.
        ancestors = [str(each) for each in revtree.ancestry(tree, rev)[1:]]
        kept, size = incoming.keep(
            self._sql,
            given,
            (document.id, document.docid),
            ancestors,
            rev.pos,
            self._author,
            self._now_ms,
        )
        self._size += size
        return attached.encode(kept)

    def _save_bodies(self) -> None:
        """Store bodies, then the copies that the resolver wants."""
        given, self._given = self._given, []
        copies, self._copies = self._copies, []
        self._size += sum([len(row[2]) for row in given])
        if given:
            self._sql.many(
                "INSERT INTO couchapi_revision (document_id, rev, body, attachments, share)"
                " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (document_id, rev) DO NOTHING",
                given,
            )
        for copy in copies:
            row = self._sql.one(
                "INSERT INTO couchapi_revision (document_id, rev, body, attachments, share)"
                " SELECT document_id, %s, body, attachments, CAST(%s AS BIGINT)"
                " FROM couchapi_revision"
                " WHERE document_id = %s AND rev = %s ON CONFLICT (document_id, rev) DO NOTHING"
                " RETURNING length(body)",
                (copy[0], self._share, *copy[1:]),
            )
            self._size += row[0] if row else 0

    def _save_documents(self, changed: Sequence[_Document]) -> int:
        seq = self._database.update_seq
        new, known = [], []
        for document in changed:
            seq += 1
            chains = document.tree.chains
            row = (
                seq,
                str(chains[0].tip),
                chains[0].deleted,
                len(chains),
                revtree.encode(document.tree),
                document.due,
                document.resolved_from,
                document.resolver_count,
                document.id,
            )
            if document.is_new:
                new.append((*row, self._database.id, document.docid))
            else:
                known.append(row)
        if new:
            self._sql.many(_INSERT, new)
        if known:
            self._sql.many(_UPDATE, known)
        return seq


_INSERT = (
    "INSERT INTO couchapi_document (seq, rev, deleted, leaf_count, tree, due, resolved_from,"
    " resolver_count, id, database_id, docid) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_UPDATE = (
    "UPDATE couchapi_document SET seq = %s, rev = %s, deleted = %s, leaf_count = %s, tree = %s,"
    " due = %s, resolved_from = %s, resolver_count = %s WHERE id = %s"
)


def _known(row: Row) -> _Document:
    docid, number, tree, deleted, due_ms, resolved_from, count = row
    return _Document(
        number, docid, revtree.decode(tree), False, bool(deleted), due_ms, resolved_from, count
    )


def _digests(given: Mapping[str, Incoming]) -> Sequence[str]:
    """Name the attachments in the revision's id; a stub by what the client says it is."""
    return [
        f"{name}:{one.digest}" if isinstance(one, Inline | Uploaded) else name
        for name, one in sorted(given.items())
    ]


def _new_ids(sql: Sql, count: int) -> Sequence[int]:
    """Return ids for documents that will be inserted in this transaction."""
    if not count:
        return ()
    if sql.vendor == "sqlite":
        row = sql.one("SELECT coalesce(max(id), 0) FROM couchapi_document")
        assert row is not None
        return range(row[0] + 1, row[0] + 1 + count)
    rows = sql.all(
        "SELECT nextval(pg_get_serial_sequence('couchapi_document', 'id'))"
        " FROM generate_series(1, %s)",
        (count,),
    )
    return [row[0] for row in rows]

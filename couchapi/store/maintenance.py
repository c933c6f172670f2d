"""Making room: purging documents, compacting and dropping databases.

Compaction and dropping work in slices, each a transaction of its own, so that other writers wait
for one slice and never for the whole.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson

from acl.sql import Sql
from couchapi.core import attached, revtree
from couchapi.core.revid import RevId
from couchapi.store import attachments, databases, indexes, shares
from couchapi.store.databases import DatabaseRow

SLICE = 200
"""Documents handled in one transaction."""


def purge(
    sql: Sql, db_name: str, asked: Mapping[str, Sequence[RevId]]
) -> tuple[DatabaseRow, dict[str, list[str]]]:
    """Forget leaves and what only they need; return what was purged of each document.

    A purge leaves no trace in the tree, so replication can bring the revisions back (CouchDB
    docs, "api/database/misc").
    """
    database = databases.lock(sql, db_name)
    seq = database.update_seq
    purge_seq = database.purge_seq
    docs = deleted = freed = 0
    purged: dict[str, list[str]] = {}
    for docid, revs in asked.items():
        one = _purge_one(sql, database, docid, revs, seq + 1)
        purged[docid] = list(one.revs)
        if one.revs:
            seq, purge_seq = seq + 1, purge_seq + 1
            docs, deleted, freed = docs + one.docs, deleted + one.deleted, freed + one.freed
            _note_purge(sql, database, purge_seq, docid, one.revs)
    sql.execute(
        "UPDATE couchapi_database SET purge_seq = %s WHERE id = %s", (purge_seq, database.id)
    )
    databases.count(sql, database, seq=seq, docs=docs, deleted=deleted, size=-freed)
    if any(docid.startswith("_design/") for docid, revs in purged.items() if revs):
        databases.note_designs(sql, database, seq)
    return databases.get(sql, db_name), purged


def purged_infos(sql: Sql, db_name: str) -> list[tuple[str, str, list[str]]]:
    """Return (uuid, docid, revs) of the purges that are remembered, oldest first."""
    database = databases.get(sql, db_name)
    rows = sql.all(
        "SELECT uuid, docid, revs FROM couchapi_purge WHERE database_id = %s ORDER BY seq",
        (database.id,),
    )
    return [(one, docid, orjson.loads(revs)) for one, docid, revs in rows]


def compact_slice(sql: Sql, db_name: str, after: str) -> tuple[str | None, int]:
    """Forget the bodies that no leaf needs, of the documents after `after`.

    Returns the last of them, None at the end, and how many they are.
    """
    database = databases.lock(sql, db_name)
    rows = sql.all(
        "SELECT id, docid, tree FROM couchapi_document WHERE database_id = %s AND docid > %s"
        " ORDER BY docid LIMIT %s",
        (database.id, after, SLICE),
    )
    freed = sum(_compact_one(sql, document_id, tree) for document_id, _, tree in rows)
    sql.execute(
        "UPDATE couchapi_database SET body_size = body_size - %s WHERE id = %s",
        (freed, database.id),
    )
    return (rows[-1][1] if len(rows) == SLICE else None), len(rows)


def drop_slice(sql: Sql) -> bool:
    """Remove some rows of databases that were deleted; return whether there are more."""
    row = sql.one("SELECT id FROM couchapi_database WHERE dropped LIMIT 1")
    if row is None:
        return False
    documents = sql.all(
        "SELECT id FROM couchapi_document WHERE database_id = %s LIMIT %s", (row[0], SLICE)
    )
    for (document_id,) in documents:
        _remove_document(sql, document_id)
    if not documents:
        indexes.forget_all(sql, row[0])
        for table in (
            "couchapi_localdocument",
            "couchapi_purge",
            "couchapi_measure",
            "couchapi_work",
        ):
            sql.execute(f"DELETE FROM {table} WHERE database_id = %s", row)
        sql.execute("DELETE FROM couchapi_database WHERE id = %s", row)
    return True


class _Purged(NamedTuple):
    """What was purged, and the differences in live and deleted documents and in bytes."""

    revs: Sequence[str] = ()
    docs: int = 0
    deleted: int = 0
    freed: int = 0


def _purge_one(
    sql: Sql, database: DatabaseRow, docid: str, revs: Sequence[RevId], seq: int
) -> _Purged:
    row = sql.one(
        "SELECT id, tree FROM couchapi_document WHERE database_id = %s AND docid = %s",
        (database.id, docid),
    )
    if row is None:
        return _Purged()
    tree = revtree.decode(row[1])
    rest, gone = revtree.without_leaves(tree, revs)
    if not gone:
        return _Purged()
    was_deleted = revtree.is_deleted(tree)
    if not rest.chains:
        freed = _remove_document(sql, row[0])
        return _Purged([str(rev) for rev in gone], -(not was_deleted), -was_deleted, freed)
    is_deleted = revtree.is_deleted(rest)
    sql.execute(
        "UPDATE couchapi_document SET seq = %s, rev = %s, deleted = %s, leaf_count = %s, tree = %s"
        " WHERE id = %s",
        (
            seq,
            str(revtree.winner(rest)),
            is_deleted,
            len(rest.chains),
            revtree.encode(rest),
            row[0],
        ),
    )
    freed = _keep_only(sql, row[0], {str(rev) for rev in rest})
    changed = is_deleted - was_deleted
    return _Purged([str(rev) for rev in gone], -changed, changed, freed)


def _note_purge(sql: Sql, database: DatabaseRow, seq: int, docid: str, revs: Sequence[str]) -> None:
    sql.execute(
        "INSERT INTO couchapi_purge (database_id, seq, uuid, docid, revs)"
        " VALUES (%s, %s, %s, %s, %s)",
        (database.id, seq, uuid.uuid4().hex, docid, orjson.dumps(revs).decode()),
    )
    sql.execute(
        "DELETE FROM couchapi_purge WHERE database_id = %s AND seq <= %s",
        (database.id, seq - database.purged_infos_limit),
    )


def _compact_one(sql: Sql, document_id: int, text: bytes) -> int:
    """Return how many bytes were freed."""
    tree = revtree.decode(text)
    bare = revtree.without_old_bodies(tree)
    if bare != tree:
        sql.execute(
            "UPDATE couchapi_document SET tree = %s WHERE id = %s",
            (revtree.encode(bare), document_id),
        )
    return _keep_only(sql, document_id, {str(leaf) for leaf in revtree.leaves(tree)})


def _keep_only(sql: Sql, document_id: int, kept: set[str]) -> int:
    """Remove the other bodies, and the attachments that only they have; return their bytes."""
    rows = sql.all(
        "SELECT rev, length(body), attachments, share FROM couchapi_revision"
        " WHERE document_id = %s",
        (document_id,),
    )
    old = [row for row in rows if row[0] not in kept]
    if not old:
        return 0
    sql.many(
        "DELETE FROM couchapi_revision WHERE document_id = %s AND rev = %s",
        [(document_id, row[0]) for row in old],
    )
    needed = {blob for row in rows if row[0] in kept for blob in _blobs(row[2])}
    unneeded = {blob for row in old for blob in _blobs(row[2])} - needed
    freed = attachments.remove(sql, sorted(unneeded))
    return freed + _leave_shares(sql, [(row[1], row[3]) for row in old])


def _leave_shares(sql: Sql, bodies: Sequence[tuple[int, int | None]]) -> int:
    """Take (size, share) of removed bodies out of the shares; return how many bytes they are."""
    freed = Counter[int | None]()
    for size, share in bodies:
        freed[share] += size
    if any(freed):
        shares.credit(sql, freed)
    return freed.total()


def _blobs(text: bytes | None) -> list[int]:
    return [one.blob for one in attached.decode(text).values()]


def _remove_document(sql: Sql, document_id: int) -> int:
    """Remove everything of a document, and return how many bytes that was."""
    blobs = sql.all("SELECT id FROM couchapi_blob WHERE document_id = %s", (document_id,))
    freed = attachments.remove(sql, [row[0] for row in blobs])
    gone = sql.all(
        "DELETE FROM couchapi_revision WHERE document_id = %s RETURNING length(body), share",
        (document_id,),
    )
    sql.execute("DELETE FROM couchapi_document WHERE id = %s", (document_id,))
    return freed + _leave_shares(sql, gone)

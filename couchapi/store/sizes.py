"""What databases take: measured now and then by a worker, and kept in a row each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from acl.sql import Sql
from couchapi.core import attached, revtree
from couchapi.core.upkeep import Measured, Sizes

_COLUMNS = "documents, old_bodies, attachments, old_attachments, history, indexes, local_documents"


def measure(sql: Sql, database_id: int) -> Sizes:
    """Return what a database takes now; looks at each of its bodies, whose length is enough."""
    leaves = list(_several_leaves(sql, database_id))
    documents = _sum(sql, f"SELECT sum(length(r.body)) {_SINGLE_LEAVES}", database_id)
    documents += sum(length for _, length, _ in leaves)
    attachments = _attached(sql, database_id, leaves)
    return Sizes(
        documents=documents,
        old_bodies=_sum(sql, f"SELECT sum(length(r.body)) {_REVISIONS}", database_id) - documents,
        attachments=attachments,
        old_attachments=_sum(sql, _CONTENTS, database_id) - attachments,
        history=_sum(sql, f"SELECT sum(length(tree)) {_of('document')}", database_id),
        indexes=_sum(sql, f"SELECT sum(size) {_of('index')}", database_id),
        local_documents=_sum(sql, f"SELECT sum(length(body)) {_of('localdocument')}", database_id),
    )


_REVISIONS = (
    "FROM couchapi_document d JOIN couchapi_revision r ON r.document_id = d.id"
    " WHERE d.database_id = %s"
)
_SINGLE_LEAVES = f"{_REVISIONS} AND d.leaf_count = 1 AND r.rev = d.rev"
_CONTENTS = (
    "SELECT sum(b.length) FROM couchapi_blob b JOIN couchapi_document d ON d.id = b.document_id"
    " WHERE d.database_id = %s"
)


def _of(table: str) -> str:
    return f"FROM couchapi_{table} WHERE database_id = %s"


def _sum(sql: Sql, query: str, database_id: int) -> int:
    row = sql.one(query, (database_id,))
    return int(row[0] or 0) if row else 0


def _several_leaves(sql: Sql, database_id: int) -> Iterator[tuple[int, int, bytes | None]]:
    """Give (document, length, attachments) of the leaves of documents with several: a few."""
    rows = sql.all(
        f"SELECT d.id, d.tree, r.rev, length(r.body), r.attachments {_REVISIONS}"
        " AND d.leaf_count > 1",
        (database_id,),
    )
    for document, tree, rev, length, attachments in rows:
        if rev in {str(leaf) for leaf in revtree.leaves(revtree.decode(tree))}:
            yield document, length, attachments


def _attached(sql: Sql, database_id: int, leaves: Iterable[tuple[int, int, bytes | None]]) -> int:
    """Return the bytes of the attachments that leaves have."""
    single = sql.each_row(
        f"SELECT r.attachments {_SINGLE_LEAVES} AND r.attachments IS NOT NULL", (database_id,)
    )
    # Two leaves of a document may have the same.
    several = {
        (document, one.blob): one.stored_length
        for document, _, text in leaves
        for one in attached.decode(text).values()
    }
    return sum(several.values()) + sum(
        one.stored_length for (text,) in single for one in attached.decode(text).values()
    )


def note(sql: Sql, database_id: int, seq: int, now: int, sizes: Sizes) -> None:
    """Keep what was measured."""
    sql.execute("DELETE FROM couchapi_measure WHERE database_id = %s", (database_id,))
    sql.execute(
        f"INSERT INTO couchapi_measure (database_id, seq, measured_at, {_COLUMNS})"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (database_id, seq, now, *sizes),
    )


def measured(sql: Sql) -> dict[int, Measured]:
    """Return what is known of each database, by its number."""
    rows = sql.all(f"SELECT database_id, seq, measured_at, {_COLUMNS} FROM couchapi_measure")
    return {row[0]: Measured(row[1], row[2], Sizes(*row[3:])) for row in rows}


class Content(NamedTuple):
    """A large attachment, and the document that has it."""

    db_name: str
    document_id: int
    docid: str
    size: int


def largest(sql: Sql, limit: int) -> list[Content]:
    """Return the largest attachments, whichever their names are."""
    rows = sql.all(
        "SELECT s.name, d.id, d.docid, b.length FROM couchapi_blob b"
        " JOIN couchapi_document d ON d.id = b.document_id"
        " JOIN couchapi_database s ON s.id = d.database_id"
        " WHERE NOT s.dropped ORDER BY b.length DESC, b.id LIMIT %s",
        (limit,),
    )
    return [Content(*row) for row in rows]


def leaving(sql: Sql) -> int:
    """Return the bytes of databases that were deleted and whose rows still go."""
    row = sql.one("SELECT sum(body_size) FROM couchapi_database WHERE dropped")
    return int(row[0] or 0) if row else 0

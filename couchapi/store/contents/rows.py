"""A content as rows of `couchapi_blobchunk`, each with its offset."""

from __future__ import annotations

from functools import partial

from acl import sql
from acl.sql import Sql
from couchapi.core.errors import ContentMissing

CHUNK = 64 * 1024
"""Bytes of a row: large enough to be quick, small enough to wait for."""


class Rows:
    """The content of the blob with number `blob` (`store/contents/__init__.py`)."""

    def __init__(self, blob: int) -> None:
        self._blob = blob

    def append(self, position: int, piece: bytes) -> None:
        """Add rows, in a transaction of their own."""
        sql.write_sync(partial(insert, blob=self._blob, position=position, content=piece))

    def finish(self) -> None:
        """Do nothing: rows are durable."""

    def read(self, start: int, at_most: int) -> bytes:
        """Read what one row holds."""
        found = sql.read_sync(partial(piece, blob=self._blob, start=start, at_most=at_most))
        if found is None:
            raise ContentMissing
        return found

    def remove(self) -> None:
        """Remove the rows."""
        sql.write_sync(partial(delete, blob=self._blob))


def insert(sql: Sql, blob: int, position: int, content: bytes) -> None:
    """Add rows at `position`, which is the end."""
    sql.many(
        "INSERT INTO couchapi_blobchunk (blob_id, position, content) VALUES (%s, %s, %s)",
        [(blob, position + at, content[at : at + CHUNK]) for at in range(0, len(content), CHUNK)],
    )


def piece(sql: Sql, blob: int, start: int, at_most: int) -> bytes | None:
    """Return up to `at_most` bytes from `start`, none only at the end; None without any rows."""
    row = sql.one(
        "SELECT position, content FROM couchapi_blobchunk WHERE blob_id = %s AND position <= %s"
        " ORDER BY position DESC LIMIT 1",
        (blob, start),
    )
    if row is None:
        return None
    content: bytes = row[1]
    return content[start - row[0] : start - row[0] + at_most]


def whole(sql: Sql, blob: int) -> bytes:
    """Return the whole content."""
    rows = sql.all(
        "SELECT content FROM couchapi_blobchunk WHERE blob_id = %s ORDER BY position", (blob,)
    )
    return b"".join(row[0] for row in rows)


def delete(sql: Sql, blob: int) -> None:
    """Remove the rows."""
    sql.execute("DELETE FROM couchapi_blobchunk WHERE blob_id = %s", (blob,))

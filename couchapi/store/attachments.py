"""The contents of attachments, in pieces, so that none is ever whole in memory.

An upload makes a blob that belongs to no document; the write of the revision adopts it, in one
transaction with everything else.  A blob whose write never came is removed after a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from acl.sql import Sql

CHUNK = 64 * 1024
"""Bytes of a piece: large enough to be quick, small enough to wait for."""

_SECONDS_TO_ADOPT = 24 * 3600


def new_blob(sql: Sql, uploader: str, now: int) -> int:
    """Return a new, empty blob that the principal of key `uploader` will fill; `now` in seconds."""
    row = sql.one(
        "INSERT INTO couchapi_blob (uploader, length, created_at) VALUES (%s, 0, %s) RETURNING id",
        (uploader, now),
    )
    assert row is not None
    return int(row[0])


def append(sql: Sql, blob: int, position: int, pieces: Iterable[bytes]) -> int:
    """Append `pieces` at `position`, and return the length that the blob has then."""
    rows = []
    for piece in pieces:
        rows.append((blob, position, piece))
        position += len(piece)
    sql.many(
        "INSERT INTO couchapi_blobchunk (blob_id, position, content) VALUES (%s, %s, %s)", rows
    )
    sql.execute("UPDATE couchapi_blob SET length = %s WHERE id = %s", (position, blob))
    return position


def store(sql: Sql, content: bytes, uploader: str, now: int) -> int:
    """Return a blob with `content`, for contents that came inside a document."""
    blob = new_blob(sql, uploader, now)
    append(sql, blob, 0, (content[at : at + CHUNK] for at in range(0, len(content), CHUNK)))
    return blob


def adopt(sql: Sql, blobs: Sequence[int], document_id: int) -> None:
    """Make `blobs` belong to a document."""
    sql.many(
        "UPDATE couchapi_blob SET document_id = %s WHERE id = %s",
        [(document_id, blob) for blob in blobs],
    )


def uploaders(sql: Sql, blobs: Sequence[int]) -> dict[int, str]:
    """Return who sent each of `blobs`."""
    each, param = sql.each([str(blob) for blob in blobs])
    return dict(
        sql.all(
            f"SELECT b.id, b.uploader FROM {each} CROSS JOIN couchapi_blob b"
            " WHERE b.id = CAST(j.value AS BIGINT)",
            (param,),
        )
    )


def read(sql: Sql, blob: int, start: int, at_most: int) -> bytes:
    """Return up to `at_most` bytes from `start`, at least one where there are any."""
    row = sql.one(
        "SELECT position, content FROM couchapi_blobchunk WHERE blob_id = %s AND position <= %s"
        " ORDER BY position DESC LIMIT 1",
        (blob, start),
    )
    if row is None:
        return b""
    content: bytes = row[1]
    return content[start - row[0] : start - row[0] + at_most]


def read_all(sql: Sql, blob: int) -> bytes:
    """Return the whole content: for answers that hold it inline."""
    rows = sql.all(
        "SELECT content FROM couchapi_blobchunk WHERE blob_id = %s ORDER BY position", (blob,)
    )
    return b"".join(row[0] for row in rows)


def remove(sql: Sql, blobs: Sequence[int]) -> None:
    """Delete blobs that no revision names any more."""
    ids = [(blob,) for blob in blobs]
    sql.many("DELETE FROM couchapi_blobchunk WHERE blob_id = %s", ids)
    sql.many("DELETE FROM couchapi_blob WHERE id = %s", ids)


def abandoned(sql: Sql, now: int, limit: int) -> list[int]:
    """Return up to `limit` blobs whose upload never became part of a document."""
    rows = sql.all(
        "SELECT id FROM couchapi_blob WHERE document_id IS NULL AND created_at < %s LIMIT %s",
        (now - _SECONDS_TO_ADOPT, limit),
    )
    return [row[0] for row in rows]

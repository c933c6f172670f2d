"""The contents of attachments as the tables know them: whose they are, and which are to go.

An upload makes a blob that belongs to no document; the write of the revision adopts it, in one
transaction with everything else.  What no revision needs any more, or what was never adopted
within a day, is marked as gone; then its content is removed, and last its row.  Each of these
steps may be the last before a power cut: the next housekeeping goes on from there.

The bytes themselves are in `store/contents`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from acl.sql import Sql
from couchapi.core.attached import Attached
from couchapi.core.errors import ContentMissing
from couchapi.store import contents, shares
from couchapi.store.contents import Blob, rows

_SECONDS_TO_ADOPT = 24 * 3600
_GONE = 0
"""`created_at` of a blob that nobody may adopt: its content may be removed already."""


def new_blob(sql: Sql, uploader: str, now: int) -> Blob:
    """Return a new blob whose content the principal of key `uploader` sends; `now` in seconds."""
    return _insert(sql, contents.new_file(sql.vendor), 0, uploader, now)


def store(sql: Sql, content: bytes, uploader: str, now: int) -> int:
    """Return a blob with `content`, which is written in this transaction."""
    blob = _insert(sql, "", len(content), uploader, now)
    rows.insert(sql, blob.id, 0, content)
    return blob.id


def _insert(sql: Sql, file: str, length: int, uploader: str, now: int) -> Blob:
    row = sql.one(
        "INSERT INTO couchapi_blob (file, length, uploader, created_at) VALUES (%s, %s, %s, %s)"
        " RETURNING id",
        (file, length, uploader, now),
    )
    assert row is not None
    return Blob(int(row[0]), file)


def adopt(sql: Sql, given: Iterable[Attached], document_id: int) -> int:
    """Make the blobs of attachments belong to a document; return how many bytes are new to it.

    Raises ContentMissing for an upload that came too late to be adopted.
    """
    size = 0
    for one in given:
        adopted = sql.execute(
            "UPDATE couchapi_blob SET document_id = %s, length = %s"
            " WHERE id = %s AND document_id IS NULL AND created_at > %s",
            (document_id, one.stored_length, one.blob, _GONE),
        )
        if adopted.rowcount:
            size += one.stored_length
        elif not sql.one(
            "SELECT 1 FROM couchapi_blob WHERE id = %s AND document_id = %s",
            (one.blob, document_id),
        ):
            raise ContentMissing("The upload of an attachment took too long. Send it again.")
    return size


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


def find(sql: Sql, blob: int) -> Blob:
    """Return the blob with this number; raises ContentMissing."""
    row = sql.one("SELECT id, file FROM couchapi_blob WHERE id = %s", (blob,))
    if row is None:
        raise ContentMissing
    return Blob(*row)


def check(sql: Sql, one: Attached) -> None:
    """Raise ContentMissing if the content is not here: before an answer begins."""
    found = find(sql, one.blob)
    if found.file:
        contents.of(found).read(0, 0)  # The file is looked up, none of its bytes are read.


def read(sql: Sql, blob: int, start: int, at_most: int) -> tuple[Blob, bytes]:
    """Return the blob and some bytes from `start` if it is in rows: a file is for a thread."""
    found = find(sql, blob)
    return found, b"" if found.file else rows.piece(sql, blob, start, at_most) or b""


def read_all(sql: Sql, blob: int) -> bytes:
    """Return the whole content, for answers that hold it inline; raises ContentMissing."""
    found = find(sql, blob)
    if not found.file:
        return rows.whole(sql, blob)
    content, pieces, length = contents.of(found), list[bytes](), 0
    while piece := content.read(length, contents.AT_ONCE):
        pieces.append(piece)
        length += len(piece)
    return b"".join(pieces)


def remove(sql: Sql, blobs: Sequence[int]) -> int:
    """Mark blobs as gone that no revision names any more; return how many bytes they are."""
    size = 0
    for blob in blobs:
        row = sql.one(
            "UPDATE couchapi_blob SET document_id = NULL, created_at = %s WHERE id = %s"
            " RETURNING length, uploader",
            (_GONE, blob),
        )
        if row is not None:
            size += row[0]
            shares.credit_uploader(sql, row[1], row[0])
    return size


def unadopted(sql: Sql, blobs: Sequence[int]) -> list[Blob]:
    """Return those of `blobs` that belong to no document."""
    each, param = sql.each([str(blob) for blob in blobs])
    found = sql.all(
        f"SELECT b.id, b.file FROM {each} CROSS JOIN couchapi_blob b"
        " WHERE b.id = CAST(j.value AS BIGINT) AND b.document_id IS NULL",
        (param,),
    )
    return [Blob(*row) for row in found]


def give_up(sql: Sql, now: int) -> None:
    """Mark the uploads as gone that have waited for a day to become part of a document."""
    sql.execute(
        "UPDATE couchapi_blob SET created_at = %s WHERE document_id IS NULL AND created_at < %s",
        (_GONE, now - _SECONDS_TO_ADOPT),
    )


def gone(sql: Sql, limit: int) -> list[Blob]:
    """Return up to `limit` blobs whose contents are to be removed."""
    found = sql.all(
        "SELECT id, file FROM couchapi_blob WHERE document_id IS NULL AND created_at = %s LIMIT %s",
        (_GONE, limit),
    )
    return [Blob(*row) for row in found]


def forget(sql: Sql, blobs: Iterable[Blob]) -> None:
    """Delete the rows of blobs whose contents are removed."""
    sql.many(
        "DELETE FROM couchapi_blob WHERE id = %s AND document_id IS NULL",
        [(blob.id,) for blob in blobs],
    )

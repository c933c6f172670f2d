"""Writes a backup: one snapshot of the tables as frames, and after it the files of attachments.

The snapshot is a transaction that only reads: SQLite's log keeps it, PostgreSQL calls it
REPEATABLE READ, and the hub goes on writing meanwhile.  Files of attachments never change and the
housekeeping leaves them where they are for so long, so they can be read after the snapshot.

What was added to a backup since an earlier one is found by sequence numbers: each document that
was written since then has a higher one.  Where that does not hold (documents were purged, the
numbers began anew) the database is in it as a whole.  Tables without such numbers are small, and
are always in it.  Nothing here holds more than some megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import orjson
from django.conf import settings

from acl import sql
from acl.sql import Sql
from couchapi.store import contents
from couchapi.store.contents import Blob
from thalihub.backups import frames, tables
from thalihub.backups.frames import Head, Position
from thalihub.backups.tables import Table

_ROWS, _DOCUMENTS, _BYTES = 100, 100, 1024 * 1024
FILES = (
    *("identity.key", "identity.crt", "device.key", "device.crt", "owner.key", "owner.crt"),
    *("adopted.pem", "former.key", "secret.key", "tor/onion.key", "tor/client.key"),
)
"""The small files of the data folder that are in a backup, where they are there."""

Write = Callable[[bytes], object]
Progress = Callable[[int, int], object]
"""Is told how much is done and how much there is; what it raises ends the backup."""

_EVERY_DOCUMENT = Position("", -1, 0)


class Origin(NamedTuple):
    """What a head says that is not in the tables."""

    ident: str
    lineage: str
    made_at: int
    key: str
    migrations: list[tuple[str, str]]


class _Content(NamedTuple):
    blob: int
    file: str
    length: int


@dataclass(frozen=True)
class _Wanted:
    """The blobs whose contents are new: those after a number, and some before it."""

    after: int
    also: list[int]

    @property
    def condition(self) -> str:
        """As SQL says it, with the parameters `params`."""
        return f"(id > %s OR id IN ({', '.join(['%s'] * len(self.also)) or 'NULL'}))"

    @property
    def params(self) -> list[int]:
        """The parameters of `condition`."""
        return [self.after, *self.also]


@dataclass
class _Plan:
    """What the snapshot has, and how much of it is new."""

    databases: list[tuple[int, Position, Position]]
    """Number, how far it is, and after what its documents are wanted."""
    contents: _Wanted
    open_blobs: list[int]
    newest_blob: int
    total: int = 0
    done: int = 0
    documents: dict[int, int] = field(default_factory=dict)
    written: int = 0
    """Contents."""


def dump(write: Write, origin: Origin, parent: Head | None, progress: Progress) -> tuple[Head, int]:
    """Write a backup as frames; with a `parent`, what is new since then.

    Returns its head, and how many documents there are.
    """
    with contents.kept():
        settled = sql.read_sync(_settled)
        plan, head = sql.read_sync(
            partial(
                _snapshot,
                write=write, origin=origin, parent=parent, settled=settled, progress=progress,
            )
        )  # fmt: skip
        for one in _contents_in_files(plan):
            _write_content(write, one, _pieces_of_file(one), plan, progress)
    write(frames.told(frames.END, {"documents": plan.documents, "contents": plan.written}))
    return head, sum(plan.documents.values())


def _settled(sql: Sql) -> int | None:
    """Return a number up to which every blob can be seen that there will ever be; None for any.

    On PostgreSQL a lower number may be committed later.  A snapshot taken in between would count
    it as written, and the next backup of the chain would leave its content out.
    """
    if sql.vendor == "sqlite":
        return None
    # Waits for those who are writing one; the lock ends when this has been read.
    sql.execute("LOCK TABLE couchapi_blob IN SHARE MODE")
    return _newest_blob(sql)


def _newest_blob(sql: Sql) -> int:
    row = sql.one("SELECT coalesce(max(id), 0) FROM couchapi_blob")
    return int(row[0]) if row else 0


def _snapshot(
    sql: Sql,
    write: Write,
    origin: Origin,
    parent: Head | None,
    settled: int | None,
    progress: Progress,
) -> tuple[_Plan, Head]:
    plan = _planned(sql, parent, settled)
    head = _head(origin, parent, plan, sql.vendor)
    write(frames.framed(frames.HEAD, head.as_text().encode()))
    progress(0, plan.total)
    for path in FILES:
        if (settings.HUB_DATA / path).exists():
            write(frames.file(path, (settings.HUB_DATA / path).read_bytes()))
    for table in tables.whole():
        _write_table(sql, table, write)
    for number, at, since in plan.databases:
        _write_database(sql, number, at, since, write, plan, progress)
    for one in _pages(partial(_content_page, sql, plan, "document_id IS NOT NULL AND file = ''")):
        _write_content(write, one, _pieces_of_rows(sql, one), plan, progress)
    return plan, head


def _head(origin: Origin, parent: Head | None, plan: _Plan, vendor: str) -> Head:
    return Head(
        **origin._asdict(),
        parent=parent.ident if parent else "",
        version=settings.HUB_VERSION,
        vendor=vendor,
        databases={number: at for number, at, _ in plan.databases},
        newest_blob=plan.newest_blob,
        open_blobs=plan.open_blobs,
    )


def _planned(sql: Sql, parent: Head | None, settled: int | None) -> _Plan:
    rows = sql.all("SELECT id, epochs, update_seq, purge_seq, dropped FROM couchapi_database")
    places = []
    for number, epochs, seq, purge_seq, dropped in rows:
        at = Position(orjson.loads(epochs)[-1][0], seq, purge_seq)
        places.append((number, at, _since(number, at, parent, bool(dropped))))
    wanted = _Wanted(parent.newest_blob, parent.open_blobs) if parent else _Wanted(0, [])
    newest = _newest_blob(sql) if settled is None else settled
    plan = _Plan(places, wanted, _open_blobs(sql), newest)
    for number, _, since in places:
        plan.total += sql.all(_COUNT, (number, since.seq))[0][0]
        plan.documents[number] = sql.all(_COUNT, (number, -1))[0][0]
    plan.total += sql.all(_UNITS + wanted.condition, wanted.params)[0][0]
    return plan


_UNITS = (
    f"SELECT coalesce(sum(length / {contents.HELD} + 1), 0) FROM couchapi_blob"
    " WHERE document_id IS NOT NULL AND "
)
_COUNT = "SELECT count(*) FROM couchapi_document WHERE database_id = %s AND seq > %s"


def _since(number: int, at: Position, parent: Head | None, dropped: bool) -> Position:
    known = parent.databases.get(number) if parent else None
    is_same = known is not None and (known.epoch, known.purge_seq) == (at.epoch, at.purge_seq)
    return known if known is not None and is_same and not dropped else _EVERY_DOCUMENT


def _open_blobs(sql: Sql) -> list[int]:
    """Return the blobs that nobody has adopted, or whose content goes."""
    rows = sql.all("SELECT id FROM couchapi_blob WHERE document_id IS NULL ORDER BY id")
    return [row[0] for row in rows]


# Tables


def _write_table(sql: Sql, table: Table, write: Write) -> None:
    write(frames.told(frames.TABLE, table.as_said()))
    begin = f'SELECT {table.selected}, "{table.key}" FROM "{table.name}"'
    order = f'ORDER BY "{table.key}" LIMIT {_ROWS}'
    rows = sql.all(f"{begin} {order}")
    while rows:
        _write_rows(table, [row[:-1] for row in rows], write)
        rows = sql.all(f'{begin} WHERE "{table.key}" > %s {order}', (rows[-1][-1],))


def _write_rows(table: Table, rows: Sequence[Sequence[Any]], write: Write) -> None:
    kinds = [kind for _, kind in table.columns]
    said = [[_said(*pair) for pair in zip(kinds, row, strict=True)] for row in rows]
    write(frames.packed_rows(said))


def _said(kind: str, value: Any) -> Any:
    if value is None or kind == tables.PLAIN:
        return bytes(value) if isinstance(value, memoryview) else value
    if kind == tables.TRUTH:
        return bool(value)
    if kind == tables.JSON:  # SQLite has the text, PostgreSQL's driver has read it.
        return value if isinstance(value, str) else orjson.dumps(value).decode()
    if isinstance(value, datetime):  # PostgreSQL's; SQLite keeps such text itself.
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    return value


# Documents


def _write_database(
    sql: Sql,
    number: int,
    at: Position,
    since: Position,
    write: Write,
    plan: _Plan,
    progress: Progress,
) -> None:
    is_whole = since is _EVERY_DOCUMENT
    write(frames.told(frames.DATABASE, {"id": number, "whole": is_whole}))
    document, revision = tables.named(tables.DOCUMENT), tables.named(tables.REVISION)
    for page in _documents(sql, document, number, since.seq, is_whole):
        write(frames.told(frames.TABLE, document.as_said()))
        _write_rows(document, page, write)
        write(frames.told(frames.TABLE, revision.as_said()))
        _write_revisions(sql, revision, [row[0] for row in page], write)
        plan.done += len(page)
        progress(plan.done, plan.total)


def _documents(
    sql: Sql, table: Table, number: int, since: int, is_whole: bool
) -> Iterator[list[Any]]:
    """Yield pages of rows; the number of the document comes first in each."""
    assert table.names[0] == table.key
    begin = f"SELECT {table.selected} FROM {table.name} WHERE database_id = %s"
    seq, last = table.names.index("seq"), -1
    # That a document waits for its resolver is noted without a new number.
    held = f"{begin} AND due IS NOT NULL AND seq > %s AND seq <= %s ORDER BY seq LIMIT {_DOCUMENTS}"
    while not is_whole and (rows := sql.all(held, (number, last, since))):
        yield rows
        last = rows[-1][seq]
    while rows := sql.all(f"{begin} AND seq > %s ORDER BY seq LIMIT {_DOCUMENTS}", (number, since)):
        yield rows
        since = rows[-1][seq]


def _write_revisions(sql: Sql, table: Table, documents: Sequence[int], write: Write) -> None:
    marks = ", ".join(["%s"] * len(documents))
    sizes = sql.all(
        "SELECT id, length(body) + coalesce(length(attachments), 0) FROM couchapi_revision"
        f" WHERE document_id IN ({marks})",
        documents,
    )
    for group in _groups(sizes):
        marks = ", ".join(["%s"] * len(group))
        rows = sql.all(f"SELECT {table.selected} FROM {table.name} WHERE id IN ({marks})", group)
        _write_rows(table, rows, write)


def _groups(sizes: Sequence[tuple[Any, ...]]) -> Iterator[list[int]]:
    """Cut rows into groups of a bounded size: one body may be large."""
    group, size = list[int](), 0
    for number, length in sizes:
        if group and (size + length > _BYTES or len(group) == _ROWS):
            yield group
            group, size = [], 0
        group.append(number)
        size += length
    if group:
        yield group


# Contents of attachments


def _pages(page: Callable[[int], list[_Content]]) -> Iterator[_Content]:
    last = 0
    while found := page(last):
        yield from found
        last = found[-1].blob


def _content_page(sql: Sql, plan: _Plan, condition: str, last: int) -> list[_Content]:
    rows = sql.all(
        f"SELECT id, file, length FROM couchapi_blob WHERE {condition}"
        f" AND {plan.contents.condition} AND id > %s ORDER BY id LIMIT {_ROWS}",
        [*plan.contents.params, last],
    )
    return [_Content(*row) for row in rows]


def _contents_in_files(plan: _Plan) -> Iterator[_Content]:
    """Yield those that the snapshot had; who removes one now keeps its row and file for so long."""
    condition, strange = f"file <> '' AND id <= {plan.newest_blob}", set(plan.open_blobs)

    def page(last: int) -> list[_Content]:
        return sql.read_sync(partial(_content_page, plan=plan, condition=condition, last=last))

    pages = _pages(page)
    return (one for one in pages if one.blob not in strange)


def _write_content(
    write: Write, one: _Content, pieces: Iterator[bytes], plan: _Plan, progress: Progress
) -> None:
    write(frames.told(frames.CONTENT, one._asdict()))
    plan.written += 1
    for piece in pieces:
        write(frames.framed(frames.PIECE, piece))
        plan.done += _units(len(piece)) - 1
        progress(plan.done, plan.total)
    plan.done += 1


def _units(length: int) -> int:
    """A document counts as one, and so do 64 KB of an attachment."""
    return length // contents.HELD + 1


def _pieces_of_file(one: _Content) -> Iterator[bytes]:
    source, at = contents.of(Blob(one.blob, one.file)), 0
    while piece := source.read(at, contents.AT_ONCE):
        yield piece
        at += len(piece)


def _pieces_of_rows(sql: Sql, one: _Content) -> Iterator[bytes]:
    at = -1
    while rows := sql.all(
        "SELECT position, content FROM couchapi_blobchunk WHERE blob_id = %s AND position > %s"
        " ORDER BY position LIMIT 8",
        (one.blob, at),
    ):
        yield b"".join(bytes(content) for _, content in rows)
        at = rows[-1][0]

"""Loads the frames of a chain of backups into the empty tables of the default database.

The tables are first made as they were when the backup was, then filled, and then brought to what
this hub has.  SQLite's file is a draft until all is done, so it need not be durable on the way;
PostgreSQL gets everything in one transaction.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
from django.apps import apps
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from acl import sql, store
from acl.core.errors import RefusedError
from acl.sql import Sql
from couchapi.store import contents
from couchapi.store.contents import rows as chunks
from thalihub.backups import frames, tables
from thalihub.backups.frames import Frame, Head
from thalihub.backups.sealing import Damaged

_NO_ROOM = 1024 * 1024
_JUMP = 1_000_000_000
"""How far the numbers of events go on after a restore: further than anybody has seen."""


def migrations() -> list[tuple[str, str]]:
    """Return the newest migration of each app; raises RefusedError where the tables have others."""
    store.check_tables()
    leaves: list[tuple[str, str]] = MigrationLoader(None).graph.leaf_nodes()
    return leaves


def check_known(head: Head) -> None:
    """Raise RefusedError for a backup of tables that this hub does not know yet."""
    known = MigrationLoader(None).graph.nodes
    for app, name in head.migrations:
        if (app, name) not in known:
            raise RefusedError(
                f"This backup was made by a newer hub, {head.version}. Update this one first."
            )


def has_tables() -> bool:
    """Tell whether the database has any table."""
    return bool(connection.introspection.table_names())


def use_file(path: Path) -> None:
    """Take the SQLite file at `path` for the default database, until the process ends."""
    sql.close()
    connection.close()
    connection.settings_dict["NAME"] = str(path)


def is_full(error: BaseException) -> bool:
    """Tell whether the database could not go on because its disk is full."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else error
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        place = Path(str(connection.settings_dict["NAME"])).parent
        # Its log and its list of pages say only that writing did not work.
        is_unable = code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
        no_room = is_unable and shutil.disk_usage(place).free < _NO_ROOM
        return code == sqlite3.SQLITE_FULL or no_room
    return getattr(cause, "sqlstate", None) == "53100"  # PostgreSQL's disk_full.


def drop_everything() -> None:
    """Remove all tables of a database that was empty when the restore began."""
    with connection.cursor() as cursor:
        for name in connection.introspection.table_names():
            cursor.execute(f"DROP TABLE IF EXISTS {connection.ops.quote_name(name)} CASCADE")


@contextlib.contextmanager
def loading(head: Head) -> Iterator[None]:
    """Make the tables that `head` tells of; bring them to today's form when they are filled."""
    MigrationExecutor(connection).migrate(head.migrations)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=OFF")
            cursor.execute("PRAGMA foreign_keys=OFF")
    with transaction.atomic():
        yield
        if connection.vendor == "sqlite":
            connection.check_constraints()
    call_command("migrate", verbosity=0, interactive=False)
    if connection.vendor == "sqlite":
        _settle_file()


def _settle_file() -> None:
    path = Path(str(connection.settings_dict["NAME"]))
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with path.open("rb") as file:
        os.fsync(file.fileno())


class Loader:
    """Puts one backup of a chain into the tables, and its files into `folder`."""

    def __init__(self, head: Head, folder: Path) -> None:
        self._head, self._folder = head, folder
        self._table, self._columns = "", list[tuple[str, str]]()
        self._documents = False
        self._content: _Content | None = None

    def take(self, frame: Frame) -> None:
        """Act on one frame."""
        if frame.kind == frames.FILE:
            self._put_file(*frame.rows[0])
        elif frame.kind == frames.DATABASE:
            self._begin_database(frame.said)
        elif frame.kind == frames.TABLE:
            self._begin_table(frame.said)
        elif frame.kind == frames.ROWS:
            self._insert(frame.rows)
        else:
            self._take_content(frame)

    def _put_file(self, name: str, content: bytes) -> None:
        path = self._folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise Damaged
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _begin_table(self, said: dict[str, Any]) -> None:
        self._table = connection.ops.quote_name(said["name"])
        self._columns = [(name, kind) for name, kind in said["columns"]]
        self._documents = said["name"] in (tables.DOCUMENT, tables.REVISION)
        if not self._documents:
            _execute(f"DELETE FROM {self._table}")

    def _begin_database(self, said: dict[str, Any]) -> None:
        if said["whole"] and self._head.parent:
            of_it = "(SELECT id FROM couchapi_document WHERE database_id = %s)"
            for statement in (
                f"DELETE FROM couchapi_revision WHERE document_id IN {of_it}",
                "DELETE FROM couchapi_document WHERE database_id = %s",
            ):
                _execute(statement, [said["id"]])

    def _insert(self, rows: Sequence[Sequence[Any]]) -> None:
        if self._documents and self._head.parent:
            self._replace([[row[0]] for row in rows])
        names = ", ".join(connection.ops.quote_name(name) for name, _ in self._columns)
        marks = ", ".join(["%s"] * len(self._columns))
        kinds = [kind for _, kind in self._columns]
        values = [[_kept(*pair) for pair in zip(kinds, row, strict=True)] for row in rows]
        _many(f"INSERT INTO {self._table} ({names}) VALUES ({marks})", values)

    def _replace(self, numbers: list[list[int]]) -> None:
        if self._table == connection.ops.quote_name(tables.DOCUMENT):
            _many("DELETE FROM couchapi_revision WHERE document_id = %s", numbers)
        _many(f"DELETE FROM {self._table} WHERE id = %s", numbers)

    # Contents

    def _take_content(self, frame: Frame) -> None:
        if frame.kind == frames.PIECE:
            if self._content is None:
                raise Damaged
            self._content.append(frame.content)
            return
        if self._content is not None:
            self._content.finish()
            self._content = None
        if frame.kind == frames.CONTENT:
            said = frame.said
            name = file_name(said["blob"], said["file"], said["length"], self._head.vendor)
            self._content = _Content(self._folder, said["blob"], name)


def file_name(blob: int, file: str, length: int, from_vendor: str) -> str:
    """Return the file in which a blob's content is in this kind of database; none for rows."""
    if connection.vendor != "sqlite":
        return ""
    is_moved = from_vendor != "sqlite" and length > contents.HELD
    return f"{blob:032x}" if is_moved else file


class _Content:
    """The content of one blob as it comes: to a file, or to rows."""

    def __init__(self, folder: Path, blob: int, name: str) -> None:
        if not all(character in "0123456789abcdef" for character in name):
            raise Damaged
        self._blob, self._at = blob, 0
        self._path = folder / "attachments" / name[:2] / name if name else None
        _execute("DELETE FROM couchapi_blobchunk WHERE blob_id = %s", [blob])
        if self._path is not None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            self._path.touch(mode=0o600)

    def append(self, piece: bytes) -> None:
        """Add a piece."""
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(piece)
        else:
            cut = range(0, len(piece), chunks.CHUNK)
            rows = [(self._blob, self._at + at, piece[at : at + chunks.CHUNK]) for at in cut]
            into = "INSERT INTO couchapi_blobchunk (blob_id, position, content) VALUES (%s, %s, %s)"
            _many(into, rows)
        self._at += len(piece)

    def finish(self) -> None:
        """Let it be durable."""
        if self._path is not None:
            with self._path.open("rb") as file:
                os.fsync(file.fileno())


# What is to be done when all of a chain is loaded


def finish(head: Head, folder: Path, documents: dict[str, int]) -> None:
    """Make one hub of what was loaded; raises Damaged when it is not all there."""
    _move_contents(head)
    _forget_compacted()
    _remove_strays(folder)
    _check(folder, documents)
    _begin_epochs()
    _execute(f"UPDATE couchapi_databaseevent SET seq = seq + {_JUMP}")
    _continue_numbers()


def _move_contents(head: Head) -> None:
    for blob, file, length in _rows("SELECT id, file, length FROM couchapi_blob"):
        name = file_name(blob, file, length, head.vendor)
        if name != file:
            _execute("UPDATE couchapi_blob SET file = %s WHERE id = %s", [name, blob])
    _execute("DELETE FROM couchapi_blob WHERE document_id IS NULL")


def _forget_compacted() -> None:
    """Remove old revisions that were compacted between the backups: their contents are gone."""
    here = {blob for (blob,) in _rows("SELECT id FROM couchapi_blob")}
    found = _rows("SELECT id, attachments FROM couchapi_revision WHERE attachments IS NOT NULL")
    stale = [
        [number]
        for number, text in found
        if any(one["blob"] not in here for one in orjson.loads(bytes(text)).values())
    ]
    _many("DELETE FROM couchapi_revision WHERE id = %s", stale)
    _execute("DELETE FROM couchapi_blobchunk WHERE blob_id NOT IN (SELECT id FROM couchapi_blob)")


def _remove_strays(folder: Path) -> None:
    known = {file for (file,) in _rows("SELECT file FROM couchapi_blob WHERE file <> ''")}
    for path in (folder / "attachments").glob("*/*"):
        if path.name not in known:
            path.unlink()


def _check(folder: Path, documents: dict[str, int]) -> None:
    count = "SELECT database_id, count(*) FROM couchapi_document GROUP BY database_id"
    found = {str(number): rows for number, rows in _rows(count)}
    if found != {name: rows for name, rows in documents.items() if rows}:
        raise Damaged("This backup does not have all documents that it speaks of.")
    sizes = "SELECT blob_id, sum(length(content)) FROM couchapi_blobchunk GROUP BY blob_id"
    in_rows = dict(_rows(sizes))
    for blob, file, length in _rows("SELECT id, file, length FROM couchapi_blob"):
        path = folder / "attachments" / file[:2] / file
        has = (path.stat().st_size if path.exists() else -1) if file else in_rows.get(blob, 0)
        if has != length:
            raise Damaged("This backup does not have all attachments that it speaks of.")


def _begin_epochs() -> None:
    """Numbers that were handed out after the backup must not come back with other documents."""
    for number, text, seq in _rows("SELECT id, epochs, update_seq FROM couchapi_database"):
        epochs = json.dumps([*json.loads(text), [secrets.token_hex(4), seq + 1]])
        _execute("UPDATE couchapi_database SET epochs = %s WHERE id = %s", [epochs, number])


def _continue_numbers() -> None:
    here = set(connection.introspection.table_names())
    models = [one for one in apps.get_models(include_auto_created=True) if _is_here(one, here)]
    for statement in connection.ops.sequence_reset_sql(no_style(), models):
        _execute(statement)


def _is_here(model: Any, here: set[str]) -> bool:
    return model._meta.managed and model._meta.db_table in here


def wrong_contents() -> list[str]:
    """Return the attachments whose content is not what their digest says (one of SQLite)."""
    return sql.read_sync(_wrong_contents)


def _wrong_contents(sql: Sql) -> list[str]:
    wrong = []
    texts = sql.each_row("SELECT attachments FROM couchapi_revision WHERE attachments IS NOT NULL")
    for (text,) in texts:
        for name, one in orjson.loads(bytes(text)).items():
            kind, _, wanted = one["digest"].partition("-")
            if kind == "md5" and one["encoding"] is None and _md5(sql, one["blob"]) != wanted:
                wrong.append(name)
    return wrong


def _md5(sql: Sql, blob: int) -> str:
    from base64 import b64encode

    from couchapi.store import attachments

    found, digest, at = attachments.find(sql, blob), hashlib.md5(usedforsecurity=False), 0
    while piece := _piece(sql, found, at):
        digest.update(piece)
        at += len(piece)
    return b64encode(digest.digest()).decode()


def _piece(sql: Sql, blob: contents.Blob, at: int) -> bytes:
    if blob.file:
        return contents.of(blob).read(at, contents.AT_ONCE)
    return chunks.piece(sql, blob.id, at, contents.AT_ONCE) or b""


def sqlite_is_whole() -> bool:
    """Tell whether SQLite finds its own file in order."""
    return _rows("PRAGMA integrity_check") == [("ok",)]


def _execute(statement: str, params: Sequence[Any] = ()) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, params or None)


def _many(statement: str, rows: Iterable[Sequence[Any]]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)


def _rows(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def _kept(kind: str, value: Any) -> Any:
    is_time = kind == tables.TIME and value is not None
    return f"{value}+00:00" if is_time and connection.vendor != "sqlite" else value

"""Where the bytes of attachments are: in files beside SQLite, in rows of PostgreSQL.

Pages of an SQL database are a dear place for megabytes: in SQLite they cost more than TLS, MD5
and the disk together.  A file of the data folder costs a copy.  Hubs that share a PostgreSQL have
no folder in common, so there contents are rows.  Contents that are small enough to wait in memory
(`HELD`) are rows everywhere, written with their document: one fsync instead of three.

A content belongs to a blob, and the blob's row is always there first and goes last: there is
never a file that no row names, whenever a process dies.  A content is written once and never
changes, so a copy of the database with a later copy of the files is a whole backup.

Django's storages are not used: they take a whole file and ask it for its pieces, while ours come
from the network in their own time; and they return before the file and its folder are durable.

All of this blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import secrets
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from django.conf import settings

from couchapi.store.contents.files import Files
from couchapi.store.contents.rows import Rows

HELD = 64 * 1024
"""Bytes of the largest content that waits in memory and is written with its document."""


AT_ONCE = 512 * 1024
"""Bytes that are read or written in one go: enough to be worth the way to a thread and back."""


class Blob(NamedTuple):
    """A content's number, and the name of its file; without one it is in rows."""

    id: int
    file: str


class Contents(Protocol):
    """One content: written piece by piece, then finished, then read."""

    def append(self, position: int, piece: bytes) -> None:
        """Write `piece` at `position`, which is the end; raises StorageFull."""

    def finish(self) -> None:
        """Return once the content is durable; nothing is appended any more."""

    def read(self, start: int, at_most: int) -> bytes:
        """Return up to `at_most` bytes from `start`, none only at the end.

        Raises ContentMissing.
        """

    def remove(self) -> None:
        """Remove what is here, finished or not."""


def new_file(vendor: str) -> str:
    """Return the name of the file for a new blob in a database of this vendor, if it has one."""
    return secrets.token_hex(16) if vendor == "sqlite" else ""


def of(blob: Blob) -> Contents:
    """Return where the content of `blob` is."""
    if blob.file:
        return Files(settings.HUB_DATA / "attachments", blob.file)
    return Rows(blob.id)


def remove(blobs: Iterable[Blob]) -> None:
    """Remove contents that no revision names."""
    for blob in blobs:
        of(blob).remove()


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Keep the housekeeping from removing files for as long as a backup reads them."""
    with (settings.HUB_DATA / "attachments.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def removing() -> Iterator[bool]:
    """Tell whether contents may be removed now: not while somebody has them `kept`."""
    with (settings.HUB_DATA / "attachments.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True

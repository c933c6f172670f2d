"""A content as a file: `attachments/ab/ab…` in the data folder.

It is written as `ab….part` and gets its name when it is durable, so a file with a whole name is a
whole content.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from couchapi.core.errors import ContentMissing, StorageFull

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NEW_PART = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC


class Files:
    """The content in the file `name` below `folder` (`store/contents/__init__.py`)."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._shard = folder / name[:2]
        self._path = self._shard / name
        self._part = self._shard / f"{name}.part"

    def append(self, position: int, piece: bytes) -> None:
        """Write to the unfinished file."""
        with _refusing_when_full():
            part = self._open_part()
            try:
                _write(part, piece, position)
            finally:
                os.close(part)

    def finish(self) -> None:
        """Give the file its name, after its bytes are on the disk."""
        with _refusing_when_full():
            _sync(self._part)
            self._part.rename(self._path)
            _sync(self._shard)

    def read(self, start: int, at_most: int) -> bytes:
        """Read from the finished file."""
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ContentMissing from None
        try:
            return os.pread(file, at_most, start)
        finally:
            os.close(file)

    def remove(self) -> None:
        """Remove the file, unfinished or not."""
        for path in (self._part, self._path):
            path.unlink(missing_ok=True)

    def _open_part(self) -> int:
        try:
            return os.open(self._part, _NEW_PART, 0o600)
        except FileNotFoundError:
            for folder in (self._folder, self._shard):
                _make(folder)
            return os.open(self._part, _NEW_PART, 0o600)


def _make(folder: Path) -> None:
    """Make a folder that is still there after a power cut; another process may do the same."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    _sync(folder.parent)


def _write(file: int, piece: bytes, position: int) -> None:
    rest = memoryview(piece)
    while rest:  # A disk that is nearly full takes a part.
        written = os.pwrite(file, rest, position)
        rest, position = rest[written:], position + written


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextlib.contextmanager
def _refusing_when_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull from error
        raise

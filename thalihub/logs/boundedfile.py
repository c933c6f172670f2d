"""A log file that several processes write and that never grows beyond a bound.

Each line is one write at the end of the file, so lines of several processes do not mix.  Who finds
the file too large renames it, under a lock; the others see that the name has another file now.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LARGEST: Final = 2 * 1024**2
"""Bytes of one file; there are two."""


class BoundedFile(logging.Handler):
    """Writes to `path`, and keeps the file before as `path` with `.1`."""

    def __init__(self, path: Path, largest: int = LARGEST) -> None:
        super().__init__()
        self._path, self._largest = path, largest
        self._file: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; a disk that is full costs the line, not what was to be done."""
        try:
            line = self.format(record).encode("utf-8", "replace") + b"\n"
            file = self._opened()
            os.write(file, line)
            if os.fstat(file).st_size > self._largest:
                self._turn(file)
        except OSError:
            self._close()

    def _opened(self) -> int:
        if self._file is not None and not self._is_current(self._file):
            self._close()
        if self._file is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(self._path, flags, 0o600)
        return self._file

    def _is_current(self, file: int) -> bool:
        try:
            there, ours = self._path.stat(), os.fstat(file)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _turn(self, file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)  # Whoever comes second finds that it was done.
        if self._is_current(file):
            self._path.rename(before(self._path))
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def close(self) -> None:
        """Let go of the file."""
        self._close()
        super().close()


def before(path: Path) -> Path:
    """Return where the file before is."""
    return path.with_name(path.name + ".1")


def newest(path: Path, limit: int = LARGEST) -> Iterator[bytes]:
    """Yield lines from the newest back, up to `limit` bytes of each file."""
    for one in (path, before(path)):
        try:
            with one.open("rb") as file:
                file.seek(max(0, one.stat().st_size - limit))
                lines = file.read(limit).splitlines()
        except FileNotFoundError:
            continue
        yield from reversed(lines)

"""The room on the hub's disk: looked at once a second, and before each write when it gets scarce.

What a database on another machine has is not known here; it says itself when it is full.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Final

from django.conf import settings

from acl import sql
from couchapi.core import room
from couchapi.core.errors import StorageFull
from couchapi.core.room import Disk, Limits

_log = logging.getLogger(__name__)

_SECONDS: Final = 1.0
_NEAR: Final = 1024**3
_REASON: Final = (
    "The hub's disk is nearly full, so nothing more is written. Reading and deleting go on:"
    " make room on the page about storage, or on the disk."
)


class _Seen:
    """What this process saw last."""

    until = 0.0
    short = False


async def require(*, deleting: bool = False) -> None:
    """Raise StorageFull where too little is free to write; deleting may always be tried."""
    if time.monotonic() >= _Seen.until:
        disk = _note(_disk(await sql.point(_reusable)))
        if deleting and room.what_to_do(disk, limits(), _laid()) == "release":
            release()
    if _Seen.short and not deleting:
        raise StorageFull(_REASON)


def look() -> Disk:
    """Return what there is, now; not for an event loop."""
    return _note(_disk(sql.read_sync(_reusable)))


def limits() -> Limits:
    """Return what stays free."""
    return Limits(settings.HUB_FREE_PERCENT, settings.HUB_FREE_AT_MOST)


def keep_ballast() -> None:
    """Lay the ballast, or throw it overboard, as the room is."""
    disk = look()
    match room.what_to_do(disk, limits(), _laid()):
        case "lay":
            _lay(_path(), room.ballast(disk))
        case "release":
            release()


def release() -> None:
    """Remove the ballast, so that what makes room has some; for a disk that is full."""
    _Seen.until = 0.0
    try:
        _path().unlink()
    except FileNotFoundError:
        return
    _log.warning("The disk is full. The ballast was removed, so that deleting goes on.")


def _reusable(connection: sql.Sql) -> int:
    if connection.vendor != "sqlite":
        return 0
    row = connection.one(
        "SELECT f.freelist_count * s.page_size FROM pragma_freelist_count f, pragma_page_size s"
    )
    return int(row[0]) if row else 0


def _disk(reusable: int) -> Disk:
    found = os.statvfs(settings.HUB_DATA)
    free = found.f_bavail * found.f_frsize
    return Disk(found.f_blocks * found.f_frsize, max(0, free - _promised()), reusable)


def _promised() -> int:
    """Return the bytes that SQLite's file may still grow by what is in its log already."""
    try:
        return (settings.HUB_DATA / "hub.sqlite3-wal").stat().st_size
    except FileNotFoundError:
        return 0


def _note(disk: Disk) -> Disk:
    # Near the limit each write looks: a second is long enough to fill what is left.
    is_near = room.until_short(disk, limits()) < _NEAR
    _Seen.until = 0.0 if is_near else time.monotonic() + _SECONDS
    _Seen.short = room.is_short(disk, limits())
    return disk


def _path() -> Path:
    folder: Path = settings.HUB_DATA
    return folder / "ballast"


def _laid() -> int:
    try:
        return _path().stat().st_size
    except FileNotFoundError:
        return 0


def _lay(path: Path, size: int) -> None:
    try:
        # Noise, which no file system keeps in less room than it takes.
        path.write_bytes(os.urandom(size))
    except OSError as error:
        _log.warning("No ballast was laid: %s", error)
        path.unlink(missing_ok=True)

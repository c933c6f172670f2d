"""The room on the hub's disk: looked at once a second at most, whoever asks.

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
_REASON: Final = (
    "The hub's disk is nearly full, so nothing more is written. Reading and deleting go on:"
    " make room on the page about storage, or on the disk."
)


class _Seen:
    """What this process saw last."""

    until = 0.0
    short = False


async def require() -> None:
    """Raise StorageFull where too little is free to write; deleting does not ask."""
    if time.monotonic() >= _Seen.until:
        _note(_disk(await sql.point(_reusable)))
    if _Seen.short:
        raise StorageFull(_REASON)


def look() -> Disk:
    """Return what there is, now; not for an event loop."""
    return _note(_disk(sql.read_sync(_reusable)))


def limits() -> Limits:
    """Return what stays free."""
    return Limits(settings.HUB_FREE_PERCENT, settings.HUB_FREE_AT_MOST)


def keep_ballast() -> None:
    """Lay the ballast, or throw it overboard, as the room is."""
    disk, path = look(), _path()
    laid = path.stat().st_size if path.exists() else 0
    match room.what_to_do(disk, limits(), laid):
        case "lay":
            _lay(path, room.ballast(disk))
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
    return Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, reusable)


def _note(disk: Disk) -> Disk:
    _Seen.until = time.monotonic() + _SECONDS
    _Seen.short = room.is_short(disk, limits())
    return disk


def _path() -> Path:
    folder: Path = settings.HUB_DATA
    return folder / "ballast"


def _lay(path: Path, size: int) -> None:
    try:
        # Noise, which no file system keeps in less room than it takes.
        path.write_bytes(os.urandom(size))
    except OSError as error:
        _log.warning("No ballast was laid: %s", error)
        path.unlink(missing_ok=True)

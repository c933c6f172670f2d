"""How often the API has refused somebody: numbers only, in one small file that all processes share.

Only a refusal touches it: a lock and eight bytes, some microseconds.  For each reason there is a
number since the file was made, and one for each of the last 24 hours.  Who was refused, and what
they asked for, is kept nowhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import mmap
import os
import struct
import time
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

from django.conf import settings

_log = logging.getLogger(__name__)

_FILE: Final = "refused.counts"
_HOUR: Final = 3600
_HOURS: Final = 24
_NUMBER = struct.Struct("<Q")
_OF_AN_HOUR = struct.Struct("<QQ")
_BLOCK: Final = _NUMBER.size + _HOURS * _OF_AN_HOUR.size


class Why(IntEnum):
    """Why a request was refused; the value is the place in the file."""

    UNKNOWN = 0
    """401: nobody whom the hub knows."""
    FORBIDDEN = 1
    """403: somebody who may not do that."""
    TLS = 2
    """No connection came about, so nothing was asked."""


BY_STATUS: Final = {401: Why.UNKNOWN, 403: Why.FORBIDDEN}


class Count(NamedTuple):
    """How often there was one reason."""

    ever: int
    within_a_day: int


class _Open:
    """The file as this process has it."""

    path: Path | None = None
    file: mmap.mmap
    descriptor: int


def count(why: Why) -> None:
    """Count one refusal; a file that cannot be written hinders nobody."""
    try:
        with _locked(fcntl.LOCK_EX) as file:
            _add(file, why, int(time.time()) // _HOUR)
    except (OSError, ValueError):
        _log.debug("A refusal was not counted.", exc_info=True)


def look(now: float) -> dict[Why, Count]:
    """Return how often there was each reason; `now` in Unix seconds."""
    if not (settings.HUB_DATA / _FILE).exists():
        return dict.fromkeys(Why, Count(0, 0))
    with _locked(fcntl.LOCK_SH) as file:
        return {why: _counted(file, why, int(now) // _HOUR) for why in Why}


def _add(file: mmap.mmap, why: Why, hour: int) -> None:
    begin = why * _BLOCK
    _NUMBER.pack_into(file, begin, _NUMBER.unpack_from(file, begin)[0] + 1)
    place = _place(why, hour)
    at, number = _OF_AN_HOUR.unpack_from(file, place)
    _OF_AN_HOUR.pack_into(file, place, hour, number + 1 if at == hour else 1)


def _counted(file: mmap.mmap, why: Why, now: int) -> Count:
    found = (_OF_AN_HOUR.unpack_from(file, _place(why, hour)) for hour in range(_HOURS))
    recent = sum(number for hour, number in found if now - _HOURS < hour <= now)
    return Count(_NUMBER.unpack_from(file, why * _BLOCK)[0], recent)


def _place(why: Why, hour: int) -> int:
    return why * _BLOCK + _NUMBER.size + hour % _HOURS * _OF_AN_HOUR.size


@contextlib.contextmanager
def _locked(kind: int) -> Iterator[mmap.mmap]:
    path = settings.HUB_DATA / _FILE
    if _Open.path != path:
        _open(path)
    fcntl.lockf(_Open.descriptor, kind)  # Not flock, whose locks a fork shares.
    try:
        yield _Open.file
    finally:
        fcntl.lockf(_Open.descriptor, fcntl.LOCK_UN)


def _open(path: Path) -> None:
    if _Open.path is not None:
        _Open.path = None
        _Open.file.close()
        os.close(_Open.descriptor)
    size = len(Why) * _BLOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if os.fstat(descriptor).st_size < size:
        os.posix_fallocate(descriptor, 0, size)  # A hole would end the process on a full disk.
    _Open.file = mmap.mmap(descriptor, size)
    _Open.descriptor, _Open.path = descriptor, path

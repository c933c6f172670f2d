"""Room on the disk: when writing ends, and when the ballast goes overboard.

A disk that is full stops more than writing: deleting and compacting need some room themselves, and
so does everything else on the machine.  So writing ends while there is still some, and a file that
holds nothing, the ballast, keeps a last piece that no other program can take: it is removed when
the disk is full in spite of all, and laid again when there is room.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

_BALLAST: Final = 32 * 1024**2


class Disk(NamedTuple):
    """A file system, in bytes."""

    total: int
    free: int
    """What the file system has left for us."""
    reusable: int = 0
    """What the database's own file has left inside: writing goes there first."""


class Limits(NamedTuple):
    """What stays free: so many per cent of the file system, and no more bytes than this."""

    percent: float
    at_most: int


def kept_free(disk: Disk, limits: Limits) -> int:
    """Return how many bytes stay free."""
    return min(int(disk.total * limits.percent / 100), limits.at_most)


def is_short(disk: Disk, limits: Limits) -> bool:
    """Tell whether writing ends."""
    return disk.free + disk.reusable < kept_free(disk, limits)


def until_short(disk: Disk, limits: Limits) -> int:
    """Return how many bytes may still be written; none once writing has ended."""
    return max(0, disk.free + disk.reusable - kept_free(disk, limits))


def ballast(disk: Disk) -> int:
    """Return the bytes of the ballast: a hundredth of a small disk, little of a large one."""
    return min(_BALLAST, disk.total // 100)


def what_to_do(disk: Disk, limits: Limits, laid: int) -> Literal["lay", "release", ""]:
    """Return what is to become of the ballast, of which `laid` bytes lie there."""
    size = ballast(disk)
    if laid and disk.free < size // 2:
        return "release"
    if laid < size and disk.free > kept_free(disk, limits) + 2 * size:
        return "lay"
    return ""

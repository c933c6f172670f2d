"""When writing ends for want of room, and what becomes of the ballast."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core import room
from couchapi.core.room import Disk, Limits

MIB = 1024**2
GIB = 1024**3
LIMITS = Limits(5, 5 * GIB)

disks = st.integers(1, 2**50).flatmap(
    lambda total: st.builds(Disk, st.just(total), st.integers(0, total), st.integers(0, total // 4))
)


@pytest.mark.parametrize(
    ("disk", "short"),
    [
        (Disk(100 * MIB, 6 * MIB), False),
        (Disk(100 * MIB, 4 * MIB), True),
        (Disk(100 * MIB, 4 * MIB, reusable=2 * MIB), False),
        (Disk(4000 * GIB, 6 * GIB), False),
        (Disk(4000 * GIB, 4 * GIB), True),
    ],
    ids=["room", "none", "room inside", "large disk", "large disk, full"],
)
def test_writing_ends_at_the_limit(disk: Disk, short: bool) -> None:
    assert room.is_short(disk, LIMITS) is short


@given(disks)
def test_what_may_be_written_is_what_leads_to_the_limit(disk: Disk) -> None:
    left = room.until_short(disk, LIMITS)
    if room.is_short(disk, LIMITS):
        assert left == 0
        return
    from_inside = min(left, disk.reusable)
    full = disk._replace(
        reusable=disk.reusable - from_inside, free=disk.free - (left - from_inside)
    )
    assert not room.is_short(full, LIMITS)
    assert room.until_short(full, LIMITS) == 0


@given(disks)
def test_the_ballast_is_a_hundredth_at_most_and_small(disk: Disk) -> None:
    assert room.ballast(disk) <= min(32 * MIB, disk.total / 100)


@given(disks)
def test_the_ballast_is_not_laid_and_released_in_turns(disk: Disk) -> None:
    if room.what_to_do(disk, LIMITS, 0) == "lay":
        after = disk._replace(free=disk.free - room.ballast(disk))
        assert room.what_to_do(after, LIMITS, room.ballast(disk)) == ""
        assert not room.is_short(after, LIMITS)
    if room.what_to_do(disk, LIMITS, room.ballast(disk)) == "release":
        after = disk._replace(free=disk.free + room.ballast(disk))
        assert room.what_to_do(after, LIMITS, 0) != "release"


def test_a_full_disk_releases_it() -> None:
    assert room.what_to_do(Disk(10 * GIB, 0), LIMITS, 32 * MIB) == "release"
    assert room.what_to_do(Disk(10 * GIB, 0), LIMITS, 0) == ""
    assert room.what_to_do(Disk(10 * GIB, GIB), LIMITS, 32 * MIB) == ""
    assert room.what_to_do(Disk(10 * GIB, GIB), LIMITS, 0) == "lay"

"""Limits of bytes a second: buckets that fill with time, and what each run gets of the whole.

A bucket may be taken below zero: what was sent has been sent, and the next has to wait until that
is made up for.  So large pieces pass, and in the long run nothing exceeds the limit.  Clocks are
in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

LONGEST_BURST: Final = 0.25
"""Seconds of the limit that may go at once."""
SMALLEST: Final = 1024
"""A limit below this is none that anything comes through."""
LARGEST: Final = 2**40
UNLIMITED: Final = 0.0


class Bucket(NamedTuple):
    """`rate` in bytes a second, 0 without a limit; `level` is what may go at the time `at`."""

    rate: float
    level: float = 0.0
    at: float = 0.0


def take(bucket: Bucket, size: int, now: float) -> tuple[Bucket, float]:
    """Take `size` bytes out; return the bucket, and the seconds to wait before going on."""
    if not bucket.rate:
        return bucket._replace(level=0.0, at=now), 0.0
    level = filled(bucket, now).level - size
    return Bucket(bucket.rate, level, now), max(0.0, -level / bucket.rate)


def filled(bucket: Bucket, now: float) -> Bucket:
    """Return the bucket as it is at `now`; a clock that goes back fills nothing."""
    more = max(0.0, now - bucket.at) * bucket.rate
    return Bucket(bucket.rate, min(bucket.rate * LONGEST_BURST, bucket.level + more), now)


def changed(bucket: Bucket, rate: float, now: float) -> Bucket:
    """Give a bucket another rate; what is owed is waited for at the new one."""
    if rate == bucket.rate:
        return bucket
    level = filled(bucket, now).level if bucket.rate else 0.0
    return Bucket(rate, min(level, rate * LONGEST_BURST), now)


def allot(total: float, limits: Mapping[int, float]) -> dict[int, float]:
    """Return what each run may use of `total`, its own limit considered; 0 means no limit.

    Who needs less leaves the rest to the others: the smallest limits are served first, and what
    is left is divided evenly.
    """
    if not total:
        return dict(limits)
    shares, left = dict[int, float](), total
    ordered = sorted(limits, key=lambda number: (limits[number] or float("inf"), number))
    for place, number in enumerate(ordered):
        even = left / (len(ordered) - place)
        shares[number] = min(even, limits[number] or even)
        left -= shares[number]
    return shares

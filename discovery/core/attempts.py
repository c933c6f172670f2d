"""How often a comparison may fail: three times in ten minutes, ten times a day.

Each comparison gives somebody in the middle one chance in a million.  The locks keep those chances
at one in a hundred thousand a day (design/pairing.md, "Rules").
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final

IN_A_ROW: Final = 3
A_DAY: Final = 10
SHORT: Final = datetime.timedelta(minutes=10)
DAY: Final = datetime.timedelta(days=1)
REMEMBERED: Final = datetime.timedelta(days=30)


def locked_until(
    failures: Sequence[datetime.datetime], now: datetime.datetime
) -> datetime.datetime | None:
    """Return when the next comparison may begin; None: now."""
    ends = [end for end in (_by_row(sorted(failures)), _by_day(failures, now)) if end]
    until = max(ends, default=now)
    return until if until > now else None


def _by_row(failures: Sequence[datetime.datetime]) -> datetime.datetime | None:
    """Return the end of the last lock; each one of a series is twice as long as the one before."""
    until, length, row = None, SHORT, list[datetime.datetime]()
    for at in failures:
        if until is not None and at - until > DAY:
            length = SHORT
        row = [*(one for one in row if at - one < SHORT), at]
        if len(row) == IN_A_ROW:
            until, length, row = at + length, min(2 * length, DAY), []
    return until


def _by_day(
    failures: Sequence[datetime.datetime], now: datetime.datetime
) -> datetime.datetime | None:
    of_today = sorted(at for at in failures if now - at < DAY)
    return of_today[-A_DAY] + DAY if len(of_today) >= A_DAY else None

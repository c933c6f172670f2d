"""Windows: when a hub can be reached, and when a job runs; the two ends know it without asking.

A person writes "Mon-Fri 18:00-20:00; 2026-12-24T10:00/2026-12-24T12:00" in their own time.  Kept
and published is UTC: minutes of the week from Monday 00:00, and Unix seconds.  So summer time moves
a window for those who look at it, and for nobody else: both hubs always mean the same moment.

No windows at all means always.
"""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from discovery.core.errors import BadWindows

DAY: Final = 1440
WEEK: Final = 7 * DAY
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LONGEST_TEXT: Final = 400
MOST: Final = 100
_MONDAY: Final = 4 * 86_400
"""Unix seconds of the first Monday; the clock of Unix began on a Thursday."""
_YEAR: Final = 366 * 86_400.0
_LATEST: Final = 100 * 366 * 86_400
_TIMES = re.compile(r"(\d{1,2}):(\d{2})\s*[-–]\s*(\d{1,2}):(\d{2})", re.ASCII)
_ALL_DAYS = ("daily", "always", "")


@dataclass(frozen=True)
class Windows:
    """When something is open; without any window always."""

    weekly: tuple[tuple[int, int], ...] = ()
    """(first minute of the week, minutes that it lasts), sorted."""
    spans: tuple[tuple[int, int], ...] = ()
    """(from, to) in Unix seconds, sorted."""

    def __bool__(self) -> bool:
        return bool(self.weekly or self.spans)


ALWAYS: Final = Windows()


def is_open(windows: Windows, now: float) -> bool:
    """Tell whether it is open at `now`, in Unix seconds."""
    return not windows or any(begin <= now < end for begin, end in _around(windows, now))


def next_opening(windows: Windows, now: float) -> float | None:
    """Return the first moment from `now` on when it is open; None: never again."""
    if is_open(windows, now):
        return now
    return min((begin for begin, _ in _around(windows, now) if begin > now), default=None)


def closing(windows: Windows, now: float) -> float | None:
    """Return when it closes that is open at `now`; None: never, as far as the next week tells."""
    at = now
    around = sorted(_around(windows, now))
    for begin, end in around:
        if begin <= at < end:
            at = end
    return None if not windows or at >= now + WEEK * 60 else at


def _around(windows: Windows, now: float) -> Iterator[tuple[float, float]]:
    """Give all windows from a week before `now` until two weeks after, in Unix seconds."""
    yield from windows.spans
    monday = _MONDAY + (now - _MONDAY) // (WEEK * 60) * (WEEK * 60)
    for week in (-1, 0, 1, 2):
        for start, minutes in windows.weekly:
            begin = monday + (week * WEEK + start) * 60
            yield begin, begin + minutes * 60


def common_opening(several: Sequence[Windows], now: float) -> float | None:
    """Return the first moment from `now` on when all of these are open; None: never, or too late.

    After a year of openings that miss each other nobody looks on.
    """
    at = now
    while at < now + _YEAR:
        openings = [next_opening(one, at) for one in several]
        known = [one for one in openings if one is not None]
        if len(known) < len(openings):
            return None
        latest = max(known, default=at)
        if latest == at:
            return at
        at = latest
    return None


def either(several: Iterable[Windows]) -> Windows:
    """Return windows that are open when any of these is."""
    held = list(several)
    if not all(held):
        return ALWAYS
    return _made(
        (one for windows in held for one in windows.weekly),
        (one for windows in held for one in windows.spans),
    )


# -- as text ---------------------------------------------------------------------------------------


def parse(text: str, offset: int = 0) -> Windows:
    """Return the windows of a text, `offset` minutes ahead of UTC; raises BadWindows.

    Between semicolons stand `Mon-Fri 18:00-20:00`, `Sat,Sun 09:00-12:00`, `22:00-02:00` for every
    day, or from–to as `2026-12-24T10:00/2026-12-24T12:00`.  Nothing, or `always`: no windows.
    """
    if len(text) > LONGEST_TEXT:
        raise BadWindows
    weekly, spans = list[tuple[int, int]](), list[tuple[int, int]]()
    for part in filter(None, (one.strip() for one in text.split(";"))):
        if "/" in part:
            spans.append(_span(part, offset))
        elif part.lower() not in ("always", "none"):
            weekly += _weekly(part, offset)
    return _made(weekly, spans)


def published(text: str) -> Windows:
    """Return the windows that somebody else has published; what cannot be read is always open."""
    try:
        return parse(text)
    except BadWindows:
        return ALWAYS


def _made(weekly: Iterable[tuple[int, int]], spans: Iterable[tuple[int, int]]) -> Windows:
    windows = Windows(tuple(sorted(set(weekly))), tuple(sorted(set(spans))))
    if len(windows.weekly) + len(windows.spans) > MOST:
        raise BadWindows
    return windows


def _weekly(part: str, offset: int) -> Iterator[tuple[int, int]]:
    found = _TIMES.search(part)
    if found is None or found.end() != len(part):
        raise BadWindows
    hours = [int(one) for one in found.groups()]
    begin, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if max(begin, end) > DAY or begin == DAY or max(hours[1], hours[3]) > 59:
        raise BadWindows
    for day in _days(part[: found.start()].strip().lower()):
        yield (day * DAY + begin - offset) % WEEK, (end - begin) % DAY or DAY


def _days(text: str) -> Iterator[int]:
    if text in _ALL_DAYS:
        yield from range(7)
        return
    for part in text.split(","):
        first, dash, last = (one.strip() for one in part.replace("–", "-").partition("-"))
        begin = _day(first)
        end = _day(last) if dash else begin
        yield from ((begin + more) % 7 for more in range((end - begin) % 7 + 1))


def _day(text: str) -> int:
    names = [day.lower() for day in DAYS]
    if text[:3] not in names or not text.isascii():
        raise BadWindows
    return names.index(text[:3])


def _span(part: str, offset: int) -> tuple[int, int]:
    begin, _, end = part.partition("/")
    span = _moment(begin.strip(), offset), _moment(end.strip(), offset)
    if span[0] >= span[1]:
        raise BadWindows
    return span


def _moment(text: str, offset: int) -> int:
    try:
        at = datetime.datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=datetime.timezone(datetime.timedelta(minutes=offset)))
        seconds = int(at.timestamp()) // 60 * 60
    except (ValueError, OverflowError) as error:
        raise BadWindows from error
    if not 0 <= seconds < _LATEST:
        raise BadWindows
    return seconds


def text(windows: Windows, offset: int = 0) -> str:
    """Return windows as `parse` reads them, in times that are `offset` minutes ahead of UTC."""
    same = defaultdict[tuple[int, int], list[int]](list)
    for start, minutes in windows.weekly:
        day, begin = divmod((start + offset) % WEEK, DAY)
        same[begin, minutes].append(day)
    parts = [f"{_days_text(sorted(days))}{_times(*one)}" for one, days in sorted(same.items())]
    parts += [f"{_iso(begin, offset)}/{_iso(end, offset)}" for begin, end in windows.spans]
    return "; ".join(parts)


def _days_text(days: list[int]) -> str:
    if len(days) == 7:
        return ""
    runs = list[list[int]]()
    for day in days:
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(_run_text(run) for run in runs) + " "


def _run_text(run: list[int]) -> str:
    if len(run) < 3:
        return ",".join(DAYS[day] for day in run)
    return f"{DAYS[run[0]]}-{DAYS[run[-1]]}"


def _times(begin: int, minutes: int) -> str:
    end = begin + minutes
    return f"{_clock(begin)}-{_clock(end if end == DAY else end % DAY)}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _iso(seconds: int, offset: int) -> str:
    at = datetime.datetime.fromtimestamp(seconds, datetime.UTC) + datetime.timedelta(minutes=offset)
    return at.replace(tzinfo=None).isoformat(timespec="minutes")

"""How far the clocks of two hubs are apart: told by the date of an answer (RFC 9110, 6.6.1).

An answer is on its way for some seconds, over Tor for many, so nothing below two minutes counts.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final

_WORTH_SAYING: Final = 120


def ahead(date: str | None, now: float) -> int:
    """Return by how many seconds the other clock is ahead; 0 for what is not worth saying.

    `now` is in Unix seconds.  A date that nobody can read says nothing.
    """
    try:
        seconds = parsedate_to_datetime(date or "").timestamp() - now
    except (ValueError, OverflowError):
        return 0
    return round(seconds) if abs(seconds) >= _WORTH_SAYING else 0

"""When a child that died is started again: soon at first, then ever later.  Pure."""

from __future__ import annotations

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0
HEALTHY_SECONDS = 60.0


def next_delay(previous: float | None, lived: float) -> float:
    """Return how long to wait before starting a child that lived for `lived` seconds.

    `previous` is the delay before that life, None for the first.  It doubles each time; a child
    that was healthy for a minute begins anew.
    """
    if previous is None or lived >= HEALTHY_SECONDS:
        return FIRST_SECONDS
    return min(previous * 2, LONGEST_SECONDS)

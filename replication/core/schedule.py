"""When a link is tried again, and which of those that are due go first.

Times are Unix seconds.  Jitter is an argument: a number from 0 to 1 that the caller drew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

FIRST_PAUSE: Final = 30.0
LONGEST_PAUSE: Final = 8 * 3600.0
HEALTHY: Final = 120.0
"""Who ran this long before failing has not failed before."""

LEASE: Final = 30.0
"""How long a worker holds a link without renewing."""
RENEWAL: Final = 8.0
SLICE: Final = 60.0
"""How long a run works before it lets others."""
SAFETY: Final = 3600.0
"""However quiet it is, a continuous link looks so often."""
GRACE: Final = 5.0
"""How long a device of the owner has to fetch a change before it is sent there."""
NEVER: Final = 1e15

AT_ONCE: Final = 8
AT_ONCE_WITH_ONE_PEER: Final = 3


class Due(NamedTuple):
    """A link that may run; `rank` is its job's priority, 0 first."""

    number: int
    peer: str
    rank: int
    due_at: float


def pause(failures: int, jitter: float) -> float:
    """Return the seconds until the next try after `failures` in a row: 30 s doubling to 8 h."""
    if failures <= 0:
        return 0.0
    # Not more than that many doublings matter.
    usual = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 20))
    return usual * (0.75 + 0.5 * jitter)


def failures_now(before: int, lasted: float) -> int:
    """Return how many failures in a row it is after one more, of a run of `lasted` seconds."""
    return 1 if lasted >= HEALTHY else before + 1


def choose(due: Iterable[Due], running: Mapping[str, int], free: int) -> list[int]:
    """Return the links to run now, at most `free`.

    Priority goes first; then the peer with whom least is running, so that one peer's hundred
    databases do not keep another's one waiting; then who has waited longest.
    """
    waiting, busy, chosen = list(due), Counter(running), list[int]()
    while len(chosen) < free:
        able = [one for one in waiting if busy[one.peer] < AT_ONCE_WITH_ONE_PEER]
        if not able:
            break
        best = min(able, key=lambda one: (one.rank, busy[one.peer], one.due_at, one.number))
        waiting.remove(best)
        busy[best.peer] += 1
        chosen.append(best.number)
    return chosen

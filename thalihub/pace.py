"""How fast something comes nearer to its end, from what is seen of it now and then."""

from __future__ import annotations

from typing import NamedTuple

_FORGET_SECONDS = 60.0
_SHORTEST = 2.0


class Progress(NamedTuple):
    """How much is done of what there was; `rate` in changes a second, 0 while nobody knows."""

    done: int
    total: int
    rate: int


class _Seen(NamedTuple):
    since: float
    at: float
    total: int


class Pace:
    """What was seen of each run, by the number of its link; clocks are in seconds."""

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}

    def saw(self, link: int, behind: int, now: float) -> Progress:
        """Take how many changes are still to come, and say how it goes on."""
        seen = self._seen.get(link)
        # More than before, or after a pause: what was seen last was of another run.
        if seen is None or behind > seen.total or now - seen.at > _FORGET_SECONDS:
            seen = _Seen(now, now, behind)
        self._seen[link] = seen._replace(at=now)
        seconds, done = now - seen.since, seen.total - behind
        rate = round(done / seconds) if seconds >= _SHORTEST else 0
        return Progress(done, seen.total, rate)

    def ended(self, link: int) -> None:
        """Forget a run."""
        self._seen.pop(link, None)

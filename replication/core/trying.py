"""In which order the addresses of a principal are tried: who has answered lately goes first.

A principal may have several hubs, and each several addresses.  The hub with the higher priority
goes first, and of its addresses the nearest one; but what has failed lately stands behind what has
not, for longer each time, and a hub outside its hours is tried where there is no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from discovery.core import addresses as kinds
from discovery.core.addresses import Address

FIRST_REST: Final = 30.0
LONGEST_REST: Final = 3600.0


class Known(NamedTuple):
    """An address, and what is known of it; times are Unix seconds."""

    address: Address
    priority: int = 0
    """Of its hub; the higher goes first."""
    is_open: bool = True
    """Whether its hub can be reached at this hour."""
    last_success: float | None = None
    last_failure: float | None = None
    failures: int = 0
    """In a row."""


def rests(one: Known, now: float) -> bool:
    """Tell whether an address has failed so lately that others are tried before it."""
    if not one.failures or one.last_failure is None:
        return False
    rest = min(LONGEST_REST, FIRST_REST * 2.0 ** min(one.failures - 1, 10))
    return now < one.last_failure + rest


def ranked(known: Iterable[Known], now: float) -> list[Address]:
    """Return the addresses in the order in which they are to be tried, each once."""
    held = list(known)
    able = [one for one in held if one.is_open] or held
    near = [one.kind for one in kinds.nearest_first(_all(able))]

    def rank(one: Known) -> tuple[bool, int, int, float]:
        return (
            rests(one, now),
            -one.priority,
            near.index(one.address.kind),
            -(one.last_success or 0.0),
        )

    return list(dict.fromkeys(_all(sorted(able, key=rank))))


def _all(known: Iterable[Known]) -> list[Address]:
    return [one.address for one in known]

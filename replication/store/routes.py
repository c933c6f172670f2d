"""How it went at each address of a hub: when it last answered there, and when it did not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from acl.sql import Sql

_FORGOTTEN_AFTER: Final = 30 * 86_400.0
_ENOUGH: Final = 60.0
"""Seconds after which a success is written down again."""


class Route(NamedTuple):
    """What is known of an address; times are Unix seconds."""

    address: str
    last_success: float | None
    last_failure: float | None
    failures: int
    """In a row."""


def of_hub(sql: Sql, key: str) -> dict[str, Route]:
    """Return what is known of the addresses of a hub."""
    rows = sql.all(
        "SELECT address, last_success, last_failure, failures FROM replication_route"
        " WHERE key = %s",
        (key,),
    )
    return {row[0]: Route(*row) for row in rows}


def is_news(known: Mapping[str, Route], outcomes: Mapping[str, bool], now: float) -> bool:
    """Tell whether these outcomes are worth a write."""
    return any(
        not answered or _is_old(known.get(address), now) for address, answered in outcomes.items()
    )


def _is_old(route: Route | None, now: float) -> bool:
    return route is None or route.failures > 0 or (route.last_success or 0.0) < now - _ENOUGH


def note(sql: Sql, key: str, outcomes: Mapping[str, bool], now: float) -> None:
    """Write down which addresses have answered, and which have not."""
    for address, answered in outcomes.items():
        sql.execute(
            "INSERT INTO replication_route (key, address, failures) VALUES (%s, %s, 0)"
            " ON CONFLICT (key, address) DO NOTHING",
            (key, address),
        )
        if answered:
            change = "last_success = %s, failures = 0"
        else:
            change = "last_failure = %s, failures = failures + 1"
        sql.execute(
            f"UPDATE replication_route SET {change} WHERE key = %s AND address = %s",
            (now, key, address),
        )
    old = now - _FORGOTTEN_AFTER
    sql.execute(
        "DELETE FROM replication_route WHERE coalesce(last_success, 0) < %s"
        " AND coalesce(last_failure, 0) < %s",
        (old, old),
    )

"""What this hub says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from discovery.models import Me

_ONLY = 1


def me() -> Me:
    """Return this hub's row, made if there is none."""
    row, _made = Me.objects.get_or_create(pk=_ONLY)
    return row


def set_me(
    name: str | None = None,
    addresses: Sequence[str] | None = None,
    hub: str | None = None,
    beacon: Mapping[str, Any] | None = None,
    windows: str | None = None,
) -> None:
    """Set the person's name, this hub's addresses (`host:port`), its name, its notification key,
    when it can be reached (a text of `discovery.core.windows` in UTC): those that are given.
    """
    given = {
        "name": name,
        "addresses": addresses and [*addresses],
        "hub": hub,
        "beacon": beacon and dict(beacon),
        "windows": windows,
    }
    me()
    Me.objects.filter(pk=_ONLY).update(
        **{field: value for field, value in given.items() if value is not None}
    )


def set_card(card: Mapping[str, Any]) -> None:
    """Keep this person's own card as it was signed."""
    me()
    Me.objects.filter(pk=_ONLY).update(card=dict(card))

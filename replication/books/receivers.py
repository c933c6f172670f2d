"""News of discovery: whoever becomes a friend may read the card and write to the inbox."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from acl import store
from acl.core.errors import RefusedError
from discovery.signals import principal_paired
from replication.books.names import FRIENDS


@receiver(principal_paired)
def befriend(name: str, purpose: str, **_: Any) -> None:
    """Put a new friend into the group of friends, if the owner has kept it."""
    if purpose != "friend":
        return
    try:
        store.add_member(FRIENDS, name)
    except RefusedError:
        return

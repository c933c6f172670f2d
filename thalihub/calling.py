"""What this hub is called by the owner's other devices."""

from __future__ import annotations

import platform

from asgiref.sync import sync_to_async
from django.conf import settings

from acl import identity
from acl.store import Own
from thalihub import store


async def own_names() -> Own:
    """Return this hub's keys and its name: what its owner calls it, else its machine's."""
    ours = identity.load(settings.HUB_DATA)
    row = await sync_to_async(store.hub)()
    return Own(ours.device_key, ours.owner_key, row.name or platform.node() or "hub")

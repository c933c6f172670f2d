"""News of the apps below, where the whole has to do something about it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.dispatch import receiver

from acl.core.keys import PREFIX
from discovery.signals import identity_adopted
from thalihub import datafolder


@receiver(identity_adopted)
def note_identity(key: str, **_: Any) -> None:
    """Say in hub.json, if the hub runs, whose it is from now on."""
    if facts := datafolder.facts_of(settings.HUB_DATA):
        datafolder.announce(settings.HUB_DATA, {**facts, "key": PREFIX + key})

"""News of the apps below, where the whole has to do something about it."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.dispatch import receiver

from acl.core.keys import PREFIX
from discovery.signals import identity_adopted
from thalihub import datafolder


@receiver(identity_adopted)
def note_identity(key: str, **_: Any) -> None:
    """Say in hub.json, if the hub runs, whose it is from now on."""
    try:
        facts = json.loads((settings.HUB_DATA / "hub.json").read_text())
    except FileNotFoundError:
        return
    datafolder.announce(settings.HUB_DATA, {**facts, "key": PREFIX + key})

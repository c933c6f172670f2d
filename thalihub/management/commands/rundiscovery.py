"""`manage.py rundiscovery`: finds hubs nearby, as the hub's own process does."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from thalihub.processes import nearbyprocess


class Command(BaseCommand):
    """Find hubs nearby until SIGTERM."""

    help = "Find hubs nearby until SIGTERM. `manage.py hub` does that by itself where it is on."

    def handle(self, *args: Any, **options: Any) -> None:
        """Be that process, for the hub that runs on this data folder."""
        try:
            facts = json.loads((settings.HUB_DATA / "hub.json").read_text())
        except FileNotFoundError:
            raise CommandError("No hub runs on this data folder. Start it: manage.py hub") from None
        nearbyprocess.main(facts["api_port"])

"""`manage.py setup-link`: a fresh link to set up a hub that has no owner yet."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from acl import store as acl_store
from acl.core.errors import HubError
from thalihub import datafolder, setup
from thalihub.frontend import binding


class Command(BaseCommand):
    """Print a set-up link."""

    help = "Print a fresh single-use link for setting up this hub, while it has no owner."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the link for the hub that runs, else for the one that settings describe."""
        if not acl_store.is_set_up():
            raise CommandError("Start the hub once first: make hub")
        try:
            acl_store.check_tables()
            url = setup.make_link(_pages(), timezone.now())
        except HubError as error:
            raise CommandError(error.reason) from None
        self.stdout.write(setup.told(url))


def _pages() -> str:
    port: int = datafolder.facts_of(settings.HUB_DATA).get("pages_port", settings.HUB_PAGES_PORT)
    return f"https://{binding.reachable(settings.HUB_PAGES_HOST)}:{port}/"

"""The page that says how the hub is, live; and the health check of the pages' port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from channels.db import database_sync_to_async as in_database
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from thalihub import doctor
from thalihub.doctor import Light
from thalihub.pages import page
from thalihub.pages.live import LivePart

_OF_SERVING = ("frontend", "worker", "database")
"""What has to work for the hub to be of use; a container that lacks it is to be started anew."""


class Line(NamedTuple):
    """A finding as the page shows it."""

    label: str
    light: str
    word: str
    said: str
    to_do: str
    url: str


@admin.site.admin_view
def status(request: HttpRequest) -> HttpResponse:
    """Show how everything is."""
    return page.shown(request, "hub/status.html", _("Status"))


def health(request: HttpRequest) -> JsonResponse:
    """Tell whoever asks whether the hub works, and nothing else: 503 when it does not."""
    found = [one for one in doctor.examine(_OF_SERVING) if one.light == Light.RED]
    said = {"status": "failing" if found else "ok"}
    return JsonResponse(said, status=503 if found else 200)


class LiveStatus(LivePart):
    """All concerns."""

    template = "hub/live/status.html"

    async def context(self) -> dict[str, Any]:
        """Look at everything."""
        return {"lines": await in_database(lines)()}


def lines() -> Sequence[Line]:
    """Return the findings, the worst first."""
    order = (Light.RED, Light.AMBER, Light.GREEN, Light.OFF)
    words = {
        Light.RED: _("Does not work"),
        Light.AMBER: _("Needs a look"),
        Light.GREEN: _("Good"),
        Light.OFF: _("Off"),
    }
    return [
        Line(
            one.label,
            one.light,
            words[one.light],
            one.said,
            one.to_do,
            reverse(one.page) if one.page else "",
        )
        for one in sorted(doctor.examine(), key=lambda one: order.index(one.light))
    ]

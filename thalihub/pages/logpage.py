"""The page of the log, live and by level; and the support bundle."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from channels.db import database_sync_to_async as in_database
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from thalihub.logs import FILE, bundle
from thalihub.logs.boundedfile import newest
from thalihub.pages import page
from thalihub.pages.live import LivePart

LEVELS = ("all", "warning", "error")
_SHOWN = 200
_READ = 256 * 1024
_FROM = {"warning": {"warning", "error", "critical"}, "error": {"error", "critical"}}


class Line(NamedTuple):
    """One line of the log."""

    at: str
    level: str
    logger: str
    event: str
    request: str
    exception: str


@admin.site.admin_view
def log(request: HttpRequest) -> HttpResponse:
    """Show the newest lines."""
    return page.shown(request, "hub/log.html", _("Log"), chosen=_level(request.GET.get("level")))


@admin.site.admin_view
@require_POST
def support(request: HttpRequest) -> HttpResponse:
    """Send the support bundle."""
    now = time.time()
    name = f"hub-support-{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}.zip"
    response = HttpResponse(bundle.made(now), content_type="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


class LiveLog(LivePart):
    """The newest lines of the level that the page's address names."""

    template = "hub/live/log.html"

    async def context(self) -> dict[str, Any]:
        """Read the end of the file."""
        query = parse_qs(self.scope["query_string"].decode("latin-1"))
        level = _level(query.get("level", [""])[0])
        return {"lines": await in_database(lines)(level)}


def lines(level: str) -> Sequence[Line]:
    """Return the newest lines first."""
    wanted = _FROM.get(level)
    return list(islice((one for one in _read() if not wanted or one.level in wanted), _SHOWN))


def _read() -> Iterator[Line]:
    for line in newest(settings.HUB_DATA / "logs" / FILE, _READ):
        try:
            said = json.loads(line)
            at = str(said["timestamp"])[:19].replace("T", " ")
            more = str(said.get("request", "")), str(said.get("exception", ""))
            yield Line(at, said["level"], said["logger"], said["event"], *more)
        except (ValueError, KeyError, TypeError):
            continue  # The beginning was cut off.


def _level(given: str | None) -> str:
    return given if given in LEVELS else LEVELS[0]

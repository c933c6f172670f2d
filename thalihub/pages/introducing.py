"""The page where a group's file is opened: whose cards they are, and whom the owner picks."""

from __future__ import annotations

from typing import Any, NamedTuple

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from acl import store as people
from acl.core.errors import HubError
from acl.core.keys import key_text
from discovery import pairing
from discovery.core import card as cards
from discovery.core.card import Card
from thalihub.pages import page

_MOST_BYTES = 1_048_576


class Offered(NamedTuple):
    """A card of the group as the page shows it."""

    key: str
    name: str
    key_text: str
    known_as: str


@admin.site.admin_view
def group(request: HttpRequest) -> HttpResponse:
    """Open a group's file, then add those who are picked as introduced by its publisher."""
    text = _text(request)
    more: dict[str, Any] = {}
    if text:
        try:
            more = _read(text)
            if "add" in request.POST:
                return _added(request, more)
        except HubError as error:
            messages.error(request, page.words(error))
    return page.shown(request, "people/group.html", _("Open a group's file"), text=text, **more)


def _text(request: HttpRequest) -> str:
    file = request.FILES.get("file")
    if file is not None:
        return file.read(_MOST_BYTES).decode(errors="replace")
    return request.POST.get("text", "").strip()


def _read(text: str) -> dict[str, Any]:
    published = cards.parse_group(text)
    found = async_to_sync(pairing.import_group)(text, timezone.now())
    known = {one.key: one.name for one in people.list_principals()}
    offered = [
        Offered(one.key, one.name, key_text(one.key), known.get(one.key, "")) for one in found
    ]
    by = pairing.publisher_of(published.key)
    return {"group": published.name, "by": by, "offered": offered, "cards": found}


def _added(request: HttpRequest, read: dict[str, Any]) -> HttpResponse:
    picked = set(request.POST.getlist("pick"))
    wanted: list[Card] = [one for one in read["cards"] if one.key in picked]
    for one in wanted:
        async_to_sync(pairing.introduce)(one, read["by"], timezone.now())
    said = ngettext("%d person is added.", "%d people are added.", len(wanted)) % len(wanted)
    messages.success(request, said)
    return redirect("people")

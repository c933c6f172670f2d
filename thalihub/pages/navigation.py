"""The one navigation of all pages: what there is, and where the person is now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Place(NamedTuple):
    """A link of the navigation."""

    label: str | Promise
    url: str
    is_here: bool


def places(path: str) -> list[Place]:
    """Return the links as they stand on the page at `path`."""
    found = []
    for label, name, also in _PLACES:
        try:
            url = reverse(name)
        except NoReverseMatch:
            continue
        found.append(Place(label, url, _is_here(path, url, also)))
    return found


def _is_here(path: str, url: str, also: Sequence[str]) -> bool:
    if url == reverse("admin:index"):
        return path == url
    return path.startswith((url, *also))


_PLACES = (
    (_("Overview"), "admin:index", ()),
    (_("Status"), "hub-status", ()),
    (_("People"), "people", ("/meet/",)),
    (_("Devices"), "devices", ()),
    (_("Sharing"), "sharing", ()),
    (_("In step"), "sync", ("/conflicts/",)),
    (_("Nearby"), "nearby", ()),
    (_("Through Tor"), "tor", ()),
    (_("Applications"), "applications", ()),
    (_("Inbox"), "inbox", ()),
    (_("Storage"), "storage", ()),
    (_("Backups"), "backups", ()),
    (_("Databases"), "admin:couchapi_database_changelist", ("/admin/couchapi/",)),
)
"""Label, name of the address, and what belongs to it besides the addresses below its own."""

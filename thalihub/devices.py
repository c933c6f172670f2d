"""The page of the owner's own devices: rename, revoke, and the way to add one."""

from __future__ import annotations

import datetime
from functools import partial
from typing import NamedTuple

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from acl import identity
from acl import store as people
from acl.models import Principal
from acl.store.people import rename_principal
from thalihub import page


class Device(NamedTuple):
    """A device as the page shows it."""

    name: str
    key_text: str
    is_this: bool
    revoked: bool
    last_seen: datetime.datetime | None = None


@admin.site.admin_view
def devices(request: HttpRequest) -> HttpResponse:
    """Show the owner's devices; rename and revoke them."""
    if request.method == "POST":
        _change(request)
        return redirect("devices")
    return page.shown(request, "people/devices.html", _("Your devices"), devices=_all())


def _change(request: HttpRequest) -> None:
    name = request.POST.get("device", "")
    if name not in {one.name for one in _all()}:
        return
    if "rename" in request.POST:
        new_name = request.POST.get("name", "").strip()
        page.acted(request, partial(rename_principal, name, new_name), _("Renamed."))
    elif "revoke" in request.POST and name not in {one.name for one in _all() if one.is_this}:
        said = _("Revoked. It is let in nowhere any more.")
        page.acted(request, partial(people.remove_principal, name), said)


def _all() -> list[Device]:
    ours = identity.load(settings.HUB_DATA)
    found = [
        Device(one.name, one.key_text, one.key == ours.device_key, one.revoked)
        for one in people.list_principals()
        if one.kind == Principal.Kind.DEVICE
    ]
    return sorted(found, key=lambda one: (not one.is_this, one.revoked))

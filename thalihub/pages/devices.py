"""The page of the owner's own devices: rename, revoke, and the way to add one."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from asgiref.sync import async_to_sync
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from acl.core.keys import key_text
from acl.store.people import rename_principal
from discovery import pairing
from thalihub.pages import page


class Device(NamedTuple):
    """A device as the page shows it."""

    name: str
    key_text: str
    is_this: bool
    revoked: bool
    last_seen: str


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
    elif "revoke" in request.POST:
        said = _("Revoked. It is let in nowhere any more.")
        page.acted(request, partial(async_to_sync(pairing.revoke_device), name), said)


def _all() -> list[Device]:
    return [
        Device(one.name, key_text(one.key), one.is_this, one.revoked, page.ago(one.last_seen))
        for one in async_to_sync(pairing.list_devices)()
    ]

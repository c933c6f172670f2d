"""The page of hubs nearby: who is here, what this hub announces, and where it may be found."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from discovery import store
from discovery.finders import OFF, ON, UNAVAILABLE
from thalihub import nearby
from thalihub.pages import page

_WAYS = {
    "wifi": gettext_lazy("in this network"),
    "ble": gettext_lazy("by Bluetooth"),
    "memory": gettext_lazy("in this process"),
}
_FINDERS = {"wifi": gettext_lazy("Network"), "ble": gettext_lazy("Bluetooth")}
_STATES = {
    ON: gettext_lazy("On"),
    OFF: gettext_lazy("Off"),
    UNAVAILABLE: gettext_lazy("Not available"),
}
_DUTIES = {
    "sparing": gettext_lazy("Save the battery: look now and then"),
    "balanced": gettext_lazy("In between"),
    "eager": gettext_lazy("Find others quickly: look all the time"),
}
# What the finders say, so that it is translated with the pages.
gettext_noop("This hub is in no network where it may be found.")
gettext_noop("Join a network, and say here that this hub may be found in it.")
gettext_noop("The network does not let this hub speak.")
gettext_noop("Look whether another program holds UDP port 5353 for itself.")
gettext_noop("This hub cannot speak to the system's Bluetooth: there is no D-Bus.")
gettext_noop("Start the service dbus; in a container, mount /run/dbus into it.")
gettext_noop("The system's Bluetooth does not run.")
gettext_noop("Install BlueZ 5.55 or newer, and start the service bluetooth.")
gettext_noop("The system's Bluetooth is too old.")
gettext_noop("Install BlueZ 5.55 or newer.")
gettext_noop("This machine has no Bluetooth adapter.")
gettext_noop("Plug one in; it is used as soon as it is there.")
gettext_noop("The Bluetooth adapter is switched off.")
gettext_noop("Switch it on in the system's settings, or by: bluetoothctl power on")
gettext_noop("The Bluetooth adapter cannot announce anything.")
gettext_noop("Use one with Bluetooth 4.0 or newer (Low Energy).")
gettext_noop("The system does not let this hub use Bluetooth.")
gettext_noop("Add the user that the hub runs as to the group bluetooth, and start the hub again.")
gettext_noop("The Bluetooth adapter has refused to announce this hub.")
gettext_noop("Look whether other programs announce something by Bluetooth; it is tried again.")
gettext_noop("The system's Bluetooth has just gone.")
gettext_noop("Nothing: it is used again as soon as it is there.")
gettext_noop(
    "While this hub announces something, its Bluetooth adapter may show its fixed address, by "
    "which a stranger can recognise this machine."
)
gettext_noop(
    "Write Privacy = device below [General] in /etc/bluetooth/main.conf, and start the service "
    "bluetooth again."
)


@admin.site.admin_view
def nearby_page(request: HttpRequest) -> HttpResponse:
    """Show who is nearby; say in which networks this hub may be found."""
    if request.method == "POST":
        _change(request)
        return redirect("nearby")
    more = {
        "has_bluetooth": nearby.has_bluetooth(),
        "duties": _DUTIES.items(),
        "switch": store.switch(),
    }
    return page.shown(request, "hub/nearby.html", _("Nearby"), **more)


def _change(request: HttpRequest) -> None:
    for name, home, said in (
        ("home", True, _("This hub may be found in that network from now on.")),
        ("leave", False, _("This hub is not found in that network any more.")),
    ):
        number = request.POST.get(name, "")
        if number.isascii() and number.isdigit() and len(number) < 19:
            page.acted(request, partial(nearby.set_home, int(number), home=home), said)
    if "bluetooth" in request.POST:
        on = request.POST["bluetooth"] == "on"
        duty = request.POST.get("duty") or None
        said = _("Bluetooth is on.") if on else _("Bluetooth is off.")
        page.acted(request, partial(nearby.set_bluetooth, on=on, duty=duty), said)


def shown() -> dict[str, Any]:
    """Return what the live part shows."""
    told = nearby.told()
    here = [row for row in told.networks if row.mark in told.here]
    return {
        "told": told,
        "friends": [
            {"name": one.name, "way": _WAYS.get(one.way, one.way), "ago": page.ago(one.seen_at)}
            for one in told.friends
        ],
        "finders": [_finder(name, said) for name, said in told.finders.items()],
        "here": here,
        "elsewhere": [row for row in told.networks if row.home and row not in here],
    }


def _finder(name: str, said: dict[str, str]) -> dict[str, Any]:
    words = [_(said[part]) for part in ("why", "what_to_do") if said.get(part)]
    return {
        "name": _FINDERS.get(name, name),
        "state": _STATES.get(said.get("state", OFF), said.get("state")),
        "is_on": said.get("state") == ON,
        "words": " ".join(words),
    }

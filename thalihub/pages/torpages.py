"""The page of being reached through Tor: how that is, the address, and what the owner wants."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from discovery import store, tasks
from discovery.core.onion import State
from discovery.store import TorEvent, TorState
from replication import hours
from thalihub import tor
from thalihub.pages import meeting, page

_STATES = {
    State.OFF: gettext_lazy("Off"),
    State.MISSING: gettext_lazy("Tor is not installed"),
    State.STARTING: gettext_lazy("Starting"),
    State.CONNECTED: gettext_lazy("Connected with Tor"),
    State.PUBLISHING: gettext_lazy("The address is being made known"),
    State.PUBLISHED: gettext_lazy("The address is known"),
    State.REACHABLE: gettext_lazy("Reachable"),
    State.CLOSED: gettext_lazy("Not reachable outside its hours"),
    State.FAILED: gettext_lazy("Did not work. It is tried again in a moment."),
}
_EVENTS = {
    "started": gettext_lazy("Tor was started"),
    "connected": gettext_lazy("Connected with Tor"),
    "published": gettext_lazy("The address was made known"),
    "withdrawn": gettext_lazy("The address was taken back"),
    "late": gettext_lazy("Making the address known took too long; it is tried again"),
    "refused": gettext_lazy("One directory of Tor did not take the address"),
    "failed": gettext_lazy("Tor has ended; it is started again"),
    "restarted": gettext_lazy("Tor starts with other settings"),
    "renewed": gettext_lazy("There is a new address"),
    "reached": gettext_lazy("The test came through"),
    "unreachable": gettext_lazy("The test did not come through"),
}
_LISTED = 12


class SwitchesForm(forms.Form):
    """What the owner wants of Tor besides being reached."""

    contacts_only = forms.BooleanField(
        required=False,
        label=gettext_lazy("Only the hubs of my contacts and my own devices may connect"),
    )
    everything = forms.BooleanField(
        required=False,
        label=gettext_lazy("This hub reaches others through Tor alone, in my own network too"),
    )
    for_applications = forms.BooleanField(
        required=False, label=gettext_lazy("Other programs on this machine may use this Tor")
    )


@admin.site.admin_view
def tor_page(request: HttpRequest) -> HttpResponse:
    """Show how Tor is; switch it, test it, take a new address."""
    if request.method == "POST":
        _change(request)
        return redirect("tor")
    row = store.tor()
    form = SwitchesForm(initial={name: getattr(row, name) for name in tor.SWITCHES})
    return page.shown(request, "hub/tor.html", _("Through Tor"), form=form, wanted=row.wanted)


def _change(request: HttpRequest) -> None:
    verbs = {
        "on": (partial(tor.switch, True), _("Tor is on.")),
        "off": (partial(tor.switch, False), _("Tor is off.")),
        "test": (tasks.reach_ourselves.delay, _("The test has begun.")),
        "renew": (tor.renew_address, _("There is a new address. Your contacts are told.")),
        "choose": (partial(_choose, request), _("Saved.")),
    }
    for name, (verb, said) in verbs.items():
        if name in request.POST:
            page.acted(request, verb, said)
            return


def _choose(request: HttpRequest) -> None:
    for name in tor.SWITCHES:
        tor.choose(name, name in request.POST)


def shown() -> dict[str, Any]:
    """Return what the live part shows."""
    row = store.tor()
    state = tor.shown_state(row)
    address = next(iter(store.onion_addresses()), "")
    windows = store.me().windows
    return {
        "row": row,
        "state": state,
        "said": _STATES[state],
        "is_good": state in (State.PUBLISHED, State.REACHABLE),
        "is_bad": state in (State.MISSING, State.FAILED),
        "address": address,
        "qr": meeting.drawn(address) if address else "",
        "test": _test(row),
        "problem": _(row.problem) if row.problem else "",
        "hours": hours.shown(windows, time.time()) if windows else "",
        "events": [_event(one) for one in store.tor_events(_LISTED)],
    }


def _test(row: TorState) -> str:
    if row.tested_at is None:
        return _("Not yet")
    if row.problem or row.answered_ms is None:
        return page.ago(row.tested_at)
    taken = _("answered in %(seconds)s s") % {"seconds": f"{row.answered_ms / 1000:.1f}"}
    return f"{page.ago(row.tested_at)}, {taken}"


def _event(event: TorEvent) -> dict[str, Any]:
    more = _(event.more) if event.more and event.what == "unreachable" else event.more
    return {"at": event.at, "said": _EVENTS.get(event.what, event.what), "more": more}

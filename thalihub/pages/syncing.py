"""The page of what is kept in step with whom: how each way is, and what can be done about it."""

from __future__ import annotations

import datetime
import time
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.timesince import timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from acl import sql
from couchapi.store import databases, meetings
from replication import hours, listing, manager
from replication.core.job import Priority
from replication.core.policy import Reason
from thalihub import sentences
from thalihub.pages import page
from thalihub.pages.syncform import SyncForm
from thalihub.pages.thriftform import ThriftForm

_PATHS = {
    "loopback": gettext_lazy("on this machine"),
    "lan": gettext_lazy("in your network"),
    "internet": gettext_lazy("through the internet"),
    "tor": gettext_lazy("through Tor"),
}


class Line(NamedTuple):
    """One database in one direction with one peer."""

    job: int
    database: str
    pulls: bool
    state: str
    said: str
    """How it is, in words."""
    path: str
    last: str
    documents: int
    """How many have come or gone."""
    error: str
    is_paused: bool
    deleted_there: bool
    is_ours: bool
    """Whether somebody asked for it, who can take it back."""
    progress: Progress | None
    attachments_left: int
    """How many documents wait for their attachments."""
    hours: str
    ends: str


class Progress(NamedTuple):
    """How much of a run is done, and how fast it goes."""

    done: int
    total: int
    documents: int
    """A second."""
    size: int
    """Bytes a second."""


class PeerCard(NamedTuple):
    """A peer with everything that goes to or from it."""

    name: str
    lines: list[Line]


@admin.site.admin_view
def sync(request: HttpRequest) -> HttpResponse:
    """Show how everything is; begin, pause, resume, run or remove a job."""
    form = SyncForm(request.POST if "add" in request.POST else None)
    thrift = ThriftForm(request.POST) if "thrift" in request.POST else ThriftForm.now()
    if request.method == "POST" and _changed(request, form, thrift):
        return redirect("sync")
    names = sql.read_sync(databases.names)
    more = {"form": form, "thrift": thrift, "names": names, "zone": _zone()}
    return page.shown(request, "hub/sync.html", _("Keeping in step"), **more)


def _zone() -> str:
    """Return how far the clock of this machine is from UTC, as people write it."""
    minutes = hours.offset(time.time())
    sign = "-" if minutes < 0 else "+"
    return f"UTC{sign}{abs(minutes) // 60}:{abs(minutes) % 60:02d}" if minutes else "UTC"


@admin.site.admin_view
def status(request: HttpRequest) -> JsonResponse:
    """Return the numbers of the page, for programs."""
    met = sql.read_sync(meetings.counts)
    jobs = manager.listing(time.time())
    return JsonResponse({"jobs": jobs, "documents_that_met": met, "policy": listing.conditions()})


def conditions() -> str:
    """Return in words what is spared now; empty where nothing is."""
    now = listing.conditions()
    said = []
    if now["is_on_battery"]:
        charge = now["charge"]
        known = _("This machine runs on battery (%(n)s %%).") % {"n": charge}
        said.append(_("This machine runs on battery.") if charge is None else known)
    if now["is_metered"]:
        said.append(_("The connection is metered."))
    if said and len(now["running"]) < len(Priority):
        said.append(_("So not everything runs now."))
    return " ".join(said)


def cards() -> list[PeerCard]:
    """Return all peers, by name."""
    of_peer = defaultdict[str, list[Line]](list)
    for job in manager.listing(time.time()):
        for link in job["links"]:
            of_peer[link["peer"]].append(_line(job, link))
    return [
        PeerCard(name, sorted(lines, key=lambda line: (line.database, not line.pulls)))
        for name, lines in sorted(of_peer.items())
    ]


def _line(job: Mapping[str, Any], link: Mapping[str, Any]) -> Line:
    return Line(
        job["id"],
        job["database"],
        link["direction"] == "pull",
        link["state"],
        _said(link),
        str(_PATHS.get(link["path"], "")),
        page.ago(_when(link["last_success"])),
        link["docs_written"],
        sentences.said(link["error"] or ""),
        link["state"] == "paused",
        link["deleted_there"],
        not job["mesh"],
        _progress(link),
        link["attachments_left"],
        _hours(job),
        _ends(job),
    )


def _progress(link: Mapping[str, Any]) -> Progress | None:
    behind = link["changes_behind"]
    if link["state"] != "running" or not behind:
        return None
    total = max(behind, link["changes_at_first"] or 0)
    return Progress(
        total - behind, total, round(link["documents_per_second"]), link["bytes_per_second"]
    )


def _hours(job: Mapping[str, Any]) -> str:
    """Return when a job runs, in the time of this machine; empty for always."""
    return hours.shown(job["windows"] or "", time.time())


def _ends(job: Mapping[str, Any]) -> str:
    """Return when a job ends that nobody renews."""
    return "" if job["ends_at"] is None else _until(job["ends_at"])


def _said(link: Mapping[str, Any]) -> str:
    behind = link["changes_behind"]
    if link["deleted_there"]:
        return _("Was deleted there")
    if link["reason"]:
        return _waits(link)
    if link["state"] == "running" and behind:
        return ngettext("%(n)s change to go", "%(n)s changes to go", behind) % {"n": behind}
    said = {
        "running": _("At work"),
        "pending": _("Begins in a moment"),
        "waiting": _("In step"),
        "paused": _("Paused"),
        "completed": _("Done"),
        "failed": _("Did not work"),
        "crashing": _("Did not work. Next try: %(when)s"),
    }[link["state"]]
    return said % {"when": _until(link["next_try"])} if link["state"] == "crashing" else said


def _waits(link: Mapping[str, Any]) -> str:
    match Reason(link["reason"]):
        case Reason.METERED:
            return _("Waits: the connection is metered")
        case Reason.BATTERY:
            return _("Waits: on battery")
        case Reason.LOW_BATTERY:
            return _("Waits: the battery is low")
    if link["next_try"] is None:
        return _("Waits for its hours")
    return _("Waits for its hours: %(when)s") % {"when": _until(link["next_try"])}


def _until(seconds: float | None) -> str:
    at = _when(seconds)
    if at is None or at - timezone.now() < datetime.timedelta(minutes=1):
        return _("in a moment")
    return _("in %(time)s") % {"time": timeuntil(at, depth=1)}


def _when(seconds: float | None) -> datetime.datetime | None:
    return None if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _changed(request: HttpRequest, form: SyncForm, thrift: ThriftForm) -> bool:
    """Do what the page asks for; False: the form is shown again, with what is wrong."""
    if "thrift" in request.POST:
        return thrift.is_valid() and page.acted(request, thrift.keep, _("Kept."))
    if "add" in request.POST:
        return form.is_valid() and page.acted(request, form.begin, _("It begins."))
    _change(request)
    return True


def _change(request: HttpRequest) -> None:
    verbs = {
        "pause": (manager.pause, _("Paused.")),
        "resume": (manager.resume, _("It goes on.")),
        "run": (_run, _("It begins.")),
        "renew": (_renew, _("It lasts as long again.")),
        "remove": (manager.remove, _("Removed. What is here already stays.")),
        "delete": (manager.delete_here, _("Deleted here, too.")),
    }
    for name, (verb, said) in verbs.items():
        number = request.POST.get(name, "")
        if number.isascii() and number.isdigit() and len(number) < 19:
            page.acted(request, partial(verb, int(number)), said)


def _run(number: int) -> None:
    manager.run(number, time.time())


def _renew(number: int) -> None:
    manager.renew(number, time.time())

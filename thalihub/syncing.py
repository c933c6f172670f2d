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
from replication import manager
from thalihub import page
from thalihub.pace import Pace, Progress
from thalihub.syncform import SyncForm

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


class PeerCard(NamedTuple):
    """A peer with everything that goes to or from it."""

    name: str
    lines: list[Line]


@admin.site.admin_view
def sync(request: HttpRequest) -> HttpResponse:
    """Show how everything is; begin, pause, resume, run or remove a job."""
    form = SyncForm(request.POST if "add" in request.POST else None)
    if request.method == "POST" and _changed(request, form):
        return redirect("sync")
    names = sql.read_sync(databases.names)
    return page.shown(request, "hub/sync.html", _("Keeping in step"), form=form, names=names)


@admin.site.admin_view
def status(request: HttpRequest) -> JsonResponse:
    """Return the numbers of the page, for programs."""
    met = sql.read_sync(meetings.counts)
    return JsonResponse({"jobs": manager.listing(time.time()), "documents_that_met": met})


def cards(pace: Pace | None = None) -> list[PeerCard]:
    """Return all peers, by name; `pace` knows what was shown of them before."""
    pace = pace or Pace()
    of_peer = defaultdict[str, list[Line]](list)
    for job in manager.listing(time.time()):
        for link in job["links"]:
            of_peer[link["peer"]].append(_line(job, link, pace))
    return [
        PeerCard(name, sorted(lines, key=lambda line: (line.database, not line.pulls)))
        for name, lines in sorted(of_peer.items())
    ]


def _line(job: Mapping[str, Any], link: Mapping[str, Any], pace: Pace) -> Line:
    return Line(
        job["id"],
        job["database"],
        link["direction"] == "pull",
        link["state"],
        _said(link),
        str(_PATHS.get(link["path"], "")),
        page.ago(_when(link["last_success"])),
        link["docs_written"],
        link["error"] or "",
        link["state"] == "paused",
        link["deleted_there"],
        not job["mesh"],
        _progress(link, pace),
    )


def _progress(link: Mapping[str, Any], pace: Pace) -> Progress | None:
    if link["state"] == "running" and link["changes_behind"]:
        return pace.saw(link["id"], link["changes_behind"], time.time())
    pace.ended(link["id"])
    return None


def _said(link: Mapping[str, Any]) -> str:
    behind = link["changes_behind"]
    if link["deleted_there"]:
        return _("Was deleted there")
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


def _until(seconds: float | None) -> str:
    at = _when(seconds)
    if at is None or at - timezone.now() < datetime.timedelta(minutes=1):
        return _("in a moment")
    return _("in %(time)s") % {"time": timeuntil(at)}


def _when(seconds: float | None) -> datetime.datetime | None:
    return None if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _changed(request: HttpRequest, form: SyncForm) -> bool:
    """Do what the page asks for; False: the form is shown again, with what is wrong."""
    if "add" in request.POST:
        return form.is_valid() and page.acted(request, form.begin, _("It begins."))
    _change(request)
    return True


def _change(request: HttpRequest) -> None:
    verbs = {
        "pause": (manager.pause, _("Paused.")),
        "resume": (manager.resume, _("It goes on.")),
        "run": (_run, _("It begins.")),
        "remove": (manager.remove, _("Removed. What is here already stays.")),
        "delete": (manager.delete_here, _("Deleted here, too.")),
    }
    for name, (verb, said) in verbs.items():
        number = request.POST.get(name, "")
        if number.isascii() and number.isdigit() and len(number) < 19:
            page.acted(request, partial(verb, int(number)), said)


def _run(number: int) -> None:
    manager.run(number, time.time())

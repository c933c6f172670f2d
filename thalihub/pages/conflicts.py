"""The pages of versions that met: which document, what each version says, which one won and why.

What lost can be taken back: its body becomes a new edit of the version that is shown, as if
somebody had typed it in again.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from acl import sql
from acl.core.errors import HubError
from couchapi import writing
from couchapi.core import met, revid, revtree
from couchapi.core.errors import Conflict
from couchapi.core.lww import HOLD_AFTER
from couchapi.core.met import Kind, Version
from couchapi.store import databases, documents, held, incoming, meetings
from couchapi.store.databases import DatabaseRow
from couchapi.store.documents import Body, Found
from couchapi.store.writes import OURSELVES, Write
from thalihub.pages import page
from thalihub.pages.sidebyside import Side, compared

_PAGE = 50
_MOST_VERSIONS = 10
_STAYS = "couch"
"""The policy under which conflicts stay until somebody decides."""


class Line(NamedTuple):
    """A document of the list."""

    docid: str
    when: str
    others: int
    is_open: bool


class Other(NamedTuple):
    """A version beside the one that is shown; without sides when it is not kept any more."""

    tip: str
    when: str
    why: str
    shown: Side | None
    side: Side | None
    is_deletion: bool
    is_same: bool


class Opened(NamedTuple):
    """A document with its versions, and what is kept of them."""

    database: DatabaseRow
    found: Found
    versions: Sequence[Version]
    bodies: dict[str, Body]

    def body(self, version: Version) -> Body | None:
        """Return what is kept of a version."""
        kept = (self.bodies.get(str(rev)) for rev in version.bodies)
        return next((body for body in kept if body is not None), None)


class Waiting(NamedTuple):
    """A document that the hub has not decided on yet."""

    database: str
    docid: str


@admin.site.admin_view
def conflicts(request: HttpRequest) -> HttpResponse:
    """List the documents of one database, what changed last first; find all of them right."""
    everything = "all" in request.GET
    counts = sql.read_sync(partial(meetings.counts, decided=everything))
    db_name = request.GET.get("database", "")
    if request.method == "POST":
        return _all_right(request, db_name)
    if db_name not in counts:
        db_name = next(iter(counts), "")
    read = partial(_page, db_name=db_name, before=_number(request, "before"), everything=everything)
    found = sql.read_sync(read)
    more = {
        "counts": counts,
        "most": meetings.MOST_COUNTED,
        "db_name": db_name,
        "lines": [_line(one) for one in found],
        "before": found[-1].seq if len(found) == _PAGE else None,
        "everything": everything,
        **_undecided(),
    }
    return page.shown(request, "status/conflicts.html", _("Versions that met"), **more)


def _undecided() -> dict[str, list[Waiting]]:
    """Return what the hub itself has put off: an unsteady document, a clock that is ahead."""
    now_ms = int(time.time() * 1000)
    stopped = partial(held.stopped, now_ms=now_ms, limit=_MOST_VERSIONS)
    ahead = partial(held.ahead, now_ms=now_ms, limit=_MOST_VERSIONS)
    return {
        "stopped": [Waiting(*one) for one in sql.read_sync(stopped)],
        "ahead": [Waiting(*one) for one in sql.read_sync(ahead)],
    }


def _all_right(request: HttpRequest, db_name: str) -> HttpResponse:
    def decide(connection: sql.Sql) -> int:
        database = databases.find(connection, db_name)
        return meetings.decide(connection, database.id) if database else 0

    sql.write_sync(decide)
    messages.success(request, _("All of them are right as they are."))
    return redirect("conflicts")


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _page(
    connection: sql.Sql, db_name: str, before: int | None, everything: bool
) -> list[meetings.Meeting]:
    database = databases.find(connection, db_name)
    if database is None:
        return []
    return meetings.page(connection, database.id, before, _PAGE, decided=everything)


def _line(meeting: meetings.Meeting) -> Line:
    shown, *others = met.versions(revtree.decode(meeting.tree))
    is_open = any(one.kind == Kind.OPEN for one in others)
    return Line(meeting.docid, _time(shown.clock), len(others), is_open)


@admin.site.admin_view
def conflict(request: HttpRequest) -> HttpResponse:
    """Show the versions of one document; keep another one, or decide between those that stay."""
    db_name, docid = request.GET.get("database", ""), request.GET.get("document", "")
    try:
        opened = sql.read_sync(partial(_open, db_name=db_name, docid=docid))
    except HubError:
        raise Http404 from None
    if request.method == "POST":
        page_of = urlencode({"database": db_name, "document": docid})
        _decide(request, opened)
        return redirect(f"{reverse('conflict')}?{page_of}")
    return page.shown(request, "status/conflict.html", docid, **_told(opened))


def _open(connection: sql.Sql, db_name: str, docid: str) -> Opened:
    database = databases.get(connection, db_name)
    found = documents.find(connection, db_name, docid)
    versions = met.versions(revtree.decode(found.tree))
    shown = versions[: 1 + _MOST_VERSIONS]
    wanted = [str(rev) for version in shown for rev in version.bodies]
    return Opened(database, found, versions, documents.bodies(connection, found.id, wanted))


def _told(opened: Opened) -> dict[str, object]:
    shown, *others = opened.versions
    stays = opened.database.conflict_policy == _STAYS
    return {
        "db_name": opened.database.name,
        "docid": opened.found.docid,
        "base": opened.found.rev,
        "is_deleted": opened.found.deleted,
        "when": _time(shown.clock),
        "others": [_other(opened, one) for one in others[:_MOST_VERSIONS]],
        "left_out": max(0, len(others) - _MOST_VERSIONS),
        "is_open": stays and any(one.kind == Kind.OPEN for one in others),
    }


def _other(opened: Opened, version: Version) -> Other:
    shown = opened.versions[0]
    why = _why(opened, shown, version)
    body, winner = opened.body(version), opened.body(shown)
    tip, when = str(version.tip), _time(version.clock)
    if body is None or winner is None:
        return Other(tip, when, why, None, None, version.is_deletion, False)
    left, right = compared(winner, body)
    is_same = not shown.is_deletion and left == right
    return Other(tip, when, why, left, right, False, is_same)


def _why(opened: Opened, shown: Version, other: Version) -> str:
    if other.kind == Kind.OPEN:
        return _why_open(opened, other)
    if other.kind == Kind.DELETED and shown.is_deletion:
        return _("Both were deleted.")
    if other.kind == Kind.DELETED:
        return _("This version was deleted, so the other one is shown.")
    if shown.clock > other.clock > 0:
        return _("The last writer wins: what is shown was written later.")
    if shown.clock > other.clock:
        return _("Nobody knows when this version was written, so the one with a time won.")
    return _(
        "The times do not tell which is newer, so all devices took the one with the longer history."
    )


def _why_open(opened: Opened, other: Version) -> str:
    if opened.database.conflict_policy == _STAYS:
        return _("This database keeps both until somebody decides.")
    if other.clock > time.time() * 1000 + HOLD_AFTER:
        return _("The clock of the device that wrote this is ahead. It counts when its time comes.")
    return _("The hub has not decided between them yet.")


def _time(clock: int) -> str:
    """Return a stamp in words, to the millisecond: edits that meet may be as near as that."""
    if not clock:
        return _("at an unknown time")
    at = timezone.localtime(datetime.datetime.fromtimestamp(clock / 1000, datetime.UTC))
    return f"{formats.date_format(at, 'DATE_FORMAT')}, {at:%H:%M:%S}.{clock % 1000:03d}"


# -- deciding --------------------------------------------------------------------------------------


def _decide(request: HttpRequest, opened: Opened) -> None:
    try:
        # What the person saw: if somebody has written since then, they look again first.
        base = revid.parse(request.POST.get("base", ""))
        if "right" not in request.POST:
            batch = _writes(opened, base, request.POST.get("keep", ""))
            _check(async_to_sync(writing.store)(opened.database.name, batch, OURSELVES))
        elif str(base) != opened.found.rev:
            raise Conflict
        decide = partial(meetings.decide, database_id=opened.database.id, docid=opened.found.docid)
        sql.write_sync(decide)
    except Conflict:
        messages.error(request, _("The document has changed in the meantime. Look at it again."))
    except HubError as error:
        messages.error(request, page.words(error))
    else:
        messages.success(request, _("Done. All your devices will show it so."))


def _writes(opened: Opened, base: revid.RevId, keep: str) -> list[Write]:
    shown, *others = opened.versions
    chosen = next((one for one in opened.versions if str(one.tip) == keep), None)
    if chosen is None or str(base) != opened.found.rev:
        raise Conflict
    docid = opened.found.docid
    batch = [] if chosen is shown else [_again(opened, chosen, base)]
    # Where the last writer wins, the hub closes what loses by itself.
    if opened.database.conflict_policy == _STAYS:
        still = [one.tip for one in others if one.kind == Kind.OPEN]
        batch += [Write(docid, tip, True, b"{}") for tip in still]
    return batch


def _again(opened: Opened, chosen: Version, base: revid.RevId) -> Write:
    docid = opened.found.docid
    if chosen.is_deletion:
        return Write(docid, base, True, b"{}")
    body = opened.body(chosen)
    if body is None:
        raise Conflict
    return Write(docid, base, False, body.body, attachments=incoming.as_given(body.attachments))


def _check(written: Sequence[tuple[str, object]]) -> None:
    for _docid, result in written:
        if isinstance(result, HubError):
            raise result

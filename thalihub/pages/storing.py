"""What the hub's data takes, and what can be done about it: the page and the numbers behind it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from acl import sql
from acl import store as people
from acl.core.errors import RefusedError
from acl.core.policy import ADDRESSBOOK
from couchapi import tasks, upkeep
from couchapi.core import room
from couchapi.core.errors import WorkerUnreachable
from couchapi.core.names import REPLICATOR
from couchapi.core.upkeep import Measured, Sizes
from couchapi.store import databases, designs, shares, sizes, space, works
from couchapi.store.databases import DatabaseRow
from couchapi.store.works import Work
from replication.books.names import INBOX, ME
from thalihub.pages import page
from thalihub.pages.quotaforms import QuotaForm

_OF_THE_HUB = (ADDRESSBOOK, INBOX, ME, REPLICATOR)
_LARGEST = 10
_WORTH_A_WORD = 10_000
_PARTS = (
    ("documents", gettext_lazy("Documents")),
    ("attachments", gettext_lazy("Attachments")),
    ("old_bodies", gettext_lazy("Old versions of documents")),
    ("old_attachments", gettext_lazy("Old attachments")),
    ("history", gettext_lazy("History of revisions")),
    ("indexes", gettext_lazy("Indexes of views")),
    ("local_documents", gettext_lazy("Checkpoints and other local documents")),
)


class Line(NamedTuple):
    """A database; sizes in bytes."""

    name: str
    sizes: Sizes
    documents: int
    is_measured: bool
    """Whether it is known what it consists of."""
    quota: int | None
    unused_indexes: int
    work: Work | None
    can_go: bool
    """Whether the owner may delete it here: some belong to the hub."""

    @property
    def gives(self) -> int:
        """Bytes that nobody needs."""
        return self.sizes.reclaimable + self.unused_indexes

    @property
    def parts(self) -> list[tuple[str, int]]:
        """What it consists of, in words, the largest first; nothing before it was measured."""
        if not self.is_measured:
            return []
        named = [(str(words), getattr(self.sizes, part)) for part, words in _PARTS]
        return sorted(((words, size) for words, size in named if size), key=lambda one: -one[1])


class Holder(NamedTuple):
    """Somebody who has put something here."""

    name: str
    size: int
    quota: int | None


class Storage(NamedTuple):
    """All of it."""

    disk: room.Disk
    kept_free: int
    is_short: bool
    lines: Sequence[Line]
    holders: Sequence[Holder]
    leaving: int

    @property
    def total(self) -> int:
        """Bytes of all databases."""
        return sum(line.sizes.total for line in self.lines)

    @property
    def used(self) -> int:
        """Bytes of the disk that are not free, whoever has them."""
        return self.disk.total - self.disk.free

    @property
    def gives(self) -> list[Line]:
        """Databases with so much that nobody needs that it is worth a word, the most first."""
        found = [one for one in self.lines if one.gives >= _WORTH_A_WORD]
        return sorted(found, key=lambda one: -one.gives)


def now() -> Storage:
    """Return how it is; what databases take, as it was measured last."""
    disk, limits = space.look(), space.limits()
    return Storage(
        disk,
        room.kept_free(disk, limits),
        room.is_short(disk, limits),
        _lines(),
        _holders(),
        sql.read_sync(sizes.leaving),
    )


def _lines() -> list[Line]:
    measured = sql.read_sync(sizes.measured)
    going_on = sql.read_sync(partial(works.going_on, now=int(time.time())))
    of_database = {work.db_name: work for work in going_on}
    found = []
    for row in sql.read_sync(databases.everything):
        found.append(_line(row, measured.get(row.id), of_database.get(row.name)))
    return sorted(found, key=lambda line: (-line.sizes.total, line.name))


def _line(row: DatabaseRow, known: Measured | None, work: Work | None) -> Line:
    held = known.sizes if known else Sizes(documents=row.body_size)
    unused = sql.read_sync(partial(designs.unused_size, database_id=row.id)) if held.indexes else 0
    can_go = row.name not in _OF_THE_HUB
    return Line(row.name, held, row.doc_count, known is not None, row.quota, unused, work, can_go)


def _holders() -> list[Holder]:
    names = {one.key: one.name for one in people.list_principals() if one.key}
    known = sql.read_sync(shares.everything)
    return [Holder(names.get(one.key, one.key[:8]), one.size, one.quota) for one in known]


# -- what can be done ------------------------------------------------------------------------------


def compact(db_name: str) -> None:
    """Have a worker forget old revisions; raises DatabaseMissing and WorkerUnreachable."""
    sql.read_sync(partial(databases.get, name=db_name))
    async_to_sync(tasks.later)(tasks.compact, db_name)


def end(work: int) -> None:
    """Have work end where it is."""
    sql.write_sync(partial(works.cancel, work=work))


def clean(db_name: str) -> None:
    """Remove the indexes of views that are defined no more."""
    if sql.write_sync(partial(designs.forget_unused, db_name=db_name)):
        async_to_sync(tasks.later)(tasks.remove_indexes)


def drop(db_name: str) -> None:
    """Delete a database; raises DatabaseMissing, and RefusedError for one of the hub's own."""
    if db_name in _OF_THE_HUB:
        raise RefusedError(_("This database belongs to the hub. Delete what is in it instead."))
    sql.write_sync(partial(databases.drop, name=db_name))


# -- the page --------------------------------------------------------------------------------------


@admin.site.admin_view
def storage(request: HttpRequest) -> HttpResponse:
    """Show what there is; compact, clean, cancel, delete, or set a quota."""
    form = QuotaForm(request.POST if "quota" in request.POST else None)
    if request.method == "POST" and _changed(request, form):
        return redirect("storage")
    _have_it_measured()
    largest = sql.read_sync(partial(sizes.largest, limit=_LARGEST))
    return page.shown(request, "hub/room.html", _("Storage"), form=form, largest=largest)


def _have_it_measured() -> None:
    """Let a worker measure what has changed; the live part of the page shows it then."""
    with contextlib.suppress(WorkerUnreachable):  # The status says so.
        if upkeep.changed():
            async_to_sync(tasks.later)(tasks.measure)


def _changed(request: HttpRequest, form: QuotaForm) -> bool:
    asked = request.POST
    if "quota" in asked:
        return form.is_valid() and page.acted(request, form.keep, _("The limit holds from now on."))
    for verb, do, said in (
        ("compact", compact, _("“%s” is being compacted.")),
        ("clean", clean, _("The unused indexes of “%s” are being removed.")),
        ("delete", drop, _("“%s” is deleted.")),
    ):
        if verb in asked:
            page.acted(request, partial(do, asked[verb]), said % asked[verb])
            return True
    if asked.get("end", "").isdecimal():
        page.acted(request, partial(end, int(asked["end"])), _("It ends where it is."))
    return True


def context() -> dict[str, Any]:
    """Return what the live part of the page shows."""
    return {"storage": now()}

"""The page of backups: the passphrase, when they are made, what was made, and whether it holds."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
from collections.abc import AsyncIterator, Sequence
from typing import IO, Any, NamedTuple

from channels.db import database_sync_to_async as in_database
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.timesince import timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError

from acl.core.recovery import SHORTEST_PASSPHRASE
from thalihub import tasks
from thalihub.backups import schedule
from thalihub.backups.store import runs
from thalihub.models import BackupRun
from thalihub.pages import page
from thalihub.pages.live import LivePart

_DAY = 86_400
_SHOWN, _SHOWN_FINISHED = 12, 100
_PIECE = 256 * 1024
_DIGITS = 19
_SECRET = {"autocomplete": "new-password"}


class PassphraseForm(forms.Form):
    """The passphrase of backups, twice."""

    passphrase = forms.CharField(
        label=gettext_lazy("New passphrase"),
        widget=forms.PasswordInput(attrs=_SECRET),
        strip=False,
        min_length=SHORTEST_PASSPHRASE,
        max_length=1024,
        help_text=gettext_lazy("12 characters or more. Without it no backup can be opened."),
    )
    again = forms.CharField(
        label=gettext_lazy("The same passphrase again"),
        widget=forms.PasswordInput(attrs=_SECRET),
        strip=False,
        max_length=1024,
    )

    def clean(self) -> dict[str, Any]:
        """See that it was typed twice."""
        data = super().clean() or {}
        if "passphrase" in data and data["passphrase"] != data.get("again"):
            self.add_error("again", _("These are not the same. Type it again."))
        return data


class PlanForm(forms.Form):
    """When backups are made, and how many are kept."""

    every = forms.TypedChoiceField(
        label=gettext_lazy("Make a backup"),
        coerce=int,
        choices=[
            (0, gettext_lazy("Only when I say so")),
            (3600, gettext_lazy("Every hour")),
            (_DAY, gettext_lazy("Every day")),
            (7 * _DAY, gettext_lazy("Every week")),
        ],
    )
    keep = forms.IntegerField(
        label=gettext_lazy("Whole backups to keep"),
        min_value=1,
        max_value=1000,
        help_text=gettext_lazy("One in seven is whole; the others add to it, and go with it."),
    )
    test_every = forms.TypedChoiceField(
        label=gettext_lazy("Try whether the newest one can be restored"),
        coerce=int,
        choices=[
            (0, gettext_lazy("Only when I say so")),
            (_DAY, gettext_lazy("Every day")),
            (7 * _DAY, gettext_lazy("Every week")),
            (30 * _DAY, gettext_lazy("Every month")),
        ],
    )

    @classmethod
    def now(cls) -> PlanForm:
        """Return it as things are."""
        plan = runs.plan()
        return cls(initial={"every": plan.every, "keep": plan.keep, "test_every": plan.test_every})


class Line(NamedTuple):
    """A run as the page tells of it."""

    number: int
    file: str
    said: str
    is_good: bool
    is_bad: bool
    is_running: bool
    done: int
    total: int
    size: int
    documents: int
    problem: str
    when: str
    is_here: bool
    """Whether it is a finished backup whose file can be taken along."""
    is_lost: bool
    """Whether it is a finished backup whose file has gone."""
    going_along: int
    """How many continue it, and open nothing without it."""


@admin.site.admin_view
def backups(request: HttpRequest) -> HttpResponse:
    """Show what was made; set the passphrase and the plan; begin, try, cancel or remove."""
    secret = PassphraseForm(request.POST if "secret" in request.POST else None)
    plan = PlanForm(request.POST) if "plan" in request.POST else PlanForm.now()
    if request.method == "POST" and _changed(request, secret, plan):
        return redirect("backups")
    more = {"secret": secret, "plan": plan, "is_set": bool(runs.plan().lock)}
    folder = str(settings.HUB_BACKUPS)
    return page.shown(request, "hub/backups.html", _("Backups"), folder=folder, **more)


def _changed(request: HttpRequest, secret: PassphraseForm, plan: PlanForm) -> bool:
    given = request.POST
    if "secret" in given:
        return secret.is_valid() and page.acted(
            request,
            lambda: schedule.set_passphrase(secret.cleaned_data["passphrase"]),
            _("Backups are made under this passphrase from now on. Keep it where you find it."),
        )
    if "plan" in given:
        return plan.is_valid() and page.acted(
            request, lambda: _keep(plan.cleaned_data), _("It is kept so.")
        )
    if "now" in given:
        return page.acted(request, lambda: _want(next_at=runs.NOW), _("It begins in a moment."))
    if "test" in given:
        return page.acted(
            request, lambda: _want(next_test_at=runs.NOW), _("It begins in a moment.")
        )
    if (number := _number(given.get("cancel", ""))) is not None:
        return page.acted(request, lambda: runs.cancel(number), _("It ends in a moment."))
    if (number := _number(given.get("remove", ""))) is not None:
        return page.acted(request, lambda: schedule.remove(number), _("It was deleted."))
    return False


def _number(given: str) -> int | None:
    return int(given) if given.isascii() and given.isdigit() and len(given) < _DIGITS else None


@admin.site.admin_view
@require_safe
@cache_control(no_store=True)
def download(request: HttpRequest, number: int) -> HttpResponseBase:
    """Send the file of a finished backup; it stays sealed."""
    run = runs.made(number)
    try:
        if run is None:
            raise FileNotFoundError
        file = schedule.path_of(run).open("rb")
    except OSError:
        messages.error(request, _("This file is not in the folder of backups any more."))
        return redirect("backups")
    response = StreamingHttpResponse(_pieces(file), content_type="application/octet-stream")
    response.headers["Content-Length"] = str(os.fstat(file.fileno()).st_size)
    response.headers["Content-Disposition"] = f'attachment; filename="{run.file}"'
    return response


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece


def _keep(given: dict[str, Any]) -> None:
    before = runs.plan()
    runs.change_plan(**given)
    if given["every"] and not before.every:
        _want(next_at=runs.NOW)


def _want(**values: int) -> None:
    runs.change_plan(**values)
    with contextlib.suppress(OperationalError, OSError):  # The beat looks within a minute.
        tasks.look_after_backups.delay()


class LiveBackups(LivePart):
    """The backups and trials, newest first."""

    template = "hub/live/backups.html"

    async def context(self) -> dict[str, Any]:
        """Return them, and when the next one is due."""
        return await in_database(_context)()


def _context() -> dict[str, Any]:
    plan = runs.plan()
    chains = runs.chains()
    tried = runs.last(is_test=True)
    return {
        "lines": _lines(chains),
        "is_set": bool(plan.lock),
        "next": _next(plan.next_at) if plan.lock and plan.every else "",
        "tried": tried is not None,
        "chain": [str(schedule.path_of(run)) for run in next(iter(chains), [])],
    }


def _lines(chains: Sequence[Sequence[BackupRun]]) -> list[Line]:
    """Return what happened lately, and every backup that there is, newest first."""
    behind = {run.pk: len(chain) - at for chain in chains for at, run in enumerate(chain, 1)}
    finished = [run for chain in chains for run in reversed(chain)][:_SHOWN_FINISHED]
    shown = {run.pk: run for run in (*runs.recent(_SHOWN), *finished)}
    return [_line(shown[number], behind.get(number)) for number in sorted(shown, reverse=True)]


def _next(at: int) -> str:
    when = datetime.datetime.fromtimestamp(max(at, 0), datetime.UTC)
    is_soon = when <= datetime.datetime.fromtimestamp(schedule.clock() + 60, datetime.UTC)
    return _("Soon") if is_soon else _("In %(time)s") % {"time": timeuntil(when)}


def _line(run: BackupRun, behind: int | None) -> Line:
    """`behind`: how many continue it; None for what is no finished backup."""
    state = run.state
    is_here = behind is not None and schedule.path_of(run).exists()
    return Line(
        number=run.pk,
        file=run.file,
        said=_said(run),
        is_good=state == runs.State.DONE,
        is_bad=state == runs.State.FAILED,
        is_running=state == runs.State.RUNNING,
        done=run.done,
        total=run.total,
        size=run.size,
        documents=run.documents,
        problem=_(run.problem) if run.problem and state != runs.State.CANCELLED else "",
        when=page.ago(datetime.datetime.fromtimestamp(run.started_at, datetime.UTC)),
        is_here=is_here,
        is_lost=behind is not None and not is_here,
        going_along=behind or 0,
    )


def _said(run: BackupRun) -> str:
    if run.is_test:
        return {
            "running": _("A restore is being tried"),
            "done": _("Can be restored: this was tried"),
            "failed": _("Could not be restored"),
        }.get(run.state, _("Cancelled"))
    return {
        "running": _("Is being made"),
        "done": _("Whole backup") if run.is_whole else _("What was new"),
        "failed": _("Did not work"),
    }.get(run.state, _("Cancelled"))

"""The page of backups: the passphrase, when they are made, what was made, and whether it holds."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Sequence
from typing import Any, NamedTuple

from channels.db import database_sync_to_async as in_database
from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.timesince import timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from kombu.exceptions import OperationalError

from acl.core.recovery import SHORTEST_PASSPHRASE
from thalihub import page, tasks
from thalihub.backups import schedule
from thalihub.backups.store import runs
from thalihub.live import LivePart
from thalihub.models import BackupRun

_DAY = 86_400
_SHOWN = 12
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


@admin.site.admin_view
def backups(request: HttpRequest) -> HttpResponse:
    """Show what was made; set the passphrase and the plan; begin, try or cancel."""
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
    number = given.get("cancel", "")
    if number.isascii() and number.isdigit():
        return page.acted(request, lambda: runs.cancel(int(number)), _("It ends in a moment."))
    return False


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
    tried = runs.last(is_test=True)
    return {
        "lines": [_line(run) for run in runs.recent(_SHOWN)],
        "is_set": bool(plan.lock),
        "next": _next(plan.next_at) if plan.lock and plan.every else "",
        "tried": tried and _line(tried),
        "chain": [str(settings.HUB_BACKUPS / name) for name in _newest()],
    }


def _newest() -> Sequence[str]:
    return [run.file for run in next(iter(runs.chains()), [])]


def _next(at: int) -> str:
    when = datetime.datetime.fromtimestamp(max(at, 0), datetime.UTC)
    is_soon = when <= datetime.datetime.fromtimestamp(schedule.clock() + 60, datetime.UTC)
    return _("Soon") if is_soon else _("In %(time)s") % {"time": timeuntil(when)}


def _line(run: BackupRun) -> Line:
    state = run.state
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

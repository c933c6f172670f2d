"""What every page of the owner does: stand behind the login, act on a form, say what came of it."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from acl.core.errors import HubError
from thalihub import sentences

Verb = Callable[[], object]


def shown(
    request: HttpRequest, template: str, title: str, *, status: int = 200, **more: Any
) -> HttpResponse:
    """Answer with a page in the frame that all have in common."""
    context = {**admin.site.each_context(request), "title": title, **more}
    return render(request, template, context, status=status)


def acted(request: HttpRequest, verb: Verb, said: str) -> bool:
    """Do what a form asks for; the next page says `said`, or why not."""
    try:
        verb()
    except HubError as error:
        messages.error(request, words(error))
        return False
    messages.success(request, said)
    return True


def words(error: HubError) -> str:
    """Return what went wrong, in the person's language."""
    return sentences.said(error.reason) or error.word


def ago(at: datetime.datetime | None) -> str:
    """Return how long ago that was, in words."""
    if at is None:
        return _("Not yet")
    if timezone.now() - at < datetime.timedelta(minutes=1):
        return _("Just now")
    return _("%(ago)s ago") % {"ago": timesince(at)}

"""The pages of local applications: who asks for what, and which there are.

An application opens `/apps/connect?name=…&databases=…&origin=…` in the owner's browser.  That only
fills in a form: nothing is given before the owner, logged in, has sent it.  What is made is shown
in the answer to that form and never again.
"""

from __future__ import annotations

import base64
import datetime
from functools import partial
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from acl import sql, store
from acl.core.errors import HubError
from acl.models import Grant, Principal
from couchapi.store import databases
from thalihub import applications, datafolder
from thalihub.applications import Wanted
from thalihub.pages import page
from thalihub.pages.applicationforms import (
    KEY,
    TOKEN,
    ConnectForm,
    DatabaseRows,
    LifetimeForm,
    asked,
)


class Shown(NamedTuple):
    """An application as the list shows it."""

    principal: Principal
    has_token: bool
    ends: datetime.datetime | None
    has_ended: bool
    used: datetime.datetime | None
    grants: list[Grant]
    origins: list[str]


class Download(NamedTuple):
    """A file that exists in the page alone."""

    label: str
    name: str
    url: str


@never_cache
def connect(request: HttpRequest) -> HttpResponse:
    """Show the owner who asks for what, and connect the application."""
    is_owner = admin.site.has_permission(request)
    if not is_owner and request.headers.get("sec-fetch-site") == "cross-site":
        # A browser keeps the login from links of other sites; from this page it does not.
        return page.shown(request, "apps/knock.html", _("An application asks"))
    answer: HttpResponse = _decide(request)
    return answer


@admin.site.admin_view
@sensitive_post_parameters()
def _decide(request: HttpRequest) -> HttpResponse:
    if "refuse" in request.POST:
        messages.info(request, _("Refused. Nothing was changed."))
        return redirect("applications")
    first, rows = asked(request.GET)
    sent = request.POST or None
    form = ConnectForm(sent, request.FILES or None, initial=first)
    lines = DatabaseRows(sent, initial=rows, prefix="db")
    if sent is not None and form.is_valid() and lines.is_valid():
        try:
            return _made(request, form, form.wanted(lines.rights()))
        except HubError as error:
            form.add_error(None, page.words(error))
    context = {"form": form, "rows": lines, "asked": first, "wanted": rows}
    context["existing"] = sql.read_sync(databases.names)
    return page.shown(request, "apps/connect.html", _("Connect an application"), **context)


@sensitive_variables()
def _made(request: HttpRequest, form: ConnectForm, wanted: Wanted) -> HttpResponse:
    """Connect the application, and show what proves who it is: this once."""
    way, now = form.cleaned_data["way"], timezone.now()
    if way == TOKEN:
        token = applications.add_with_token(wanted, now, form.days_wanted())
        return _shown_once(request, wanted.name, token=token)
    if way == KEY:
        files = applications.add_with_key(wanted)
        found = [
            _download(_("For a browser (PKCS#12)"), f"{wanted.name}.p12", files.pkcs12),
            _download(_("For a program (PEM)"), f"{wanted.name}.pem", files.pem),
        ]
        return _shown_once(request, wanted.name, passphrase=files.passphrase, files=found)
    certificate = applications.add_with_request(wanted, form.request_text(), now)
    found = [_download(_("Its certificate (PEM)"), f"{wanted.name}.crt", certificate)]
    return _shown_once(request, wanted.name, files=found)


def _download(label: str, name: str, content: bytes) -> Download:
    url = f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"
    return Download(label, name, url)


def _shown_once(request: HttpRequest, name: str, **secrets: Any) -> HttpResponse:
    [shown] = [one for one in store.list_applications() if one.principal.name == name]
    hub = datafolder.facts_of(settings.HUB_DATA)
    more = {"name": name, "grants": shown.grants, "hub": hub, **secrets}
    title = _("%(name)s is connected") % {"name": name}
    answer = page.shown(request, "apps/made.html", title, **more)
    answer["Cache-Control"] = "no-store"
    return answer


@never_cache
@admin.site.admin_view
def applications_page(request: HttpRequest) -> HttpResponse:
    """Show all applications; give new tokens, revoke, allow again, forget."""
    name = request.POST.get("name", "")
    if "token" in request.POST:
        return _new_token(request, name)
    if request.method == "POST":
        _change(request, name)
        return redirect("applications")
    found = [_shown(one) for one in store.list_applications()]
    connect_url = request.build_absolute_uri(reverse("connect"))
    context = {"applications": found, "lifetime": LifetimeForm(), "connect_url": connect_url}
    title = _("Applications")
    hub = datafolder.facts_of(settings.HUB_DATA)
    return page.shown(request, "apps/applications.html", title, hub=hub, **context)


@sensitive_variables()
def _new_token(request: HttpRequest, name: str) -> HttpResponse:
    form = LifetimeForm(request.POST)
    try:
        if form.is_valid():
            token = applications.new_token(name, timezone.now(), form.days_wanted())
            return _shown_once(request, name, token=token, is_new=True)
    except HubError as error:
        messages.error(request, page.words(error))
    return redirect("applications")


def _change(request: HttpRequest, name: str) -> None:
    verbs = {
        "revoke": (
            partial(store.revoke_application, now=int(timezone.now().timestamp())),
            _("Revoked. It is refused from the next request on."),
        ),
        "restore": (
            store.restore_application,
            _("Allowed again. If it had a token, it needs a new one."),
        ),
        "forget": (_forget, _("Forgotten. Its data is still here.")),
    }
    for asked_for, (verb, said) in verbs.items():
        if asked_for in request.POST:
            page.acted(request, partial(verb, name), said)


def _forget(name: str) -> None:
    store.find_application(name)
    store.remove_principal(name)


def _shown(one: store.Application) -> Shown:
    end = one.token.expires_at if one.token else None
    return Shown(
        one.principal,
        one.token is not None,
        _time(end),
        end is not None and end <= timezone.now().timestamp(),
        _time(one.used_at),
        one.grants,
        one.origins,
    )


def _time(seconds: int | None) -> datetime.datetime | None:
    return None if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.UTC)

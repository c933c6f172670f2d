"""The page of a database's ACL: who can read and write, through which group, and as whom it looks.

What a principal can do is asked of the gate, never worked out here: the page shows what holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from acl import gate, sql
from acl import store as people
from acl.authentication import OWNERS, Caller
from acl.core.errors import HubError
from acl.core.policy import ADDRESSBOOK, Permit
from acl.models import Grant, Group, Principal
from couchapi.store import databases
from replication.books.names import INBOX, ME
from thalihub.pages.page import words


class Held(NamedTuple):
    """What one principal can do with a database, and by which lines."""

    name: str
    through: str
    permit: Permit


class GrantForm(forms.Form):
    """One more line of the ACL."""

    who = forms.ChoiceField(label=gettext_lazy("Person or group"))
    read = forms.BooleanField(label=gettext_lazy("may read"), required=False, initial=True)
    write = forms.BooleanField(label=gettext_lazy("may write"), required=False)
    view = forms.CharField(
        label=gettext_lazy("Only this view"),
        required=False,
        max_length=512,
        help_text=gettext_lazy("Empty for the whole database; else design/view."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [one.name for one in _sharable()] + [name for name, _members in _groups()]
        self.fields["who"].choices = [(name, name) for name in names]


def _sharable() -> list[Principal]:
    return [one for one in people.list_principals() if one.kind not in OWNERS]


def _groups() -> list[tuple[str, list[str]]]:
    return people.list_groups()


@admin.site.admin_view
def page(request: HttpRequest) -> HttpResponse:
    """Show the ACLs; add and remove lines."""
    names = [name for name in sql.read_sync(databases.names) if name != ADDRESSBOOK]
    db_name = _chosen(request.GET.get("database", ""), names)
    form = GrantForm(
        request.POST if "add" in request.POST else None, initial={"who": request.GET.get("who")}
    )
    if request.method == "POST" and db_name and _changed(request, db_name, form):
        return redirect(f"{reverse('sharing')}?{urlencode({'database': db_name})}")
    context = {
        **admin.site.each_context(request),
        **_of_database(db_name),
        **_seen_as(request.GET.get("as", "")),
        "title": _("Sharing"),
        "names": names,
        "form": form,
        "who": request.GET.get("who", ""),
        "can_share": bool(form.fields["who"].choices),
    }
    return render(request, "hub/sharing.html", context)


def _chosen(asked: str, names: Sequence[str]) -> str:
    """Return the database that was asked for, else one that an application has made."""
    own = (*(name for name in names if name not in (INBOX, ME)), *names)
    return asked if asked in names else next(iter(own), "")


def _changed(request: HttpRequest, db_name: str, form: GrantForm) -> bool:
    try:
        if "remove" in request.POST:
            _remove(request.POST["remove"], db_name)
        elif form.is_valid():
            _add(db_name, form.cleaned_data)
        else:
            return False
    except HubError as error:
        messages.error(request, words(error))
        return False
    messages.success(request, _("Done. It holds from the next request on."))
    return True


def _add(db_name: str, wanted: dict[str, Any]) -> None:
    rights = {name: wanted[name] for name in ("read", "write", "view")}
    people.add_grant(db_name, wanted["who"], **rights)


def _remove(number: str, db_name: str) -> None:
    for line in people.list_grants(db_name):
        if str(line.pk) == number:
            line.delete()


def _of_database(db_name: str) -> dict[str, Any]:
    lines = people.list_grants(db_name) if db_name else []
    held = [_held(one, db_name, lines) for one in _sharable()]
    visible = [one for one in held if one.permit.is_visible]
    return {"db_name": db_name, "lines": lines, "held": visible}


def _held(principal: Principal, db_name: str, lines: Sequence[Grant]) -> Held:
    permit = _permit(principal, db_name)
    groups = {line.group.name for line in lines if isinstance(line.group, Group)}
    ways = [_("directly")] if any(line.principal == principal for line in lines) else []
    ways += sorted(groups.intersection(permit.groups))
    return Held(principal.name, ", ".join(ways), permit)


def _seen_as(name: str) -> dict[str, Any]:
    known = people.list_principals()
    chosen = next((one for one in known if one.name == name), None)
    return {"principals": known, "chosen": chosen, "seen": seen_by(chosen) if chosen else []}


def seen_by(principal: Principal) -> list[tuple[str, Permit]]:
    """Return the databases that a principal can do something with, and what."""
    names = sql.read_sync(databases.names)
    permits = [(db_name, _permit(principal, db_name)) for db_name in names]
    return [(db_name, permit) for db_name, permit in permits if permit.is_visible]


def _permit(principal: Principal, db_name: str) -> Permit:
    caller = Caller(
        principal.pk,
        principal.name,
        principal.key,
        principal.key,
        principal.kind in OWNERS,
        has_certificate=True,
    )
    permit: Permit = async_to_sync(gate.permit_of)(caller, db_name)
    return permit

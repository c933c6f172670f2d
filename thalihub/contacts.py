"""The address book: whom the owner knows, by which key, and what they can see."""

from __future__ import annotations

import datetime
from functools import partial
from typing import NamedTuple

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from acl import store as people
from acl.core.policy import Permit
from acl.models import Principal
from acl.store.people import rename_principal
from thalihub import page, sharing


class Contact(NamedTuple):
    """Somebody as the pages show them."""

    pk: int
    name: str
    key_text: str
    short_key: str
    revoked: bool
    trust: str = ""
    introduced_by: str = ""
    last_seen: datetime.datetime | None = None


@admin.site.admin_view
def contacts(request: HttpRequest) -> HttpResponse:
    """Show the address book."""
    return page.shown(request, "people/contacts.html", _("People"), contacts=everybody())


@admin.site.admin_view
def contact(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one person; rename and forget them."""
    found = next((one for one in everybody() if one.pk == pk), None)
    if found is None:
        raise Http404
    if request.method == "POST":
        return _change(request, found)
    more = {"contact": found, "groups": _groups_of(found.name), "seen": _seen_by(found.name)}
    return page.shown(request, "people/contact.html", found.name, **more)


def everybody() -> list[Contact]:
    """Return all friends by name."""
    return [
        Contact(one.pk, one.name, one.key_text, one.short_key, one.revoked)
        for one in people.list_principals()
        if one.kind == Principal.Kind.FRIEND
    ]


def _change(request: HttpRequest, contact: Contact) -> HttpResponse:
    """Do what the form asks for, and lead to the page that comes next."""
    if "rename" in request.POST:
        new_name = request.POST.get("name", "").strip()
        page.acted(request, partial(rename_principal, contact.name, new_name), _("Renamed."))
    elif "forget" in request.POST:
        said = _("Forgotten. What you had shared with them is closed to them.")
        if page.acted(request, partial(people.remove_principal, contact.name), said):
            return redirect("people")
    return redirect("contact", contact.pk)


def _groups_of(name: str) -> list[str]:
    return [group for group, members in people.list_groups() if name in members]


def _seen_by(name: str) -> list[tuple[str, Permit]]:
    return sharing.seen_by(people.find_principal(name))

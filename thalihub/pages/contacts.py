"""The address book: whom the owner knows, by which key, and what they can see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from acl import store as people
from acl.core.keys import key_text
from acl.core.policy import Permit
from acl.models import Principal
from acl.store.people import rename_principal
from discovery import store as discovery
from discovery.store import Contact as Met
from thalihub.pages import page, shares, sharing


class Contact(NamedTuple):
    """Somebody as the pages show them."""

    pk: int
    name: str
    key: str
    key_text: str
    short_key: str
    revoked: bool
    trust: str = ""
    introduced_by: str = ""
    last_seen: str = ""
    addresses: Sequence[str] = ()
    other_key: str = ""
    """The text of another key that was shown for them."""


class Claim(NamedTuple):
    """One of the keys that a name stands for, and who says so."""

    key_text: str
    by: str


@admin.site.admin_view
def contacts(request: HttpRequest) -> HttpResponse:
    """Show the address book."""
    more = {"contacts": everybody(), "clashes": _clashes()}
    return page.shown(request, "people/contacts.html", _("People"), **more)


def _clashes() -> list[tuple[str, list[Claim]]]:
    spelt = {one.name.casefold(): one.name for one in everybody()}
    return [
        (
            spelt.get(clash.what, clash.what),
            sorted((Claim(key_text(key), by) for key, by in clash.said), key=lambda one: one.by),
        )
        for clash in discovery.clashes()
    ]


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
    met = {one.principal_id: one for one in discovery.list_contacts()}
    return [
        _contact(one, *_facts(met, one.pk))
        for one in people.list_principals()
        if one.kind == Principal.Kind.FRIEND
    ]


def _contact(one: Principal, *facts: Any) -> Contact:
    return Contact(one.pk, one.name, one.key, one.key_text, one.short_key, one.revoked, *facts)


def _facts(met: Mapping[int, Met], pk: int) -> tuple[Any, ...]:
    """Return what is known of somebody who was met by pairing."""
    one = met.get(pk)
    if one is None:
        return ()
    other = key_text(one.other_key) if one.other_key else ""
    return one.trust, one.introduced_by, page.ago(one.last_seen), one.addresses, other


def _change(request: HttpRequest, contact: Contact) -> HttpResponse:
    """Do what the form asks for, and lead to the page that comes next."""
    if "rename" in request.POST:
        new_name = request.POST.get("name", "").strip()
        page.acted(request, partial(rename_principal, contact.name, new_name), _("Renamed."))
    elif db_name := request.POST.get("keep"):
        verb = partial(shares.keep, contact.name, contact.key, contact.addresses, db_name)
        page.acted(request, verb, _("A copy is being fetched, and follows from now on."))
    elif db_name := request.POST.get("leave"):
        verb = partial(shares.leave, contact.key, db_name)
        page.acted(request, verb, _("It follows no longer. What is here stays."))
    elif "asked" in request.POST:
        verb = partial(discovery.forget_alarm, contact.name)
        page.acted(request, verb, _("Good. The key that you know stays the right one."))
    elif "forget" in request.POST:
        said = _("Forgotten. What you had shared with them is closed to them.")
        if page.acted(request, partial(_forget, contact), said):
            return redirect("people")
    return redirect("contact", contact.pk)


def _forget(contact: Contact) -> None:
    shares.leave(contact.key)
    people.remove_principal(contact.name)


def _groups_of(name: str) -> list[str]:
    return [group for group, members in people.list_groups() if name in members]


def _seen_by(name: str) -> list[tuple[str, Permit]]:
    return sharing.seen_by(people.find_principal(name))

"""The page of groups: people and other groups under one name, so that sharing takes one line."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from acl import store as people
from acl.authentication import OWNERS
from acl.core.errors import HubError
from discovery import pairing
from discovery import store as discovery
from thalihub.pages import page


class Shown(NamedTuple):
    """A group as the page shows it."""

    name: str
    members: list[str]
    candidates: list[str]
    databases: list[str]


@admin.site.admin_view
def groups(request: HttpRequest) -> HttpResponse:
    """Show all groups; make them, fill them, take them away."""
    if request.method == "POST":
        return _published(request) if "publish" in request.POST else _change(request)
    return page.shown(request, "people/groups.html", _("Groups"), groups=_all())


def _published(request: HttpRequest) -> HttpResponse:
    """Give the cards of the group's people as a file that our person has signed."""
    group = request.POST.get("group", "")
    members = dict(people.list_groups()).get(group, [])
    met = {one.name for one in discovery.list_contacts()}
    wanted = [name for name in members if name in met]
    try:
        text = async_to_sync(pairing.publish_group)(group, wanted, timezone.now())
    except HubError as error:
        messages.error(request, page.words(error))
        return redirect("groups")
    answer = HttpResponse(text, content_type="application/json")
    answer["Content-Disposition"] = 'attachment; filename="group.json"'
    return answer


def _change(request: HttpRequest) -> HttpResponse:
    group, name = request.POST.get("group", "").strip(), request.POST.get("name", "")
    verbs = {
        "make": (partial(people.add_group, group), _("The group is there. Who is in it?")),
        "add": (partial(people.add_member, group, name), _("Added.")),
        "remove": (partial(people.remove_member, group, name), _("Taken out of the group.")),
        "delete": (
            partial(people.remove_group, group),
            _("The group is gone, and what it could see with it. The people are still there."),
        ),
    }
    for asked, (verb, said) in verbs.items():
        if asked in request.POST:
            page.acted(request, verb, said)
    return redirect("groups")


def _all() -> list[Shown]:
    found = people.list_groups()
    known = [one.name for one in people.list_principals() if one.kind not in OWNERS]
    everybody = known + [name for name, _members in found]
    shared: dict[str, list[str]] = {}
    for grant in people.list_grants():
        if grant.group is not None:
            shared.setdefault(grant.group.name, []).append(grant.database)
    return [
        Shown(
            name,
            members,
            [one for one in everybody if one != name and one not in members],
            sorted(set(shared.get(name, ()))),
        )
        for name, members in found
    ]

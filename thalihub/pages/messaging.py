"""The page of the inbox: what friends have sent unasked; each message is kept or thrown away.

The inbox is a database like others: friends may write there and read nothing.  A message is any
document; who has sent it is what it says, for nobody but its writer has signed for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import orjson
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from acl import sql
from acl.core.errors import HubError
from acl.core.policy import ADDRESSBOOK
from couchapi import reader, writing
from couchapi.core import attached, docjson, incoming, revid
from couchapi.core.errors import NotFound
from couchapi.core.params import DocumentQuery
from couchapi.reader import Form
from couchapi.store import databases, documents
from couchapi.store.documents import Found, Range
from couchapi.store.writes import OURSELVES, Write
from replication.books.names import INBOX, ME
from thalihub.pages import page

_MOST_SHOWN = 100
_MOST_TEXT = 4_000
_WORDS = {
    "sender": ("from", "sender", "author", "name"),
    "subject": ("subject", "title"),
    "text": ("text", "body", "message", "content"),
}


class Message(NamedTuple):
    """A document of the inbox as the page shows it."""

    docid: str
    rev: str
    sender: str
    subject: str
    text: str
    attachments: list[str]
    everything: str


@admin.site.admin_view
def inbox(request: HttpRequest) -> HttpResponse:
    """Show what came in; keep it in a database, or throw it away."""
    names = sql.read_sync(databases.names)
    targets = [name for name in names if name not in (INBOX, ME, ADDRESSBOOK)]
    if request.method == "POST":
        _change(request, targets)
        return redirect("inbox")
    found = sql.read_sync(_documents) if INBOX in names else []
    more = {"found": [_message(one) for one in found], "targets": targets}
    return page.shown(request, "people/inbox.html", _("Inbox"), **more)


def _change(request: HttpRequest, targets: list[str]) -> None:
    docid, rev = request.POST.get("id", ""), request.POST.get("rev", "")
    target = request.POST.get("target", "")
    if "delete" in request.POST:
        page.acted(request, partial(async_to_sync(_throw_away), docid, rev), _("Thrown away."))
    elif target in targets:
        said = _("It is in %(name)s now.") % {"name": target}
        page.acted(request, partial(async_to_sync(_file), docid, rev, target), said)


def _documents(connection: sql.Sql) -> list[Found]:
    """Return the newest; ids are not in the order of time, so all have to be looked at."""
    database = databases.get(connection, INBOX)
    found = documents.page(connection, database.id, Range(), after=None, skip=0, limit=1000)
    messages = [one for one in found if not one.docid.startswith("_design/")]
    return sorted(messages, key=lambda one: -one.seq)[:_MOST_SHOWN]


def _message(found: Found) -> Message:
    body = orjson.loads(found.body)
    said = {what: _said(body, names) for what, names in _WORDS.items()}
    everything = orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()
    return Message(
        found.docid,
        found.rev,
        **said,
        attachments=sorted(attached.decode(found.attachments)),
        everything=everything[:_MOST_TEXT],
    )


def _said(body: Mapping[str, Any], names: tuple[str, ...]) -> str:
    values = (body.get(name) for name in names)
    return next((one[:_MOST_TEXT] for one in values if isinstance(one, str)), "")


async def _throw_away(docid: str, rev: str) -> None:
    await _written(INBOX, Write(docid, revid.parse(rev), True, b"{}"))


async def _file(docid: str, rev: str, target: str) -> None:
    """Copy a message with all that is attached to it, then take it out of the inbox."""
    opened = await sql.scan(
        partial(
            reader.winner,
            db_name=INBOX,
            docid=docid,
            wanted=DocumentQuery(),
            form=Form(inline=True),
            visible=None,
        )
    )
    if opened.rev != rev:
        raise NotFound(_("This message has changed meanwhile. Look at it again."))
    parts = docjson.split(docjson.parse(opened.text))
    attachments = incoming.read(parts.attachments or {})
    await _written(target, Write(docid, None, False, parts.body, attachments=attachments))
    await _throw_away(docid, rev)


async def _written(db_name: str, one: Write) -> None:
    ((_docid, result),) = await writing.store(db_name, [one], OURSELVES)
    if isinstance(result, HubError):
        raise result

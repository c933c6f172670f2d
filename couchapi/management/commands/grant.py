"""`manage.py grant`: who may read and write which database."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

import orjson

from acl import store
from acl.core.errors import BadName
from acl.management.base import SubcommandsCommand, table, takes_json
from acl.models import Grant
from couchapi.core import mango
from couchapi.management.commands.database import find_database

_RIGHTS = ("read", "write")


class Command(SubcommandsCommand):
    """Grant rights on databases, list them, and take them back."""

    help = "Grant rights on databases, list them, and take them back."

    def add_subcommands(self) -> None:
        """Add, remove, list."""
        add = self.subcommand("add", "Grant rights to a principal or a group.", self._add)
        _describe(add)
        add.add_argument("--selector", metavar="JSON", default="", help="only documents that match")
        remove = self.subcommand("remove", "Take rights back.", self._remove)
        _describe(remove, rights_needed=False)
        shown = self.subcommand("list", "List who may what.", self._list)
        shown.add_argument("database", metavar="DB", nargs="?", help="of this database only")
        takes_json(shown)

    def _add(self, options: Mapping[str, Any]) -> None:
        db_name, name = options["database"], options["name"]
        find_database(db_name)
        _check_selector(options["selector"])
        store.add_grant(
            db_name,
            name,
            **_rights(options["rights"]),
            view=options["view"],
            selector=options["selector"],
        )
        self.say(f"{name} may {options['rights']} {options['view'] or db_name}.")

    def _remove(self, options: Mapping[str, Any]) -> None:
        db_name, name = options["database"], options["name"]
        store.remove_grant(db_name, name, **_rights(options["rights"]), view=options["view"])
        self.say(f"{name} may no longer {options['rights']} {options['view'] or db_name}.")

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = [_row(grant) for grant in store.list_grants(options["database"])]
        self.show(rows, options["json"], lambda: _told(rows))


def _describe(parser: ArgumentParser, *, rights_needed: bool = True) -> None:
    choices = [*_RIGHTS, ",".join(_RIGHTS)]
    help_text = " or ".join(choices) + ("" if rights_needed else " (default: both)")
    parser.add_argument("database", metavar="DB")
    parser.add_argument(
        "rights",
        metavar="RIGHTS",
        choices=choices,
        nargs=None if rights_needed else "?",
        default=choices[-1],
        help=help_text,
    )
    parser.add_argument("name", metavar="NAME-OR-GROUP")
    parser.add_argument("--view", metavar="DDOC/VIEW", default="", help="this one view, to read")


def _rights(text: str) -> dict[str, bool]:
    named = text.split(",")
    return {right: right in named for right in _RIGHTS}


def _check_selector(text: str) -> None:
    """Refuse a selector now that would show nothing later; raises BadRequest, BadName."""
    if not text:
        return
    try:
        selector = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadName('A selector is a JSON object, such as {"type": "photo"}.') from None
    mango.compile(selector)


def _row(grant: Grant) -> dict[str, Any]:
    return {
        "database": grant.database,
        "to": str(grant.principal or grant.group),
        "is_group": grant.group is not None,
        "read": grant.read,
        "write": grant.write,
        "admin": grant.admin,
        "view": grant.view or None,
        "selector": orjson.loads(grant.selector) if grant.selector else None,
    }


def _told(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "Nobody but you may do anything. Share with: manage.py grant add DB read NAME"
    return table([(row["database"], row["to"], _words(row)) for row in rows])


def _words(row: Mapping[str, Any]) -> str:
    words = [right for right in (*_RIGHTS, "admin") if row[right]]
    if row["view"]:
        words.append(f"view {row['view']}")
    if row["selector"] is not None:
        words.append(f"where {orjson.dumps(row['selector']).decode()}")
    return " ".join(words)

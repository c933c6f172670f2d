"""`manage.py application`: local applications that are known by a token.

Those with a key of their own are made by `manage.py principal add --kind application`.
"""

from __future__ import annotations

import datetime
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from acl import store
from acl.management.base import SubcommandsCommand, table, takes_json
from acl.models import Grant
from acl.store import Application
from thalihub import applications
from thalihub.applications import Wanted


class Command(SubcommandsCommand):
    """Connect applications, give them new tokens, and take them away."""

    help = "Connect local applications by tokens, give them new ones, and revoke them."

    def add_subcommands(self) -> None:
        """Add, list, token, revoke, allow."""
        self._describe_add(self.subcommand("add", "Connect one, and print its token.", self._add))
        takes_json(self.subcommand("list", "List the applications.", self._list))
        token = self.subcommand("token", "Print a new token; the one before ends.", self._token)
        revoke = self.subcommand("revoke", "End its token, and take its rights.", self._revoke)
        allow = self.subcommand("allow", "Allow a revoked application again.", self._allow)
        for parser in (token, revoke, allow):
            parser.add_argument("name", metavar="NAME")
        _takes_days(token)
        takes_json(token)

    def _describe_add(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="your name for it")
        parser.add_argument(
            "--database",
            metavar="DB[:rwa]",
            action="append",
            default=[],
            help="a database that it may read (r), write (w), administer (a); made if it is not "
            "there (default: rw)",
        )
        parser.add_argument(
            "--origin", metavar="ORIGIN", action="append", default=[], help="pages that may use it"
        )
        parser.add_argument(
            "--create-databases", action="store_true", help="it may make databases of its own"
        )
        _takes_days(parser)
        takes_json(parser)

    def _add(self, options: Mapping[str, Any]) -> None:
        rights = [applications.parse_rights(text) for text in options["database"]]
        wanted = Wanted(options["name"], rights, options["origin"], options["create_databases"])
        token = applications.add_with_token(wanted, timezone.now(), options["days"])
        self._show_token(options, token)

    def _token(self, options: Mapping[str, Any]) -> None:
        token = applications.new_token(options["name"], timezone.now(), options["days"])
        self._show_token(options, token)

    def _show_token(self, options: Mapping[str, Any], token: str) -> None:
        shown = {"name": options["name"], "token": token}
        self.show(shown, options["json"], lambda: f"Its token, shown this once:\n{token}")

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = [_row(one) for one in store.list_applications()]
        self.show(rows, options["json"], lambda: _told(rows))

    def _revoke(self, options: Mapping[str, Any]) -> None:
        store.revoke_application(options["name"], int(timezone.now().timestamp()))
        self.say(f"Revoked {options['name']}: it is refused from the next request on.")

    def _allow(self, options: Mapping[str, Any]) -> None:
        store.restore_application(options["name"])
        self.say(f"Allowed {options['name']} again. If it had a token, it needs a new one.")


def _takes_days(parser: ArgumentParser) -> None:
    parser.add_argument("--days", type=int, metavar="N", help="the token ends after N days")


def _row(one: Application) -> dict[str, Any]:
    return {
        "name": one.principal.name,
        "revoked": one.principal.revoked,
        "has_token": one.token is not None,
        "token_ends": _date(one.token.expires_at if one.token else None),
        "last_used": _date(one.used_at),
        "databases": [_rights(grant) for grant in one.grants],
        "origins": one.origins,
    }


def _rights(grant: Grant) -> str:
    held = {"r": grant.read, "w": grant.write, "a": grant.admin}
    return f"{grant.database}:{''.join(letter for letter, has in held.items() if has)}"


def _date(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()


def _told(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "None yet. Connect one with: manage.py application add NAME --database DB"
    return table([(row["name"], " ".join(row["databases"]), _remark(row)) for row in rows])


def _remark(row: Mapping[str, Any]) -> str:
    if row["revoked"]:
        return "revoked"
    used = f"last used {row['last_used']}" if row["last_used"] else "not used yet"
    return f"{used}, token until {row['token_ends']}" if row["token_ends"] else used

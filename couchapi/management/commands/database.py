"""`manage.py database`: the databases of this hub."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.conf import settings

from acl import sql
from acl.management.base import SubcommandsCommand, table, takes_json
from couchapi.core import names
from couchapi.core.errors import DatabaseMissing
from couchapi.store import databases


class Command(SubcommandsCommand):
    """Make, list and delete databases."""

    help = "Make, list and delete databases."

    def add_subcommands(self) -> None:
        """Create, list, delete."""
        create = self.subcommand("create", "Make a database.", self._create)
        create.add_argument("name", metavar="NAME")
        create.add_argument(
            "--conflict-policy",
            choices=["lww", "couch"],
            default=settings.HUB_CONFLICT_POLICY,
            help="lww: the last writer wins; couch: conflicts stay until a client resolves them",
        )
        takes_json(self.subcommand("list", "List the databases.", self._list))
        delete = self.subcommand(
            "delete", "Delete a database, with everything in it and its grants.", self._delete
        )
        delete.add_argument("name", metavar="NAME")
        local = self.subcommand(
            "local-only", "Keep a database on this hub, away from your other devices.", self._local
        )
        local.add_argument("name", metavar="NAME")
        local.add_argument("--off", action="store_true", help="keep it in step with them again")

    def _create(self, options: Mapping[str, Any]) -> None:
        name = names.check_database_name(options["name"])
        policy, epoch = options["conflict_policy"], secrets.token_hex(4)
        sql.write_sync(partial(databases.create, name=name, policy=policy, epoch=epoch))
        self.say(f"Made the database {name}.")

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = [_row(one) for one in sql.read_sync(databases.everything)]
        self.show(rows, options["json"], lambda: _told(rows))

    def _delete(self, options: Mapping[str, Any]) -> None:
        name = options["name"]
        find_database(name)
        sql.write_sync(partial(databases.drop, name=name))
        self.say(f"Deleted the database {name}.")

    def _local(self, options: Mapping[str, Any]) -> None:
        name, local_only = options["name"], not options["off"]
        find_database(name)
        sql.write_sync(partial(databases.set_local_only, name=name, local_only=local_only))
        where = "stays on this hub" if local_only else "is kept in step with your other devices"
        self.say(f"The database {name} {where}.")


def find_database(name: str) -> databases.DatabaseRow:
    """Return the database; raises DatabaseMissing with what to do next."""
    found = sql.read_sync(partial(databases.find, name=name))
    if found is None:
        raise DatabaseMissing(
            f"There is no database called {name}. See them with: manage.py database list"
        )
    return found


def _row(database: databases.DatabaseRow) -> dict[str, Any]:
    return {
        "name": database.name,
        "documents": database.doc_count,
        "bytes": database.body_size,
        "conflict_policy": database.conflict_policy,
        "local_only": database.local_only,
    }


def _told(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "No databases yet. Make one with: manage.py database create NAME"
    return table(
        [(row["name"], f"{row['documents']} documents", row["conflict_policy"]) for row in rows]
    )

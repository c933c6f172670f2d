"""`manage.py job`: what is replicated with whom, and how that goes."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from acl.management.base import SubcommandsCommand, table, takes_json
from couchapi.core import mango
from replication import manager
from replication.core.errors import BadJob
from replication.core.job import Direction, Mode, Priority, Wish
from replication.core.options import Options

_VERBS = {
    "pause": "Let a job rest.",
    "resume": "Let a job go on.",
    "run": "Run a job now.",
    "renew": "Let a job that would end last as long again.",
    "remove": "Forget a job; what it has replicated stays.",
}


class Command(SubcommandsCommand):
    """Add, list, pause and remove jobs of replication."""

    help = "Add, list, pause and remove jobs of replication."

    def add_subcommands(self) -> None:
        """Add, list, pause, resume, run, renew, remove."""
        self._describe_add(self.subcommand("add", "Replicate a database with somebody.", self._add))
        takes_json(self.subcommand("list", "List all jobs, and how they are.", self._list))
        for verb, does in _VERBS.items():
            parser = self.subcommand(verb, does, self._change)
            parser.set_defaults(verb=verb)
            parser.add_argument("id", metavar="ID", type=int, help="see: manage.py job list")

    def _describe_add(self, parser: ArgumentParser) -> None:
        parser.add_argument("database", metavar="DB")
        parser.add_argument(
            "peer",
            metavar="PRINCIPAL-OR-GROUP-OR-URL",
            help="a name, “my devices”, httpkey://…, thaligroup:/… or https://server/database",
        )
        way = parser.add_mutually_exclusive_group(required=True)
        for direction, does in (("pull", "from them"), ("push", "to them"), ("both", "both ways")):
            way.add_argument(
                f"--{direction}", dest="way", action="store_const", const=direction, help=does
            )
        often = parser.add_mutually_exclusive_group()
        often.add_argument("--continuous", action="store_true", help="go on, as changes come")
        often.add_argument("--every", metavar="SECONDS", type=int, help="again and again")
        often.add_argument("--once", action="store_true", help="until in step (default)")
        parser.add_argument(
            "--priority", choices=[one.value for one in Priority], default=Priority.NORMAL.value
        )
        parser.add_argument("--selector", metavar="JSON", help="only documents that it matches")
        parser.add_argument("--create-target", action="store_true", help="make what is missing")
        parser.add_argument(
            "--lasts", metavar="SECONDS", type=int, default=0, help="end unless renewed"
        )
        takes_json(parser)

    def _add(self, options: Mapping[str, Any]) -> None:
        number = manager.add(_wish(options), time.time())
        self.show({"id": number}, options["json"], lambda: f"Added job {number}.")

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = manager.listing(time.time())
        self.show(rows, options["json"], lambda: _told(rows))

    def _change(self, options: Mapping[str, Any]) -> None:
        number, verb = options["id"], options["verb"]
        if verb in ("run", "renew"):
            getattr(manager, verb)(number, time.time())
        else:
            getattr(manager, verb)(number)
        done = {"pause": "rests", "resume": "goes on", "run": "runs", "renew": "is renewed"}
        self.say(f"Job {number} {done.get(verb, 'is removed')}.")


def _wish(options: Mapping[str, Any]) -> Wish:
    mode = Mode.ONCE
    if options["every"] is not None:
        mode = Mode.PERIODIC
    elif options["continuous"]:
        mode = Mode.CONTINUOUS
    return Wish(
        options["database"],
        options["peer"],
        Direction(options["way"]),
        mode,
        options["every"] or 0,
        Priority(options["priority"]),
        Options(selector=_selector(options["selector"]), create_target=options["create_target"]),
        lasts=options["lasts"],
    )


def _selector(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        selector = json.loads(text)
    except ValueError as error:
        raise BadJob('A selector is JSON, such as \'{"type": "note"}\'.') from error
    if not isinstance(selector, dict):
        raise BadJob("A selector is a JSON object.")
    mango.compile(selector)
    return selector


def _told(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "No jobs yet. Make one with: manage.py job add DB PEER --both --continuous"
    return table(
        [
            (
                str(row["id"]),
                row["database"],
                row["direction"],
                row["peer"],
                row["state"],
                "" if row["changes_behind"] is None else f"{row['changes_behind']} behind",
                row["error"] or "",
            )
            for row in rows
        ]
    )

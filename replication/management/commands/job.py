"""`manage.py job`: what is replicated with whom, and how that goes."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from acl.management.base import SubcommandsCommand, table, takes_json
from couchapi.core import mango
from replication import hours, listing, manager
from replication.core.errors import BadJob
from replication.core.job import Direction, Mode, Priority, Wish
from replication.core.options import LATER, WITH, Options
from replication.core.policy import Network, Power, Rules, Runs
from replication.store.policy import Chosen

_VERBS = {
    "pause": "Let a job rest.",
    "resume": "Let a job go on.",
    "run": "Run a job now.",
    "renew": "Let a job that would end last as long again.",
    "remove": "Forget a job; what it has replicated stays.",
}

_WINDOWS = "“Mon-Fri 18:00-20:00; Sat 09:00-12:00”"


class Command(SubcommandsCommand):
    """Add, list, pause and remove jobs of replication."""

    help = "Add, list, pause and remove jobs of replication."

    def add_subcommands(self) -> None:
        """Add, list, pause, resume, run, renew, remove; policy, hours."""
        self._describe_add(self.subcommand("add", "Replicate a database with somebody.", self._add))
        takes_json(self.subcommand("list", "List all jobs, and how they are.", self._list))
        for verb, does in _VERBS.items():
            parser = self.subcommand(verb, does, self._change)
            parser.set_defaults(verb=verb)
            parser.add_argument("id", metavar="ID", type=int, help="see: manage.py job list")
        self._describe_policy(
            self.subcommand("policy", "Say or change what runs on battery.", self._policy)
        )
        hours = self.subcommand("hours", "Say when this hub can be reached.", self._hours)
        hours.add_argument("windows", metavar="WINDOWS", nargs="?", help=f"{_WINDOWS}, or always")
        takes_json(hours)

    def _describe_policy(self, parser: ArgumentParser) -> None:
        parser.add_argument("--network", choices=[*map(str, Network)], help="auto: as it tells")
        parser.add_argument("--power", choices=[*map(str, Power)], help="auto: as it tells")
        for case in ("metered", "battery", "low-battery"):
            parser.add_argument(f"--on-{case}", choices=[*map(str, Runs)], help="what runs then")
        parser.add_argument("--limit", metavar="BYTES", type=int, help="a second; 0: no limit")
        takes_json(parser)

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
        parser.add_argument("--window", metavar="WINDOWS", default="", help=f"only {_WINDOWS}")
        parser.add_argument(
            "--limit", metavar="BYTES", type=int, default=0, help="a second, at most"
        )
        parser.add_argument(
            "--attachments", choices=[LATER], default=WITH, help="after all other documents"
        )
        takes_json(parser)

    def _add(self, options: Mapping[str, Any]) -> None:
        number = manager.add(_wish(options), time.time())
        self.show({"id": number}, options["json"], lambda: f"Added job {number}.")

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = manager.listing(time.time())
        self.show(rows, options["json"], lambda: _told(rows))

    def _policy(self, options: Mapping[str, Any]) -> None:
        before = manager.chosen()
        wanted = _chosen(before, options)
        if wanted != before:
            manager.choose(wanted)
        said = listing.conditions()
        self.show(said, options["json"], lambda: _conditions(said))

    def _hours(self, options: Mapping[str, Any]) -> None:
        now = time.time()
        if options["windows"] is not None:
            manager.be_reached(hours.kept(options["windows"], now))
        kept = manager.reached()
        said = {"windows": kept or None}
        told = f"This hub can be reached {hours.shown(kept, now) or 'always'}."
        self.show(said, options["json"], lambda: told)

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
        Options(
            selector=_selector(options["selector"]),
            create_target=options["create_target"],
            attachments=options["attachments"],
        ),
        lasts=options["lasts"],
        windows=hours.kept(options["window"], time.time()),
        limit=options["limit"],
    )


def _chosen(before: Chosen, options: Mapping[str, Any]) -> Chosen:
    cases = ("on_metered", "on_battery", "on_low_battery")
    rules = [
        kept if options[name] is None else Runs(options[name])
        for name, kept in zip(cases, before.rules, strict=True)
    ]
    return Chosen(
        Network(options["network"] or before.network),
        Power(options["power"] or before.power),
        Rules(*rules),
        before.limit if options["limit"] is None else options["limit"],
    )


def _conditions(said: Mapping[str, Any]) -> str:
    return table([(name.replace("_", " "), _word(one)) for name, one in said.items()])


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "unknown"
    return ", ".join(value) or "none" if isinstance(value, list) else str(value)


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
                f"waits: {row['waits']}" if row["waits"] else "",
                row["error"] or "",
            )
            for row in rows
        ]
    )

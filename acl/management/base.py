"""What the commands of people and keys share: subcommands, plain refusals, JSON on request.

Exit codes are those of every command of the hub: 0 done, 1 refused with a sentence that says what
to do, 2 not understood (argparse).  The commands use the database themselves, so they work while
the hub runs and while it does not; they make no tables.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from acl import store
from acl.core.errors import HubError

Action = Callable[[Mapping[str, Any]], None]


class SubcommandsCommand(BaseCommand):
    """A command that is a family of subcommands; each one's action gets the options."""

    requires_system_checks: list[str] = []
    needs_tables = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Let the family describe itself."""
        self._family = parser.add_subparsers(required=True, metavar="SUBCOMMAND")
        self.add_subcommands()

    def add_subcommands(self) -> None:
        """Call `subcommand` for each."""
        raise NotImplementedError

    def subcommand(self, name: str, does: str, action: Action) -> ArgumentParser:
        """Add one; `does` is its help."""
        parser: ArgumentParser = self._family.add_parser(name, help=does, description=does)
        parser.set_defaults(action=action)
        return parser

    def handle(self, *args: Any, action: Action, **options: Any) -> None:
        """Run the chosen subcommand; what it refuses is said in its own words."""
        if self.needs_tables and not store.is_set_up():
            raise CommandError(
                "The hub's tables are not made yet. Start the hub once (make hub), or run: "
                "manage.py migrate"
            )
        try:
            if self.needs_tables:
                store.check_tables()
            action(options)
        except HubError as error:
            raise CommandError(error.reason) from error
        except UnicodeEncodeError as error:  # Arguments are bytes; these are no text.
            raise CommandError("A name has to be UTF-8. Check this terminal's locale.") from error

    def say(self, sentence: str) -> None:
        """Print what was done."""
        self.stdout.write(sentence)

    def show(self, rows: Any, as_json: bool, told: Callable[[], str]) -> None:
        """Print data, for programs or for people."""
        self.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) if as_json else told())


def takes_json(parser: ArgumentParser) -> None:
    """Add --json, for a subcommand that prints data."""
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows as columns of text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )

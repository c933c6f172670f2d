"""`manage.py doctor`: how the hub is, and what to do."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from acl import sql, store
from acl.core.errors import HubError
from acl.management.base import table
from thalihub import doctor
from thalihub.doctor import Finding


class Command(BaseCommand):
    """Look at everything."""

    help = (
        "Say how the hub is, one line for each concern, with what to do next. The exit code is 0 "
        "when all is well, 1 when something needs a hand soon, 2 when something does not work."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take --json."""
        parser.add_argument("--json", action="store_true", help="print it as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the findings."""
        _check_tables()
        findings = doctor.examine()
        said = {"light": doctor.worst(findings), "concerns": [one._asdict() for one in findings]}
        self.stdout.write(json.dumps(said, indent=2) if options["json"] else _told(findings))
        if code := doctor.exit_code(findings):
            sys.exit(code)


def _check_tables() -> None:
    """Raise CommandError where there is no hub, or the tables of another version."""
    try:
        if not store.is_set_up():
            raise CommandError("There is no hub here yet. Start it: manage.py hub", returncode=2)
        store.check_tables()
    except HubError as error:
        raise CommandError(error.reason, returncode=2) from None
    except Exception as error:
        if not sql.is_away(error):  # That is a finding.
            raise


def _told(findings: Sequence[Finding]) -> str:
    return table([(one.light, one.label, f"{one.said} {one.to_do}".strip()) for one in findings])

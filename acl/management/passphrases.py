"""Where commands get a passphrase from: HUB_PASSPHRASE, or the person at the terminal.

Never an argument: the arguments of a process are public on its machine.
"""

from __future__ import annotations

import getpass
import os
import sys

from django.core.management.base import CommandError


def asked(prompt: str) -> str:
    """Return the passphrase; raises CommandError where nobody can be asked."""
    given = os.environ.get("HUB_PASSPHRASE")
    if given:
        return given
    if not sys.stdin.isatty():
        raise CommandError("There is no terminal to ask at. Put the passphrase in HUB_PASSPHRASE.")
    return getpass.getpass(prompt)


def new(shortest: int) -> str:
    """Return a new passphrase, asked for twice; raises CommandError."""
    first = asked(f"New passphrase, {shortest} characters or more: ")
    if asked("The same again: ") != first:
        raise CommandError("These were two passphrases. Try again.")
    return first

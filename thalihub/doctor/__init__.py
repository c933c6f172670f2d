"""How the hub is: one line for each concern, with a light and what to do next.

A concern is a function that returns findings; it registers itself with `concern`, so each part of
the hub adds its own.  The page, `manage.py doctor`, the health check and the metrics all ask here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from importlib import import_module
from typing import Final, NamedTuple

from django.utils.translation import gettext as _

from acl import sql

_log = logging.getLogger(__name__)


class Light(StrEnum):
    """What a finding means."""

    GREEN = "green"
    OFF = "off"
    """Nobody wants it."""
    AMBER = "amber"
    RED = "red"


class Finding(NamedTuple):
    """One line."""

    concern: str
    """Its name, for programs."""
    label: str
    light: Light
    said: str
    to_do: str = ""
    """What to do next; empty where there is nothing to do."""
    page: str = ""
    """The name of the page where that is done."""
    about: str = ""
    """Whom or what it is about, where a concern has several lines."""


Look = Callable[[float], Sequence[Finding]]

_looks: dict[str, Look] = {}
_MODULES: Final = ("processes", "data", "others")
_CODES: Final = {Light.GREEN: 0, Light.OFF: 0, Light.AMBER: 1, Light.RED: 2}


def concern(name: str) -> Callable[[Look], Look]:
    """Register a function that is given the time (Unix seconds) and returns findings."""

    def register(look: Look) -> Look:
        _looks[name] = look
        return look

    return register


def examine(names: Collection[str] = ()) -> list[Finding]:
    """Look at everything, or at the concerns with these names."""
    for module in _MODULES:
        import_module(f"thalihub.doctor.{module}")
    now = time.time()
    wanted = [(name, look) for name, look in _looks.items() if not names or name in names]
    return [finding for name, look in wanted for finding in _examined(name, look, now)]


def _examined(name: str, look: Look, now: float) -> Sequence[Finding]:
    try:
        return look(now)
    except Exception as error:  # The outermost line: whatever is ill must not hide the rest.
        if sql.is_away(error):  # One line says what to do; it is that of the database.
            said = _("It is not known while the database does not answer.")
            to_do = _("See what is said of the database.")
            return [Finding(name, name, Light.AMBER, said, to_do)]
        _log.warning("The concern %s could not be looked at: %s", name, type(error).__name__)
        said = _("This could not be looked at: %(what)s") % {"what": error}
        return [Finding(name, name, Light.RED, said, _("Look into the hub's log."))]


def worst(findings: Sequence[Finding]) -> Light:
    """Return the light of all together."""
    return max((one.light for one in findings), key=_CODES.__getitem__, default=Light.GREEN)


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 0 when all is well, 1 when something is amber, 2 when something is red."""
    return _CODES[worst(findings)]

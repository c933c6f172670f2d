"""Tor as the owner sees it: what is wanted, how it is, and the verbs.

The verbs write a row; the process `processes/torprocess` does what it says.  Where that process
rests, because Tor was off, the supervisor starts it.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
from typing import Any, Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError as BrokerError

from acl.core.errors import RefusedError
from discovery import store, tasks
from discovery.core.onion import PORT, State
from discovery.onion import keys, program
from discovery.store import TorState
from thalihub import datafolder

SWITCHES: Final = ("contacts_only", "everything", "for_applications")


def begin(listening: socket.socket) -> bool:
    """Note, when the hub starts, where its onion service leads; tell whether Tor is wanted."""
    row = store.tor_or_none()
    if settings.HUB_TOR in ("on", "off") or row is not None:
        row = store.tor()
        wanted = settings.HUB_TOR == "on" or (row.wanted and settings.HUB_TOR != "off")
        store.set_tor(wanted=wanted, state=State.OFF, socks="", socks_for_applications="")
        row.wanted = wanted
    # For the process of Tor alone, which is our fork.
    os.environ["HUB_TOR_TARGET"] = target(listening)
    return row is not None and row.wanted


def target(listening: socket.socket) -> str:
    """Return where tor finds the listener: host:port."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # tor is on another machine, or in a container beside ours.
        host = socket.gethostbyname(socket.gethostname())
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# -- the verbs -------------------------------------------------------------------------------------


def switch(on: bool) -> None:
    """Switch Tor on or off; raises RefusedError where the hub was started with HUB_TOR."""
    if settings.HUB_TOR in ("on", "off"):
        raise RefusedError(
            _("HUB_TOR says whether Tor is on here. Start the hub without it to decide here.")
        )
    if on:
        ours = keys.ensure(settings.HUB_DATA)
        store.set_tor(address=ours.address, client_key=ours.client_public)
    store.set_tor(wanted=on)
    datafolder.rouse(settings.HUB_DATA)


def choose(name: str, on: bool) -> None:
    """Set one of SWITCHES."""
    if name not in SWITCHES:
        raise RefusedError(f"There is no switch “{name}”.")
    store.set_tor(**{name: on})


def renew_address() -> str:
    """Take another onion address; contacts hear of it by the card."""
    ours = keys.renew(settings.HUB_DATA)
    store.set_tor(address=ours.address, tested_at=None, problem="", failures=0)
    store.note_tor(timezone.now(), "renewed", ours.address)
    store.tell_at_once()
    with contextlib.suppress(BrokerError, OSError):  # The clock begins it within a minute.
        tasks.tell_contacts.delay()
    return ours.address


# -- how it is -------------------------------------------------------------------------------------


def shown_state(row: TorState) -> State:
    """Return how far Tor is: reachable, if a self-test came through since it was published."""
    state = State(row.state)
    if state is State.PUBLISHED and _answered(row):
        return State.REACHABLE
    if state is State.OFF and row.wanted and program_is_missing():
        return State.MISSING
    return state


def _answered(row: TorState) -> bool:
    return (
        row.tested_at is not None
        and row.published_at is not None
        and row.tested_at >= row.published_at
        and not row.problem
    )


def program_is_missing() -> bool:
    """Tell whether there is neither a tor program nor another tor's control port."""
    return not settings.HUB_TOR_CONTROL and program.find() is None


def status() -> dict[str, Any]:
    """Return everything, for programs."""
    row = store.tor()
    return {
        "wanted": row.wanted,
        "state": shown_state(row),
        "percent": row.percent,
        "said": row.said,
        "since": _moment(row.since),
        "address": f"{row.address}:{PORT}" if row.address else None,
        "published_at": _moment(row.published_at),
        "tested_at": _moment(row.tested_at),
        "answered_ms": row.answered_ms,
        "problem": row.problem,
        **{name: getattr(row, name) for name in SWITCHES},
        "windows": store.me().windows,
        "socks_for_applications": row.socks_for_applications or None,
        "version": row.version,
        "events": [
            {"at": _moment(one.at), "what": one.what, "more": one.more}
            for one in store.tor_events()
        ],
    }


def _moment(at: datetime.datetime | None) -> str | None:
    return at.isoformat() if at else None

"""Keeps tor running and the hub's onion service published, for as long as the owner wants.

It owns tor's one control connection.  What is wanted stands in a row, and how it is is written
there; so pages, commands and tasks never talk to tor.  When tor ends, or the connection to it, all
begins anew after a pause that grows.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from discovery import store
from discovery.core import onion, windows
from discovery.core.errors import BadWindows
from discovery.core.onion import State, Torrc
from discovery.onion import control as connections
from discovery.onion import keys, program
from discovery.onion.control import Control, LostError, TorError
from discovery.onion.service import Service, Wish
from discovery.store import TorState

logger = logging.getLogger(__name__)

_TURN_SECONDS = 0.3
_REST_SECONDS = 1.0
_LOOK_SECONDS = 3.0
_START_SECONDS = 30.0
_STUCK_SECONDS = 300.0
_GOOD_SECONDS = 60.0
_FORGET_SECONDS = 20.0


class MissingError(TorError):
    """There is no tor program here."""


class _OtherwiseError(Exception):
    """The owner wants tor to run otherwise than it does."""


@dataclass
class Keeper:
    """`run` returns when Tor is no longer wanted, or `stop` is set.

    `target` is where tor brings the service's connections, host:port.
    """

    target: str
    stop: threading.Event
    told: Callable[[str], None] = lambda socks: None
    """Is told where applications find SOCKS: host:port, or empty for nowhere."""
    published: Callable[[], None] = lambda: None
    """Is called when the service has been published."""
    _said: dict[str, object] = field(default_factory=dict)
    _peers: frozenset[str] = frozenset()
    _clients: frozenset[str] | None = None
    _looked_at: float = -1e9
    _forgot_at: float = -1e9

    def run(self) -> None:
        """Keep Tor."""
        failures = 0
        try:
            while self._is_wanted():
                began = time.monotonic()
                try:
                    self._live()
                except TorError as error:
                    failures = 1 if time.monotonic() - began > _GOOD_SECONDS else failures + 1
                    self._failed(error)
                    self._rest(onion.pause(failures))
        finally:
            self._forget_connection()
            self._say(state=State.OFF, percent=0, said="")

    def _is_wanted(self) -> bool:
        return not self.stop.is_set() and store.tor().wanted

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._is_wanted() and (left := until - time.monotonic()) > 0:
            self.stop.wait(min(left, 1.0))

    # -- one life of tor ---------------------------------------------------------------------------

    def _live(self) -> None:
        ours = keys.ensure(settings.HUB_DATA)
        store.set_tor(address=ours.address, client_key=ours.client_public)
        self._say(state=State.STARTING, percent=0, said="")
        with contextlib.ExitStack() as stack:
            try:
                if settings.HUB_TOR_CONTROL:
                    self._with_existing(stack)
                else:
                    self._with_own(stack)
            except _OtherwiseError:
                self._note("restarted")
            finally:
                self._forget_connection()

    def _with_existing(self, stack: contextlib.ExitStack) -> None:
        where, password = settings.HUB_TOR_CONTROL, settings.HUB_TOR_PASSWORD
        control = connections.connect(where, password)
        stack.callback(control.close)
        self._keep(control, None)

    def _with_own(self, stack: contextlib.ExitStack) -> None:
        found = program.find()
        if found is None:
            raise MissingError
        config = self._config(store.tor(), stack.enter_context(program.sockets()))
        process = stack.enter_context(program.running(found, config))
        control = _first_connection(process, config, self.stop)
        stack.callback(control.close)
        self._keep(control, config)

    def _config(self, row: TorState, sockets: Path) -> Torrc:
        return program.torrc(
            everything=row.everything, for_applications=row.for_applications, sockets=sockets
        )

    def _keep(self, control: Control, config: Torrc | None) -> None:
        control.watch()
        self._note("started", control.version())
        self._say(version=control.version())
        self._until_connected(control, config)
        self._announce(control, config)
        service = Service(control, self.target, self._note)
        while (row := self._still(control, config)) is not None:
            self._turn(control, service, row)
            self.told(str(self._said["socks_for_applications"]))

    def _still(self, control: Control, config: Torrc | None) -> TorState | None:
        """Return the row while all is as it is wanted; None: it is to end."""
        row = store.tor()
        if self.stop.is_set() or not row.wanted:
            return None
        control.check()
        if config is not None and self._config(row, Path(config.control).parent) != config:
            raise _OtherwiseError
        return row

    def _until_connected(self, control: Control, config: Torrc | None) -> None:
        moved_at, percent = time.monotonic(), -1
        while self._still(control, config) is not None:
            how = control.bootstrap()
            self._say(state=State.STARTING, percent=how.percent, said=how.said[:200])
            if how.percent == 100:
                self._note("connected")
                self._say(state=State.CONNECTED)
                return
            if how.percent != percent:
                moved_at, percent = time.monotonic(), how.percent
            elif time.monotonic() - moved_at > _STUCK_SECONDS:
                raise TorError(how.said or "Tor does not get into its network.")
            self.stop.wait(_TURN_SECONDS)

    def _announce(self, control: Control, config: Torrc | None) -> None:
        found = control.socks()
        own = f"unix:{config.socks}" if config is not None else settings.HUB_TOR_SOCKS
        ports = [one for one in found if not one.startswith("unix:")]
        allowed = config is not None and config.for_applications and bool(ports)
        self._say(
            socks=own or next(iter(found), ""), socks_for_applications=ports[0] if allowed else ""
        )

    # -- one turn ----------------------------------------------------------------------------------

    def _turn(self, control: Control, service: Service, row: TorState) -> None:
        ours = keys.ensure(settings.HUB_DATA)
        self._look(control, row, ours)
        is_open = _is_open(store.me().windows)
        state = service.reconcile(
            Wish(ours.seed, ours.address, self._clients, is_open), time.monotonic(), again=row.again
        )
        if row.again:
            store.set_tor(again=False)
        if row.stale and time.monotonic() - self._forgot_at >= _FORGET_SECONDS:
            self._forget_services(control)
        self._take_events(control, service)
        if state is State.PUBLISHED and self._said.get("state") != State.PUBLISHED:
            self._say(state=state, published_at=timezone.now())
            self.published()
        else:
            self._say(state=state)

    def _forget_services(self, control: Control) -> None:
        """Let tor look again: a service that was begun anew is elsewhere than before."""
        store.set_tor(stale=False)
        self._forgot_at = time.monotonic()
        control.forget()

    def _take_events(self, control: Control, service: Service) -> None:
        event = control.next_event(_REST_SECONDS)
        while event is not None:
            if event.action == connections.FORGOTTEN:  # The keys of others' services, too.
                self._peers, self._looked_at = frozenset(), -1e9
            else:
                service.happened(event, time.monotonic())
            event = control.next_event(0.0)

    def _look(self, control: Control, row: TorState, ours: keys.Keys) -> None:
        """See who may connect now, and whose services we have to open."""
        if time.monotonic() - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        everybody = not row.contacts_only or store.expects_strangers(timezone.now())
        known = store.tor_clients() | {ours.client_public}
        self._clients = None if everybody else frozenset(known)
        peers = store.onion_peers() | {ours.address}
        for address in sorted(peers - self._peers):
            with contextlib.suppress(connections.RefusedByTorError):  # It is no service's address.
                control.authorize(address, ours.client)
        self._peers = frozenset(peers)

    # -- what is written ---------------------------------------------------------------------------

    def _say(self, **values: object) -> None:
        """Write what is new of these fields."""
        if "state" in values and values["state"] != self._said.get("state"):
            values["since"] = timezone.now()
        new = {name: value for name, value in values.items() if self._said.get(name) != value}
        if new:
            self._said |= new
            store.set_tor(**new)

    def _note(self, what: str, more: str = "") -> None:
        store.note_tor(timezone.now(), what, more)

    def _failed(self, error: TorError) -> None:
        if isinstance(error, MissingError):
            self._say(state=State.MISSING, percent=0, said="")
            return
        logger.warning("Tor: %s", error)
        self._note("failed", str(error))
        self._say(state=State.FAILED, percent=0, said=str(error)[:200])

    def _forget_connection(self) -> None:
        self._peers, self._looked_at = frozenset(), -1e9
        self._say(socks="", socks_for_applications="")
        self.told("")


def _is_open(text: str) -> bool:
    try:
        return windows.is_open(windows.parse(text), time.time())
    except BadWindows:
        return False  # Fail closed: the page does not let anybody write such windows.


def _first_connection(
    process: subprocess.Popen[bytes], config: Torrc, stop: threading.Event
) -> Control:
    """Connect to a tor that has just been started, as soon as it listens; raises TorError."""
    until = time.monotonic() + _START_SECONDS
    while True:
        if process.poll() is not None:
            raise TorError(program.last_words(config) or "Tor ended at once.")
        try:
            return connections.connect(f"unix:{config.control}")
        except LostError:
            if stop.is_set() or time.monotonic() > until:
                raise
        stop.wait(0.05)

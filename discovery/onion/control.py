"""One control connection to tor.  The one module that knows stem.

stem's threads put what happens into a queue; whoever owns the connection takes it from there, and
nobody else talks to tor.  A tor that is our own ends with this connection, and so does a service,
wherever it runs (control-spec, ADD_ONION without Detach).
"""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import stem
from stem.connection import AuthenticationFailure, MissingPassword
from stem.control import Controller, EventType

from discovery.core import onion
from discovery.core.onion import Bootstrap

_KNOCK_SECONDS = 10.0
# What goes wrong is raised to us: its own log would tell it a second time.
logging.getLogger("stem").setLevel(logging.CRITICAL)


class TorError(Exception):
    """Tor does not do what it is asked for; the text says why."""


class LostError(TorError):
    """The control connection cannot be made, or is gone."""


class RefusedByTorError(TorError):
    """Tor has answered with an error."""


FORGOTTEN: Final = "FORGOTTEN"


class Happened(NamedTuple):
    """An event of a service's descriptor; or, as FORGOTTEN, that tor has done `forget`.

    That may be ten seconds after it was asked to (control-spec, NEWNYM), or because somebody else
    has asked a tor that is shared.
    """

    action: str
    address: str
    directory: str
    reason: str


class Control:
    """An open and authenticated control connection."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._happened = queue.SimpleQueue[Happened]()

    def watch(self) -> None:
        """Begin to take events; raises TorError."""
        with _told():
            self._controller.add_event_listener(self._note, EventType.HS_DESC)
            self._controller.add_event_listener(self._note_signal, EventType.SIGNAL)

    def _note_signal(self, event: Any) -> None:
        if event.signal == stem.Signal.NEWNYM:
            self._happened.put(Happened(FORGOTTEN, "", "", ""))

    def _note(self, event: Any) -> None:
        self._happened.put(
            Happened(
                str(event.action),
                f"{event.address}.onion",
                str(event.directory_fingerprint or ""),
                str(event.reason or ""),
            )
        )

    def next_event(self, seconds: float) -> Happened | None:
        """Return what has happened, or None after so many seconds."""
        try:
            return self._happened.get(timeout=seconds)
        except queue.Empty:
            return None

    def check(self) -> None:
        """Raise LostError when the connection is gone."""
        if not self._controller.is_alive():
            raise LostError("The control connection to tor has ended.")

    def version(self) -> str:
        """Return tor's version; raises TorError."""
        return self._asked("version").split(" ")[0]

    def bootstrap(self) -> Bootstrap:
        """Return how far tor is; raises TorError."""
        return onion.bootstrap(self._asked("status/bootstrap-phase"))

    def socks(self) -> list[str]:
        """Return where it takes connections, as `host:port` or `unix:path`; raises TorError."""
        return onion.listeners(self._asked("net/listeners/socks"))

    def publish(self, seed: bytes, target: str, clients: Iterable[str] | None) -> None:
        """Begin the service of this key; raises TorError."""
        self._told_to(onion.add_onion(seed, target, clients))

    def withdraw(self, address: str) -> None:
        """End a service; one that is not there is no error."""
        with contextlib.suppress(RefusedByTorError):
            self._told_to(f"DEL_ONION {address.removesuffix('.onion')}")

    def authorize(self, address: str, private_key: bytes) -> None:
        """Let tor open a service that has authorized us; raises TorError."""
        self._told_to(onion.authorize(address, private_key))

    def forget(self) -> None:
        """Let tor look up anew where services are, and take new circuits; raises TorError.

        It forgets the keys of `authorize`, too.
        """
        self._told_to("SIGNAL NEWNYM")

    def close(self) -> None:
        """End the connection."""
        self._controller.close()

    def _asked(self, name: str) -> str:
        with _told():
            return str(self._controller.get_info(name))

    def _told_to(self, command: str) -> None:
        with _told():
            answer = self._controller.msg(command)
        if not answer.is_ok():
            raise RefusedByTorError(str(answer).strip()[:200])


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Translate stem's errors."""
    try:
        yield
    except stem.SocketError as error:
        raise LostError("The control connection to tor has ended.") from error
    except (stem.ControllerError, ValueError) as error:
        raise RefusedByTorError(str(error)[:200]) from error


def connect(where: str, password: str = "") -> Control:
    """Return a connection to `unix:path` or `host:port`.

    Without a password tor's cookie is read, which tor names.  Raises LostError.
    """
    controller: Controller | None = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # stem starts threads as of old.
            controller = _opened(where)
        controller.authenticate(password=password or None)
        return Control(controller)
    except (stem.SocketError, AuthenticationFailure, OSError, ValueError) as error:
        if controller is not None:
            controller.close()
        raise LostError(_why(error)) from error


def _why(error: Exception) -> str:
    if isinstance(error, MissingPassword):
        return "Tor wants a password. Set HUB_TOR_PASSWORD."
    return str(error)[:200]


def _opened(where: str) -> Controller:
    if where.startswith("unix:"):
        path = where.removeprefix("unix:")
        _knock(socket.AF_UNIX, path)
        return Controller.from_socket_file(path)
    host, _, port = where.rpartition(":")
    address = socket.gethostbyname(host)
    _knock(socket.AF_INET, (address, int(port)))
    return Controller.from_port(address, int(port))


def _knock(family: socket.AddressFamily, address: Any) -> None:
    """Raise OSError where nobody listens: stem would leave a socket behind, and wait for ever."""
    with socket.socket(family) as trying:
        trying.settimeout(_KNOCK_SECONDS)
        trying.connect(address)

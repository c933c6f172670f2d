"""A tor that does nothing, and whose control port says what a test wants."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_KNOWS = {
    "PROTOCOLINFO": '250-PROTOCOLINFO 1|250-AUTH METHODS=NULL|250-VERSION Tor="0.4.9.11"|250 OK',
    "AUTHENTICATE": "250 OK",
    "SETEVENTS": "250 OK",
    "GETCONF": "250 __OwningControllerProcess",
    "GETINFO version": "250-version=0.4.9.11|250 OK",
    "GETINFO status/bootstrap-phase": (
        '250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done"|250 OK'
    ),
    "GETINFO net/listeners/socks": '250-net/listeners/socks="127.0.0.1:9050"|250 OK',
    "ADD_ONION": "250-ServiceID=x|250 OK",
    "DEL_ONION": "250 OK",
    "ONION_CLIENT_AUTH_ADD": "250 OK",
    "SIGNAL": "250 OK",
}


def eventually(condition: Callable[[], object], *, what: str) -> None:
    """Wait until `condition` is true; raises TimeoutError that says `what`."""
    until = time.monotonic() + 20
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"Not within 20 s: {what}")
        time.sleep(0.005)


@dataclass
class FakeTor:
    """Answers on a socket in `folder`; `says` takes the place of a usual answer."""

    folder: Path
    says: dict[str, str] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=lambda: ["UPLOAD", "UPLOADED"])
    """What follows after ADD_ONION."""
    connections: list[socket.socket] = field(default_factory=list)

    @property
    def where(self) -> str:
        """As HUB_TOR_CONTROL names it."""
        return f"unix:{self.folder}/control"

    @contextlib.contextmanager
    def running(self) -> Iterator[FakeTor]:
        """Serve until the end."""
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(self.where.removeprefix("unix:"))
            listening.listen()
            thread = threading.Thread(target=self._accept, args=(listening,))
            thread.start()
            yield self
            listening.shutdown(socket.SHUT_RDWR)
            self.drop()
            thread.join()

    def drop(self) -> None:
        """End all connections."""
        for one in self.connections:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def tell(self, event: str) -> None:
        """Say something that nobody has asked for."""
        for one in self.connections:
            with contextlib.suppress(OSError):
                one.sendall(f"{event}\r\n".encode())

    def count(self, command: str) -> int:
        """Return how often it was heard."""
        return sum(line.startswith(command) for line in self.heard)

    def _accept(self, listening: socket.socket) -> None:
        threads = []
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                self.connections.append(connection)
                threads.append(threading.Thread(target=self._serve, args=(connection,)))
                threads[-1].start()
        for thread in threads:
            thread.join()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rwb") as lines:
            for line in lines:
                command = line.decode().strip()
                self.heard.append(command)
                lines.write(self._answer(command).replace("|", "\r\n").encode() + b"\r\n")
                lines.flush()
                if command.startswith("ADD_ONION"):
                    lines.write(self._events(command))
                    lines.flush()

    def _answer(self, command: str) -> str:
        for known in (self.says, _KNOWS):
            for start, answer in known.items():
                if command.startswith(start):
                    return answer
        return "510 Unrecognized command"

    def _events(self, command: str) -> bytes:
        from django.conf import settings

        from discovery.onion import keys

        name = keys.ensure(settings.HUB_DATA).address.removesuffix(".onion")
        told = [
            f"650 HS_DESC {what} {name} UNKNOWN ${'A' * 40}~dir"
            + (" id" if what == "UPLOAD" else " REASON=UPLOAD_REJECTED" if what == "FAILED" else "")
            for what in self.events
        ]
        return "".join(f"{line}\r\n" for line in told).encode()

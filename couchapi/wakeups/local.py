"""Wake-ups between the processes of one machine: datagrams to Unix sockets in the data folder.

Each process that has feeds owns one socket, named by its pid.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings

_LONGEST_SOCKET_PATH = 100  # sun_path holds 108 bytes on Linux.
_CLOCK_TICK_NS = 100_000_000
"""A folder that was listed this soon after its last change may have changed again unseen."""
_log = logging.getLogger(__name__)


class Mailbox:
    """This process's place among the others that share `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._sender = _datagram_socket()
        self._inbox: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listed_ns = self._changed_ns = 0
        self._others: list[Path] = []

    def receive(self, wake: Callable[[str], None]) -> None:
        """Call `wake` with each database name that another process sends, on the running loop."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        self.stop_receiving()
        path = self._folder / f"{os.getpid()}.sock"
        path.unlink(missing_ok=True)
        inbox = _datagram_socket()
        inbox.bind(self._address(path))
        loop.add_reader(inbox.fileno(), _read, inbox, wake)
        self._inbox, self._loop = inbox, loop

    def send(self, db_name: str) -> None:
        """Tell the other processes."""
        for path in self._list_others():
            self._send(db_name.encode(), path)

    def close(self) -> None:
        """Receive nothing more, and send nothing more."""
        self.stop_receiving()
        self._sender.close()
        os.close(self._descriptor)

    def stop_receiving(self) -> None:
        """Listen no longer: for a loop that has ended."""
        if self._inbox is None or self._loop is None:
            return
        if not self._loop.is_closed():
            self._loop.remove_reader(self._inbox.fileno())
        self._inbox.close()
        self._inbox = self._loop = None

    def _send(self, message: bytes, path: Path) -> None:
        try:
            self._sender.sendto(message, self._address(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)  # Left by a process that has ended.
        except (FileNotFoundError, BlockingIOError):
            pass  # It has just ended, or its queue is full and it is awake.
        except OSError as error:
            _log.warning("No wake-up for process %s: %s", path.stem, error)

    def _list_others(self) -> list[Path]:
        """Return the other processes' sockets; the list is read again when the folder changes."""
        changed_ns = self._folder.stat().st_mtime_ns
        settled = self._listed_ns - self._changed_ns > _CLOCK_TICK_NS
        if changed_ns != self._changed_ns or not settled:
            own = str(os.getpid())
            self._changed_ns, self._listed_ns = changed_ns, time.time_ns()
            self._others = [path for path in self._folder.glob("*.sock") if path.stem != own]
        return self._others

    def _address(self, path: Path) -> str:
        """Return a path that fits into a socket address, however deep the data folder lies."""
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return str(path)
        return f"/proc/self/fd/{self._descriptor}/{path.name}"


@functools.cache
def mailbox() -> Mailbox:
    """Return the mailbox of this process."""
    return Mailbox(settings.HUB_DATA / "wake")


def close() -> None:
    """Listen no longer in this process."""
    mailbox().stop_receiving()


def _datagram_socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made


def _read(inbox: socket.socket, wake: Callable[[str], None]) -> None:
    while True:
        try:
            message = inbox.recv(1024)
        except BlockingIOError:
            return
        wake(message.decode())

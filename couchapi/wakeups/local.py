"""Wake-ups between the processes of one machine: datagrams to Unix sockets in the data folder.

Each process that has feeds owns one socket, named by its pid.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
from collections.abc import Callable
from pathlib import Path

from django.conf import settings

_LONGEST_SOCKET_PATH = 100  # sun_path holds 108 bytes on Linux.
_inboxes: dict[asyncio.AbstractEventLoop, socket.socket] = {}


def receive(wake: Callable[[str], None]) -> None:
    """Call `wake` with each database name that another process sends, on the running loop."""
    loop = asyncio.get_running_loop()
    if loop in _inboxes:
        return
    close()  # A process has one loop at a time, and one socket.
    path = _folder() / f"{os.getpid()}.sock"
    path.unlink(missing_ok=True)
    inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    inbox.setblocking(False)
    inbox.bind(_address(path))
    loop.add_reader(inbox.fileno(), _read, inbox, wake)
    _inboxes[loop] = inbox


def close() -> None:
    """Listen no longer: for a loop that has ended."""
    for loop, inbox in list(_inboxes.items()):
        del _inboxes[loop]
        with contextlib.suppress(RuntimeError):  # It is closed.
            loop.remove_reader(inbox.fileno())
        inbox.close()


def send(db_name: str) -> None:
    """Tell the other processes of this machine."""
    folder = _folder()
    for path in _others(folder, folder.stat().st_mtime_ns):
        _send(db_name.encode(), path)


def _read(inbox: socket.socket, wake: Callable[[str], None]) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            wake(inbox.recv(1024).decode())


def _send(message: bytes, path: Path) -> None:
    try:
        _sender().sendto(message, _address(path))
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)  # Left by a process that was killed.
    except (FileNotFoundError, BlockingIOError):
        pass  # It has just ended, or its queue is full and it is awake.


@functools.lru_cache(maxsize=1)
def _others(folder: Path, changed_ns: int) -> list[Path]:
    """Return the other processes' sockets; the list is read again when the folder changes."""
    return [path for path in folder.glob("*.sock") if path.stem != str(os.getpid())]


@functools.cache
def _folder() -> Path:
    folder: Path = settings.HUB_DATA / "wake"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@functools.cache
def _folder_descriptor() -> int:
    return os.open(_folder(), os.O_RDONLY | os.O_DIRECTORY)


def _address(path: Path) -> str:
    """Return a path that fits into a socket address, however deep the data folder lies."""
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return str(path)
    return f"/proc/self/fd/{_folder_descriptor()}/{path.name}"


@functools.cache
def _sender() -> socket.socket:
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.setblocking(False)
    return sender

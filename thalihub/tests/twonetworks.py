"""Two network namespaces joined by a cable (veth), for tests of hubs that meet: root only.

Each has an interface `lan0` that can be plugged in and out.  `within` runs a function in one of
them, in a thread; sockets that are made there stay there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, TypeVar

T = TypeVar("T")
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_EVERYTHING = 0x0300  # ETH_P_ALL, in network order


class Side:
    """One of the two networks."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.before = ("ip", "netns", "exec", name)

    def ip(self, *words: str) -> None:
        """Run `ip` inside."""
        _run("ip", "-n", self.name, *words)

    def plug_in(self, address: str) -> None:
        """Join the other side, with this address."""
        self.ip("addr", "add", f"{address}/24", "dev", "lan0")
        self.ip("link", "set", "lan0", "up")
        self.ip("route", "add", "224.0.0.0/4", "dev", "lan0")

    def pull_out(self) -> None:
        """Leave the other side."""
        self.ip("link", "set", "lan0", "down")
        self.ip("addr", "flush", "dev", "lan0")

    def within(self, function: Callable[[], T]) -> T:
        """Run a function inside, and return what it returns."""
        with ThreadPoolExecutor(1, initializer=self.enter) as pool:
            return pool.submit(function).result()

    def enter(self) -> None:
        """Bring this thread inside, for as long as it lives."""
        with Path(f"/run/netns/{self.name}").open() as file:
            _enter(file)

    @contextlib.contextmanager
    def visited(self) -> Iterator[None]:
        """Bring this thread inside, and back."""
        with Path("/proc/thread-self/ns/net").open() as before:
            self.enter()
            try:
                yield
            finally:
                _enter(before)


def _enter(file: IO[str]) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(file.fileno(), _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


class Capture:
    """Every packet that goes over the cable while it is open."""

    def __init__(self, side: Side) -> None:
        self.packets: list[bytes] = []
        self._socket = side.within(_tap)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        self._socket.settimeout(0.1)
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError, OSError):
                self.packets.append(self._socket.recv(65_536))

    def __enter__(self) -> Capture:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    @property
    def all(self) -> bytes:
        """What was sent, in one."""
        return b"".join(self.packets)


def _tap() -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, _EVERYTHING)
    made.bind(("lan0", 0))
    return made


@contextlib.contextmanager
def one_network(name: str) -> Iterator[Side]:
    """Make a network without a way out, and remove it again."""
    side = Side(f"thali-{os.getpid()}-{name}")
    _run("ip", "netns", "add", side.name)
    try:
        side.ip("link", "set", "lo", "up")
        yield side
    finally:
        subprocess.run(["ip", "netns", "del", side.name], check=False, capture_output=True)


@contextlib.contextmanager
def two_networks() -> Iterator[tuple[Side, Side]]:
    """Make the two, and remove them again."""
    sides = [Side(f"thali-{os.getpid()}-{letter}") for letter in "ab"]
    try:
        for side in sides:
            _run("ip", "netns", "add", side.name)
            side.ip("link", "set", "lo", "up")
        one, other = sides
        one.ip("link", "add", "lan0", "type", "veth", "peer", "name", "lan0", "netns", other.name)
        yield one, other
    finally:
        for side in sides:
            subprocess.run(["ip", "netns", "del", side.name], check=False, capture_output=True)


def _run(*words: Any) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=30)


def are_possible() -> bool:
    """Tell whether this machine lets us make them."""
    if os.geteuid() != 0:
        return False
    try:
        with two_networks():
            return True
    except (OSError, subprocess.SubprocessError):
        return False

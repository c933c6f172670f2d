"""Which of the hub's processes live: each holds the lock of a file, which ends with the process.

So nobody has to say regularly that it lives, nothing is written while nothing happens, and a
process that was killed is missed at once.  A file that is there when a process of its name begins
is of one that has died.  A part of the hub that runs in another container has its own name's file
with the container's behind it, and outlives the others' restart.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import IO, NamedTuple

_FOLDER = "alive"
_ELSEWHERE = "@"
_held: list[IO[str]] = []


class Process(NamedTuple):
    """One of the hub's processes, as its file tells."""

    name: str
    is_alive: bool
    since: float
    """Unix seconds."""
    after_death: bool
    """Whether one of its name has died since the hub was started."""


def begin(folder: Path) -> None:
    """Forget the processes of a hub that ran before."""
    end(folder)
    (folder / _FOLDER).mkdir(mode=0o700, exist_ok=True)


def end(folder: Path) -> None:
    """Forget all processes but those that live elsewhere: the hub has ended in order."""
    for path in (folder / _FOLDER).glob("*"):
        if _ELSEWHERE not in path.name or not _lives(path):
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (folder / _FOLDER).rmdir()


def elsewhere() -> str:
    """Return what tells the processes of this container from those of the others."""
    return f"{_ELSEWHERE}{socket.gethostname()}"


def hold(folder: Path, name: str, where: str = "") -> None:
    """Be known as alive until this process ends."""
    (folder / _FOLDER).mkdir(mode=0o700, exist_ok=True)
    path = folder / _FOLDER / f"{name.replace(' ', '-')}{where}"
    after_death = path.exists()
    if where:
        _forget_the_dead(path)
    file = path.open("a+")
    fcntl.flock(file, fcntl.LOCK_EX)  # Who looks holds it for a moment.
    file.truncate(0)
    said = {"name": name, "pid": os.getpid(), "at": time.time(), "after_death": after_death}
    file.write(json.dumps(said))
    file.flush()
    _held.append(file)


def look(folder: Path) -> list[Process]:
    """Return the processes that this hub has started, by name."""
    found = (_seen(path) for path in sorted((folder / _FOLDER).glob("*")))
    return [one for one in found if one is not None]


def _seen(path: Path) -> Process | None:
    try:
        with path.open() as file:
            is_alive = _is_locked(file)
            said = json.load(file)
            return Process(said["name"], is_alive, said["at"], said["after_death"])
    except (FileNotFoundError, ValueError, KeyError):
        return None  # It is just being written.


def _lives(path: Path) -> bool:
    found = _seen(path)
    return found is not None and found.is_alive


def _forget_the_dead(path: Path) -> None:
    """Forget those of the same name whose containers have gone."""
    for other in path.parent.glob(f"{path.name.partition(_ELSEWHERE)[0]}{_ELSEWHERE}*"):
        if other != path and not _lives(other):
            other.unlink(missing_ok=True)


def _is_locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def living_here(folder: Path) -> set[str]:
    """Return the names of the processes that live in this container, in a part of the hub."""
    paths = (folder / _FOLDER).glob(f"*{elsewhere()}")
    found = (_seen(path) for path in paths)
    return {one.name for one in found if one is not None and one.is_alive}

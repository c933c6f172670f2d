"""Which of the hub's processes live: each holds the lock of a file, which ends with the process.

So nobody has to say regularly that it lives, nothing is written while nothing happens, and a
process that was killed is missed at once.  A file that is there when a process of its name begins
is of one that has died.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from pathlib import Path
from typing import IO, NamedTuple

_FOLDER = "alive"
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
    (folder / _FOLDER).mkdir(mode=0o700)


def end(folder: Path) -> None:
    """Forget all processes: the hub has ended in order."""
    shutil.rmtree(folder / _FOLDER, ignore_errors=True)


def hold(folder: Path, name: str) -> None:
    """Be known as alive until this process ends."""
    path = folder / _FOLDER / name.replace(" ", "-")
    after_death = path.exists()
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


def _is_locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False

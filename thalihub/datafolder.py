"""The files by which a running hub is known in its data folder.

`hub.lock` is locked while a hub runs, so a second one on the same folder is refused; the lock
ends with the process, however it ends.  `hub.json` tells other programs where the hub serves; it
is there while it serves, and one that a killed hub left is replaced.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any


class AlreadyRunningError(Exception):
    """Another hub runs on this data folder."""


def lock(folder: Path) -> TextIOWrapper:
    """Lock `folder` for this process, as long as the returned file is open.

    Raises AlreadyRunningError with the other hub's process id.
    """
    file = (folder / "hub.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise AlreadyRunningError(
            f"A hub already runs on {folder} (process {holder}). Stop it, or set HUB_DATA."
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def announce(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write `hub.json`, so that a reader sees all of it or the one before."""
    draft = folder / ".hub.json"
    draft.write_text(json.dumps(facts) + "\n")
    draft.replace(folder / "hub.json")


def facts_of(folder: Path) -> dict[str, Any]:
    """Return what `hub.json` says: nothing while no hub serves."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        facts: dict[str, Any] = json.loads((folder / "hub.json").read_text())
        return facts
    return {}


def rouse(folder: Path) -> None:
    """Let the supervisor of a hub that runs here start what may rest (`Child.may_rest`)."""
    facts = facts_of(folder)
    with contextlib.suppress(ProcessLookupError, KeyError):
        os.kill(facts["pid"], signal.SIGUSR1)


def withdraw(folder: Path) -> None:
    """Remove `hub.json`."""
    with contextlib.suppress(FileNotFoundError):
        (folder / "hub.json").unlink()

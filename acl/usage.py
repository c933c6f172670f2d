"""When each application was used last, to the minute.

A request only looks into memory; once a minute a process has it written, and nobody waits for that.
The note is no part of the ACLs, so writing it makes no process read them again.
"""

from __future__ import annotations

import math
import time
from functools import partial

from acl import sql, store

SECONDS = 60.0
"""So often at most each process writes about one application."""

_noted: dict[int, float] = {}


def note(principal_id: int) -> None:
    """Note that the application sends a request now."""
    now = time.monotonic()
    if now - _noted.get(principal_id, -math.inf) >= SECONDS:
        _noted[principal_id] = now
        sql.later(partial(_write, principal_id=principal_id))


def _write(connection: sql.Sql, principal_id: int) -> None:
    store.note_use(connection, principal_id, int(time.time()))

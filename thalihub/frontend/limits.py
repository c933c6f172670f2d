"""How long and how much the frontend lets a client take: one record, read from the settings."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from django.conf import settings

_FILES_OF_OURS = 256  # The database, attachments, logs, other processes.
_MANY_FILES = 65_536


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes.  A client that keeps within them is never cut."""

    header_seconds: float = 30.0  # From the first byte (or the connection) to the empty line.
    body_seconds: float = 30.0  # For each `body_step` bytes of a body, while we want to read.
    body_step: int = 16 * 1024
    idle_seconds: float = 120.0  # Between two requests: a handshake costs 10 to 20 GETs.
    write_seconds: float = 120.0  # For a client that does not read its answer at all.
    linger_seconds: float = 30.0  # For a client to take the last answer before the connection ends.
    stop_seconds: float = 5.0  # For running requests, when the server stops.
    connections: int = 4096  # One more ends the one whose time runs out first.


def from_settings() -> Limits:
    """Return the limits that the settings name."""
    return Limits(
        header_seconds=settings.HUB_HEADER_SECONDS,
        body_seconds=settings.HUB_BODY_SECONDS,
        idle_seconds=settings.HUB_IDLE_SECONDS,
        write_seconds=settings.HUB_WRITE_SECONDS,
        connections=min(settings.HUB_MAX_CONNECTIONS, _open_files() - _FILES_OF_OURS),
    )


def _open_files() -> int:
    """Return how many files this process may open, after asking for as many as it can get."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, min(hard, _MANY_FILES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted

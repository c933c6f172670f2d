"""How long and how much the frontend lets a client take: one record, read from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings


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


def from_settings() -> Limits:
    """Return the limits that the settings name."""
    return Limits(
        header_seconds=settings.HUB_HEADER_SECONDS,
        body_seconds=settings.HUB_BODY_SECONDS,
        idle_seconds=settings.HUB_IDLE_SECONDS,
        write_seconds=settings.HUB_WRITE_SECONDS,
    )

"""When a link may run: the hours of its job, and those at which its peer says that it is there.

Both are kept in UTC (discovery/core/windows.py).  People write and read them in the time of the
machine that the hub runs on.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from discovery import store as found
from discovery.core import windows
from discovery.core.windows import ALWAYS, Windows
from replication.core import schedule
from replication.store import links
from replication.store.links import Hours

_SYSTEM = Path("/etc/localtime")


def published() -> dict[str, Windows]:
    """Return when hubs can be reached, by key; those that can always be are left out."""
    said = {one.key: _of_card(one.card) for one in found.list_contacts()}
    said |= {one.principal.key: windows.published(one.windows) for one in found.other_devices()}
    return {key: one for key, one in said.items() if one}


def _of_card(card: Mapping[str, Any]) -> Windows:
    hubs = card.get("hubs") or ()
    return windows.either(windows.published(hub.get("windows") or "") for hub in hubs)


def of_link(job: str, peer: Windows, now: float) -> Hours:
    """Return when a link may run next; `job` is the text of its job's own windows."""
    several = [one for one in (windows.published(job), peer) if one]
    if not several:
        return links.ALWAYS
    opening = windows.common_opening(several, now)
    if opening is None:
        return Hours(schedule.NEVER, schedule.NEVER)
    closings = [windows.closing(one, opening) for one in several]
    closes_at = min((one for one in closings if one is not None), default=schedule.NEVER)
    # What is open is written once, not anew at every look.
    return Hours(0.0 if opening == now else opening, closes_at)


def of_peers(job: str, keys: set[str], said: Mapping[str, Windows], now: float) -> dict[str, Hours]:
    """Return when a job may run with each of these peers."""
    return {key: of_link(job, said.get(key, ALWAYS), now) for key in keys}


def offset(now: float) -> int:
    """Return how many minutes the machine's clock is ahead of UTC at this time."""
    at = datetime.datetime.fromtimestamp(now, _zone())
    return int((at.utcoffset() or datetime.timedelta()).total_seconds() // 60)


def _zone() -> datetime.tzinfo:
    # Django has set TZ to what it calculates in itself.
    try:
        if settings.HUB_TIME_ZONE:
            return zoneinfo.ZoneInfo(settings.HUB_TIME_ZONE)
        with _SYSTEM.open("rb") as file:
            return zoneinfo.ZoneInfo.from_file(file)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return datetime.UTC


def kept(text: str, now: float) -> str:
    """Return windows that were written in local time as they are kept; raises BadWindows."""
    return windows.text(windows.parse(text, offset(now)))


def shown(text: str, now: float) -> str:
    """Return windows that are kept in local time."""
    return windows.text(windows.published(text), offset(now))

"""The process that keeps Tor: it is there only while the owner wants Tor.

It owns the control connection, and so tor itself: whichever way this process ends, tor ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

from celery import Task
from django.conf import settings
from kombu.exceptions import OperationalError

from thalihub import datafolder

_TURN_SECONDS = 0.5
_MEMBER = "tor_socks"


def main() -> None:
    """Keep Tor until SIGTERM, or until it is switched off."""
    from discovery import tasks
    from discovery.onion.keeper import Keeper

    stop = threading.Event()
    target = os.environ["HUB_TOR_TARGET"]
    keeper = Keeper(target, stop, _announce, partial(_send, tasks.reach_ourselves))
    with ThreadPoolExecutor(1) as pool:
        # The handler may come at any moment; this thread never waits for `stop` itself.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        running = pool.submit(keeper.run)
        while not running.done():
            wait([running], timeout=_TURN_SECONDS)
    running.result()


def _send(task: Task) -> None:
    with contextlib.suppress(OperationalError, OSError):  # The clock begins it within a minute.
        task.delay()


def _announce(socks: str) -> None:
    """Say in hub.json where local applications find SOCKS, if the hub serves."""
    try:
        facts = json.loads((settings.HUB_DATA / "hub.json").read_text())
    except FileNotFoundError:
        return
    known = facts.pop(_MEMBER, "")
    if socks != known:
        more = {_MEMBER: socks} if socks else {}
        datafolder.announce(settings.HUB_DATA, {**facts, **more})

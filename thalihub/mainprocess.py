"""The hub's main process: loads what all processes share, then supervises their forks.

Only a process with a single thread and no open connection may fork, so nothing here serves, works
or waits for anything but its children.
"""

from __future__ import annotations

import functools
import gc
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from thalihub import (
    alive,
    datafolder,
    keeperprocess,
    nearbyprocess,
    store,
    torprocess,
    webprocess,
    workerprocess,
)
from thalihub.supervisor import Child, Supervisor

# What a child would load at its start; each line was found to save memory.  Nothing that imports
# Twisted's reactor, which opens descriptors that each process must have for itself.
_SHARED = (
    "thalihub.asgi",
    "thalihub.channel",
    "thalihub.urls",
    "thalihub.couch_urls",
    "thalihub.celery",
    "celery.apps.worker",
    "celery.beat",
    "celery.concurrency.thread",
    "celery.worker.consumer",
    "kombu.transport.filesystem",
    "daphne.ws_protocol",
    "twisted.protocols.tls",
    "replication.tasks",
    "replication.waiting",
    "couchapi.tasks",
    "discovery.tasks",
)


@dataclass(frozen=True)
class Plan:
    """What the main process has to do: numbers are open files."""

    data_folder: Path
    lock: int
    api: int
    pages: int
    onion: int
    web_processes: int
    tor: bool
    """Whether Tor is wanted now; SIGUSR1 says that this may have changed."""
    nearby: bool
    """Whether hubs nearby are to be found, likewise."""
    facts: dict[str, Any]
    """What hub.json says."""
    greeting: str
    """What is printed when the hub serves."""


def run(plan: Plan) -> None:
    """Supervise by the plan until SIGTERM or SIGINT."""
    _become_light()
    serving = functools.partial(_serving, plan)
    private = (plan.lock, plan.api, plan.pages, plan.onion)
    try:
        alive.begin(plan.data_folder)
        children = [_known(child, plan.data_folder) for child in _children(plan)]
        Supervisor(children, serving, private).run()
    finally:
        datafolder.withdraw(plan.data_folder)
        alive.end(plan.data_folder)


def _known(child: Child, folder: Path) -> Child:
    """Let a child be known as alive for as long as it is."""
    return replace(child, run=functools.partial(_alive, folder, child.name, child.run))


def _alive(folder: Path, name: str, run: Callable[..., None], *arguments: int) -> None:
    alive.hold(folder, name)
    run(*arguments)


def _become_light() -> None:
    for name in _SHARED:
        import_module(name)
    store.close_connections()
    if threading.active_count() > 1:
        raise RuntimeError(f"Threads run before the fork: {threading.enumerate()}")
    # Frozen, no collection writes to what the processes share.
    gc.collect()
    gc.freeze()


def _serving(plan: Plan) -> None:
    datafolder.announce(plan.data_folder, plan.facts)
    sys.stdout.write(plan.greeting)
    sys.stdout.flush()


def _children(plan: Plan) -> Sequence[Child]:
    sockets = (plan.api, plan.pages, plan.onion)
    web = functools.partial(webprocess.main, *sockets)
    return [
        *(
            Child(f"web {number}", web, sockets, announces=True)
            for number in range(1, plan.web_processes + 1)
        ),
        Child("worker", workerprocess.main),
        Child("keeper", keeperprocess.main),
        Child(
            "nearby",
            functools.partial(nearbyprocess.main, plan.facts["api_port"]),
            may_rest=True,
            start_at=0.0 if plan.nearby else None,
        ),
        Child("tor", torprocess.main, may_rest=True, start_at=0.0 if plan.tor else None),
    ]

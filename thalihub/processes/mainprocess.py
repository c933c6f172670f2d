"""The hub's main process: loads what all processes share, then supervises their forks.

Only a process with a single thread and no open connection may fork, so nothing here serves, works
or waits for anything but its children.
"""

from __future__ import annotations

import functools
import gc
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from thalihub import alive, datafolder, store
from thalihub.processes import keeperprocess, nearbyprocess, torprocess, webprocess, workerprocess
from thalihub.processes.supervisor import Child, Supervisor

# What a child would load at its start; each line was found to save memory.  Nothing that imports
# Twisted's reactor, which opens descriptors that each process must have for itself.
_SHARED = (
    "thalihub.asgi",
    "thalihub.frontend.channel",
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


ROLES = ("web", "worker", "keeper", "nearby", "tor")
"""What there is to do; several containers or hosts may share it out."""
_REST_SECONDS = 15.0
"""How often a part of a hub looks whether it is wanted: no signal reaches it from elsewhere."""


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
    roles: Collection[str] = ROLES
    """What this one does; the first, `web`, keeps the folder and the tables."""


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


def help_out(folder: Path, roles: Collection[str], api_port: int) -> None:
    """Do what `roles` name, without `web`, for a hub whose tables another one keeps."""
    _become_light()
    children = [_known(child, folder, alive.elsewhere()) for child in _others(api_port, roles)]
    Supervisor(children, lambda: None, ()).run()


def _known(child: Child, folder: Path, where: str = "") -> Child:
    """Let a child be known as alive for as long as it is."""
    return replace(child, run=functools.partial(_alive, folder, child.name, where, child.run))


def _alive(folder: Path, name: str, where: str, run: Callable[..., None], *arguments: int) -> None:
    alive.hold(folder, name, where)
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
    begin = {"nearby": plan.nearby, "tor": plan.tor}
    others = _others(plan.facts["api_port"], plan.roles)
    for child in others:
        if child.may_rest:
            child.start_at, child.rest_seconds = 0.0 if begin[child.name] else None, None
    return [
        *(
            Child(f"web {number}", web, sockets, announces=True)
            for number in range(1, plan.web_processes + 1)
        ),
        *others,
    ]


def _others(api_port: int, roles: Collection[str]) -> Sequence[Child]:
    resting: dict[str, Any] = {"may_rest": True, "rest_seconds": _REST_SECONDS}
    known = (
        Child("worker", workerprocess.main),
        Child("keeper", keeperprocess.main),
        Child("nearby", functools.partial(nearbyprocess.main, api_port), **resting),
        Child("tor", torprocess.main, **resting),
    )
    return [child for child in known if child.name in roles]

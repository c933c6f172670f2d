"""The hub's Celery worker, with its schedule."""

from __future__ import annotations

import tempfile
import warnings

from celery import beat
from celery.exceptions import SecurityWarning, WorkerShutdown
from celery.signals import worker_ready, worker_shutting_down
from celery.worker import state
from django.conf import settings

_ARGUMENTS = [
    "--quiet",
    "worker",
    "--pool=threads",
    "--concurrency=4",
    "--queues=now,normal,background",
    "--loglevel=WARNING",
    "--without-gossip",
    "--without-mingle",
    "--without-heartbeat",
]


def main() -> None:
    """Work until SIGTERM."""
    from thalihub.celery import app

    # `manage.py hub` has said it already, in a sentence.
    warnings.simplefilter("ignore", SecurityWarning)
    worker_shutting_down.connect(_stop_at_once)
    worker_ready.connect(_begin_schedule)
    # The filesystem transport moves a message here when it takes it; across file systems the
    # move would be a copy that another worker may see half done.
    tempfile.tempdir = str(settings.HUB_DATA / "queue" / "taken")
    app.worker_main(_ARGUMENTS)


def _begin_schedule(**_: object) -> None:
    # A thread of this process, and a schedule in memory: what is due is in the tables, so
    # nothing is lost when the hub ends, and no process is left over.
    from thalihub.celery import app

    beat.EmbeddedService(app, thread=True, scheduler_cls="celery.beat:Scheduler").start()


def _stop_at_once(**_: object) -> None:
    # Celery would first sit out two waits of two seconds for messages.  Where a task runs, it
    # may; a message that is just being taken may be lost, and its row is still there.
    if not state.active_requests:
        raise WorkerShutdown(0)

"""Celery's side of replication: a message says "look", the rows say at what.

There is one task for all priorities, sent to the queue of the most urgent of what is due; a message
that is lost costs seconds, until the next.
"""

from __future__ import annotations

from celery import shared_task
from celery.signals import worker_shutting_down

from replication import runs


@shared_task(ignore_result=True)
def look() -> None:
    """Begin what is due, as far as there is room."""
    runs.look()


@worker_shutting_down.connect
def _give_back(**_: object) -> None:
    # Else the hub that starts next would wait until the leases have run out.
    runs.end()

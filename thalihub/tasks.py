"""What the hub as a whole does by itself: the beat says "look", the rows say what is due."""

from __future__ import annotations

import time

from celery import shared_task

from thalihub import store
from thalihub.backups import schedule


@shared_task(ignore_result=True)
def look_after_backups() -> None:
    """Make the backup that is due, and try the one whose trial is due."""
    now = int(time.time())
    store.beat(now)
    schedule.look(now)

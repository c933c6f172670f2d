"""The Celery application.  Its messages only say "look": the work itself is rows in tables.

Without Redis the broker is Celery's filesystem transport in the data folder: it needs no other
program, and a message is noticed within a tenth of a second (design/replication.md).
"""

from __future__ import annotations

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "thalihub.settings")

TRANSPORT_ALIASES["filesystem"] = "thalihub.processes.broker:Transport"

app = Celery("thalihub")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

"""The hub's Celery worker: `python -m thalihub.workerprocess --lifeline=3`."""

from __future__ import annotations

import argparse
import os
import tempfile

import django

from thalihub import lifeline

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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lifeline", type=int, required=True, help="a file descriptor")
    lifeline.watch(parser.parse_args().lifeline)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "thalihub.settings")
    django.setup()
    from django.conf import settings

    from thalihub.celery import app

    # The filesystem transport moves a message here when it takes it; across file systems the
    # move would be a copy that another worker may see half done.
    tempfile.tempdir = str(settings.HUB_DATA / "queue" / "taken")
    app.worker_main(_ARGUMENTS)


if __name__ == "__main__":
    main()

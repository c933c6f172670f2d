"""What the hub does without being asked: `python -m thalihub.keeperprocess --lifeline=3`.

One event loop holds everything that waits for something to do (design/replication.md, "Waiting is
separate from working").
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal

import django

from thalihub import lifeline

logger = logging.getLogger(__name__)


def main() -> None:
    """Wait and keep until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lifeline", type=int, required=True, help="a file descriptor")
    lifeline.watch(parser.parse_args().lifeline)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "thalihub.settings")
    django.setup()
    asyncio.run(_keep())
    from acl import sql

    sql.close()


async def _keep() -> None:
    from replication import books, waiting
    from thalihub.calling import own_names

    running = asyncio.gather(books.keep(own_names), books.ask_friends(), waiting.keep())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        logger.info("Stopped.")


if __name__ == "__main__":
    main()

"""What the hub does without being asked.

One event loop holds everything that waits for something to do (design/replication.md, "Waiting is
separate from working").
"""

from __future__ import annotations

import asyncio
import logging
import signal

logger = logging.getLogger(__name__)


def main() -> None:
    """Wait and keep until SIGTERM."""
    asyncio.run(_keep())
    from acl import sql

    sql.close()


async def _keep() -> None:
    from replication import books, sensing, waiting
    from thalihub import whereabouts
    from thalihub.calling import own_names

    running = asyncio.gather(
        books.keep(own_names),
        books.ask_friends(),
        waiting.keep(),
        sensing.keep(),
        whereabouts.keep(),
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        logger.info("Stopped.")

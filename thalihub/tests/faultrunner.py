"""Replicates as a worker does, in a process that a test may kill: `python -m …faultrunner`.

Each line on standard input, `pull DB URL` or `push DB URL`, is one run in a fork; the answers are
`pid NUMBER` when it begins and `end CODE` when it is over, 0 where everything went over.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import django
import httpx

PAGE = 4


def main() -> None:
    """Run what is asked for, until the input ends."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "thalihub.settings")
    django.setup()
    for line in sys.stdin:
        way, db_name, url = line.split()
        child = os.fork()
        if child == 0:
            os._exit(asyncio.run(_replicate(way, db_name, url)))
        sys.stdout.write(f"pid {child}\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"end {os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


async def _replicate(way: str, db_name: str, url: str) -> int:
    from replication import replicator
    from replication.core.options import Options
    from replication.peers import LocalPeer, Peer, RemotePeer

    replicator._PAGE = PAGE
    replicator._CHECKPOINT_SECONDS = 0
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        ends: tuple[Peer, Peer] = (RemotePeer(client, db_name, name="far"), LocalPeer(db_name))
        source, target = ends if way == "pull" else ends[::-1]
        result = await replicator.replicate(source, target, Options(), ours="us")
    return 0 if result.caught_up and not result.failures else 1


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main()

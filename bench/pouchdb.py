"""PouchDB under Node.js pushes and pulls 20,000 documents."""

from __future__ import annotations

import time
from pathlib import Path

from bench.meter import Cost, Meter
from bench.workloads import documents
from thalihub.tests.hubprocess import HubProcess
from thalihub.tests.pouch import Pouch

# What CouchDB 3.5 lets PouchDB do on such a machine: documents a second, batches of 100.
COUCH_PER_SECOND = 2600


def replicate(hub: HubProcess, meter: Meter, folder: Path, count: int) -> dict[str, Cost]:
    """Return the cost of a push and of a pull of `count` documents."""
    database = f"pouch{count}"
    hub.manage("database", "create", database)
    costs = {}
    with (
        Pouch(folder / "from", hub, database, hub.owner) as source,
        Pouch(folder / "to", hub, database, hub.owner) as target,
    ):
        for _ in range(0, count, 1000):
            source.local("bulkDocs", documents(min(1000, count)))
        for name, run in (("push", source.push), ("pull", target.pull)):
            cpu, start = meter.cpu(), time.perf_counter()
            done = run(batch_size=100)
            costs[name] = Cost(count, meter.cpu() - cpu, time.perf_counter() - start)
            assert done["docs_written"] == count, done
    return costs

"""A hub that is killed while it writes keeps whole batches, and all it has acknowledged."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx
import pytest

from thalihub.tests.hubprocess import HubProcess, eventually

pytestmark = [pytest.mark.slow, pytest.mark.long]

KILLS = 50
WRITERS = 3
BATCH = 60


class _Writers:
    """Clients that send batches until the hub is gone, and note which were acknowledged."""

    def __init__(self, hub: HubProcess, numbers: itertools.count[int]) -> None:
        self._hub = hub
        self._numbers = numbers
        self._ended = Event()
        self.acknowledged: list[int] = []

    def run(self) -> None:
        """Write from one connection."""
        with self._hub.client(self._hub.owner) as client:
            while not self._ended.is_set():
                number = next(self._numbers)
                try:
                    answer = client.post("/crash/_bulk_docs", json={"docs": _batch(number)})
                except httpx.TransportError:
                    return
                assert answer.status_code == 201, answer.text
                assert len(answer.json()) == BATCH
                self.acknowledged.append(number)

    def stop(self) -> None:
        """Send no further batch."""
        self._ended.set()


def _batch(number: int) -> list[dict[str, object]]:
    return [
        {"_id": f"{number}:{position}", "batch": number, "text": "x" * 800}
        for position in range(BATCH)
    ]


def _write_until_killed(hub: HubProcess, numbers: itertools.count[int], enough: int) -> list[int]:
    writers = _Writers(hub, numbers)
    with ThreadPoolExecutor(WRITERS) as pool:
        running = [pool.submit(writers.run) for _ in range(WRITERS)]
        try:
            eventually(
                lambda: len(writers.acknowledged) >= enough or any(one.done() for one in running),
                what=f"{enough} batches are acknowledged",
                pause=0.001,
            )
            hub.kill()
        finally:
            writers.stop()
        for one in running:
            one.result()
    assert len(writers.acknowledged) >= enough
    return writers.acknowledged


@pytest.mark.timeout(1200)
def test_a_killed_hub_loses_nothing_acknowledged_and_tears_no_batch(tmp_path: Path) -> None:
    chance = random.Random(2)
    numbers = itertools.count(1)
    acknowledged: set[int] = set()
    with HubProcess(tmp_path) as hub:
        with hub.client(hub.owner) as owner:
            assert owner.put("/crash").status_code == 201
        for _ in range(KILLS):
            acknowledged |= set(_write_until_killed(hub, numbers, chance.randrange(1, 9)))
            hub.start()
        with hub.client(hub.owner) as owner:
            rows = owner.get("/crash/_all_docs", params={"include_docs": "true"}).json()["rows"]
            changes = owner.get("/crash/_changes").json()["results"]
            info = owner.get("/crash").json()

    sizes = Counter(row["doc"]["batch"] for row in rows)
    assert set(sizes.values()) == {BATCH}, "a batch is torn"
    assert acknowledged <= sizes.keys(), "an acknowledged batch is lost"
    assert {change["id"] for change in changes} == {row["id"] for row in rows}
    assert info["doc_count"] == len(rows) == len(sizes) * BATCH

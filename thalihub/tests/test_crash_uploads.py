"""A hub that is killed in the middle of uploads keeps what it has acknowledged, and no torn one."""

from __future__ import annotations

import hashlib
import itertools
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx
import pytest

from thalihub.tests.hubprocess import SOURCE, HubProcess, eventually

pytestmark = [pytest.mark.slow, pytest.mark.long]

KILLS = 8
UPLOADERS = 3
SIZES = (1_000, 300_000, 2_000_000)
# What the housekeeping does when a day has passed.
A_DAY_LATER = """
import django, time
django.setup()
from couchapi import tasks
tasks.remove_contents(int(time.time()) + 2 * 24 * 3600)
"""


def _content(number: int) -> bytes:
    return random.Random(number).randbytes(SIZES[number % len(SIZES)])


class _Uploaders:
    """Clients that send attachments until the hub is gone, and note which were acknowledged."""

    def __init__(self, hub: HubProcess, numbers: itertools.count[int]) -> None:
        self._hub = hub
        self._numbers = numbers
        self._ended = Event()
        self.acknowledged: list[int] = []

    def run(self) -> None:
        """Send by one connection."""
        headers = {"content-type": "application/octet-stream"}
        with self._hub.client(self._hub.owner) as client:
            while not self._ended.is_set():
                number = next(self._numbers)
                try:
                    answer = client.put(
                        f"/crash/{number}/file", content=_content(number), headers=headers
                    )
                except httpx.TransportError:
                    return
                assert answer.status_code == 201, answer.text
                self.acknowledged.append(number)

    def stop(self) -> None:
        """Send no further one."""
        self._ended.set()


def _upload_until_killed(hub: HubProcess, numbers: itertools.count[int], enough: int) -> list[int]:
    uploaders = _Uploaders(hub, numbers)
    with ThreadPoolExecutor(UPLOADERS) as pool:
        running = [pool.submit(uploaders.run) for _ in range(UPLOADERS)]
        try:
            eventually(
                lambda: len(uploaders.acknowledged) >= enough or any(one.done() for one in running),
                what=f"{enough} uploads are acknowledged",
                pause=0.001,
            )
            hub.kill()
        finally:
            uploaders.stop()
        for one in running:
            one.result()
    assert len(uploaders.acknowledged) >= enough
    return uploaders.acknowledged


def _files(hub: HubProcess) -> list[Path]:
    return [path for path in (hub.data / "attachments").rglob("*") if path.is_file()]


@pytest.mark.timeout(600)
def test_a_killed_hub_keeps_acknowledged_attachments_and_no_torn_one(tmp_path: Path) -> None:
    chance = random.Random(3)
    numbers = itertools.count(1)
    acknowledged: set[int] = set()
    with HubProcess(tmp_path) as hub:
        with hub.client(hub.owner) as owner:
            assert owner.put("/crash").status_code == 201
        for _ in range(KILLS):
            acknowledged |= set(_upload_until_killed(hub, numbers, chance.randrange(1, 9)))
            hub.start()
        with hub.client(hub.owner) as owner:
            kept = {int(row["id"]) for row in owner.get("/crash/_all_docs").json()["rows"]}
            assert acknowledged <= kept, "an acknowledged attachment is lost"
            for number in kept:
                read = owner.get(f"/crash/{number}/file")
                assert _digest(read.content) == _digest(_content(number)), "an attachment is torn"
        subprocess.run(
            [sys.executable, "-c", A_DAY_LATER],
            cwd=SOURCE,
            env=hub.environment | {"DJANGO_SETTINGS_MODULE": "thalihub.settings"},
            check=True,
            timeout=60,
        )
        large = [number for number in kept if len(_content(number)) > 64 * 1024]
        assert len(_files(hub)) == len(large)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

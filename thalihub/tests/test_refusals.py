"""How often the API has refused somebody: counted across processes, and told as numbers."""

from __future__ import annotations

import os
import time

import pytest
from asgiref.sync import sync_to_async

from thalihub import refusals
from thalihub.refusals import Count, Why

HOUR = 3600.0


@pytest.fixture
def clock(monkeypatch, settings, tmp_path):
    """The time, which the test may change; and a data folder with nothing counted."""
    settings.HUB_DATA = tmp_path
    now = [1_000_000 * HOUR]
    monkeypatch.setattr(refusals.time, "time", lambda: now[0])
    return now


def test_what_is_older_than_a_day_counts_only_in_all(clock):
    refusals.count(Why.UNKNOWN)
    clock[0] += 23 * HOUR
    refusals.count(Why.UNKNOWN)
    assert refusals.look(clock[0])[Why.UNKNOWN] == Count(2, 2)
    clock[0] += HOUR
    refusals.count(Why.UNKNOWN)
    assert refusals.look(clock[0])[Why.UNKNOWN] == Count(3, 2)
    assert refusals.look(clock[0] + 24 * HOUR)[Why.UNKNOWN] == Count(3, 0)
    assert refusals.look(clock[0])[Why.FORBIDDEN] == Count(0, 0)


def test_processes_that_count_at_once_lose_nothing(clock):
    refusals.count(Why.TLS)  # The file is open before they begin, as in a web process.
    children = []
    for _ in range(4):
        if (child := os.fork()) == 0:
            for _ in range(500):
                refusals.count(Why.TLS)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert refusals.look(clock[0])[Why.TLS] == Count(2001, 2001)


def test_a_folder_that_cannot_be_written_hinders_nobody(clock, settings):
    settings.HUB_DATA = settings.HUB_DATA / "gone"
    refusals.count(Why.UNKNOWN)
    assert refusals.look(clock[0])[Why.UNKNOWN] == Count(0, 0)


async def test_strangers_and_those_without_the_right_are_counted(api, owner, database):
    before = refusals.look(time.time())
    assert (await owner.get(database)).status == 200
    assert (await api.anonymous.get(database)).status == 401
    friend = await sync_to_async(api.principal)()
    assert (await friend.get("/_node/_local/_prometheus")).status == 403
    after = refusals.look(time.time())
    added = {why: after[why].ever - before[why].ever for why in Why}
    assert added == {Why.UNKNOWN: 1, Why.FORBIDDEN: 1, Why.TLS: 0}

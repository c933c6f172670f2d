"""The ballast lies in the data folder while there is room, and makes some when there is none."""

from __future__ import annotations

import pytest
from django.conf import settings

from couchapi.core.room import Disk
from couchapi.store import space

GIB = 1024**3
BALLAST = settings.HUB_DATA / "ballast"


@pytest.fixture(autouse=True)
def _clean():
    BALLAST.unlink(missing_ok=True)  # Housekeeping may have laid one.
    yield
    BALLAST.unlink(missing_ok=True)
    space._Seen.until = 0.0


def test_the_ballast_follows_the_room(tables, monkeypatch):
    monkeypatch.setattr(space, "_disk", lambda _: Disk(GIB // 8, GIB // 8))
    space.keep_ballast()
    assert BALLAST.stat().st_size == GIB // 800
    assert BALLAST.stat().st_blocks * 512 >= GIB // 800

    monkeypatch.setattr(space, "_disk", lambda _: Disk(GIB // 8, 0))
    space.keep_ballast()
    assert not BALLAST.exists()
    space.release()  # Once more does no harm.


def test_pages_that_the_database_can_use_again_count(tables):
    assert space.look().total > 0
    assert space.look().reusable >= 0

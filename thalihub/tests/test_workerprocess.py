"""The worker keeps house by itself, again and again."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from thalihub.tests.hubprocess import HubProcess, eventually

pytestmark = pytest.mark.slow


def test_what_was_dropped_goes_without_being_asked_for(tmp_path: Path) -> None:
    with HubProcess(tmp_path, HUB_HOUSEKEEPING_SECONDS="0.2") as hub:
        for name in ("first", "second"):
            with hub.client(hub.owner) as owner:
                assert owner.put(f"/{name}").status_code == 201
                assert owner.put(f"/{name}/a", json={}).status_code == 201
                assert owner.delete(f"/{name}").status_code == 200
            eventually(lambda: not _documents(hub), what="the rows are gone")


def _documents(hub: HubProcess) -> int:
    connection = sqlite3.connect(hub.data / "hub.sqlite3")
    try:
        ours = "SELECT count(*) FROM couchapi_document WHERE docid = 'a'"
        (count,) = connection.execute(ours).fetchone()
    finally:
        connection.close()
    return int(count)

"""An index that was being built when its hub was killed is finished by the next one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from thalihub.tests.hubprocess import HubProcess, eventually

pytestmark = [pytest.mark.slow, pytest.mark.long]

DOCUMENTS = 12_000
VIEW = "/crash/_design/d/_view/by_n"
DESIGN = {
    "views": {
        "by_n": {"map": "function (doc) { emit(doc.n, doc.n % 10); }", "reduce": "_sum"},
    }
}


def _fill(owner: httpx.Client) -> None:
    assert owner.put("/crash").status_code == 201
    for start in range(0, DOCUMENTS, 1000):
        docs = [{"_id": f"d{n:05}", "n": n, "x": "x" * 500} for n in range(start, start + 1000)]
        assert owner.post("/crash/_bulk_docs", json={"docs": docs}).status_code == 201
    assert owner.put("/crash/_design/d", json=DESIGN).status_code == 201


def _built(owner: httpx.Client) -> int:
    seq: int = owner.get("/crash/_design/d/_info").json()["view_index"]["update_seq"]
    return seq


def _check(owner: httpx.Client, count: int) -> None:
    rows: list[dict[str, Any]] = owner.get(VIEW, params={"reduce": "false"}).json()["rows"]
    assert [row["key"] for row in rows] == list(range(count))
    total = owner.get(VIEW).json()["rows"][0]["value"]
    assert total == sum(n % 10 for n in range(count))


def test_a_build_goes_on_where_a_killed_hub_left_it(tmp_path: Path) -> None:
    with HubProcess(tmp_path, HUB_PROCESSES="2") as hub:
        with hub.client(hub.owner) as owner:
            _fill(owner)
        for _ in range(3):
            with hub.client(hub.owner) as owner:
                before = _built(owner)
                owner.get(VIEW, params={"update": "lazy", "limit": 1})
                eventually(
                    lambda before=before: _built(owner) > before,
                    what="the build goes on",
                    pause=0.001,
                )
            hub.kill()
            hub.start()
            with hub.client(hub.owner) as owner:
                assert _built(owner) > before
                if _built(owner) > DOCUMENTS:
                    break
        with hub.client(hub.owner) as owner:
            _check(owner, DOCUMENTS)


def test_two_processes_build_one_index(tmp_path: Path) -> None:
    with HubProcess(tmp_path, HUB_PROCESSES="2") as hub:
        with hub.client(hub.owner) as owner:
            _fill(owner)

        def ask(_: int) -> int:
            with hub.client(hub.owner) as client:  # A connection of its own, to either process.
                rows = client.get(VIEW).json()["rows"]
                return int(rows[0]["value"])

        with ThreadPoolExecutor(8) as pool:
            totals = set(pool.map(ask, range(8)))
        assert totals == {sum(n % 10 for n in range(DOCUMENTS))}
        with hub.client(hub.owner) as owner:
            more = [{"_id": f"e{n}", "n": DOCUMENTS + n} for n in range(100)]
            owner.post("/crash/_bulk_docs", json={"docs": more})
            _check(owner, DOCUMENTS + 100)

"""Clients that take their time: a right that was taken away meanwhile counts for them too."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from acl import store
from acl.core.errors import NoSuchHolder
from couchapi import parsers


@pytest.fixture(autouse=True)
def every_client_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsers, "SECONDS_TRUSTED", -1)


async def _friend(api: Any, database: str) -> Any:
    friend = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(database[1:], friend.name, read=True, write=True)
    return friend


@pytest.fixture
def exchange_kind(owner: Any) -> Any:
    """The class of the requests that tests send."""
    return type(owner.exchange("GET", "/"))


@pytest.mark.parametrize(
    ("method", "path", "body", "kind"),
    [
        ("PUT", "/a", b"{}", "application/json"),
        ("POST", "", b"{}", "application/json"),
        ("POST", "/_bulk_docs", b'{"docs":[{}]}', "application/json"),
        ("PUT", "/a/file", b"content", "text/plain"),
    ],
)
async def test_an_upload_that_outlasts_its_right_is_not_stored(
    api: Any,
    database: str,
    method: str,
    path: str,
    body: bytes,
    kind: str,
    exchange_kind: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    friend = await _friend(api, database)
    send = exchange_kind._receive

    async def send_after_the_right_is_gone(exchange: Any) -> dict[str, Any]:
        await sync_to_async(store.remove_grant)(database[1:], friend.name)
        monkeypatch.setattr(exchange_kind, "_receive", send)
        return await send(exchange)

    headers = {"content-type": kind}
    assert (await friend(method, database + path, body, headers=headers)).status == 201
    count = (await api.owner.get(database)).json()["update_seq"]
    monkeypatch.setattr(exchange_kind, "_receive", send_after_the_right_is_gone)
    answer = await friend(method, f"{database}{path}", body, headers=headers)
    assert answer.status == 404
    assert (await api.owner.get(database)).json()["update_seq"] == count


@pytest.mark.parametrize("narrowed", [False, True])
async def test_a_listing_that_outlasts_its_right_is_cut(
    api: Any, database: str, narrowed: bool, exchange_kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    friend = await _friend(api, database)
    await api.owner.post(f"{database}/_bulk_docs", {"docs": [{} for _ in range(1200)]})
    send = exchange_kind._send

    async def take_slowly(exchange: Any, message: dict[str, Any]) -> None:
        await send(exchange, message)
        if message.get("body"):
            await sync_to_async(_take_right)(database[1:], friend.name, narrowed)

    monkeypatch.setattr(exchange_kind, "_send", take_slowly)
    async with friend.open(f"{database}/_all_docs") as listing:
        await asyncio.wait([listing._task])
        assert listing._task.cancelled()


def _take_right(db_name: str, name: str, narrowed: bool) -> None:
    with contextlib.suppress(NoSuchHolder):
        store.remove_grant(db_name, name)
    if narrowed:
        store.add_grant(db_name, name, read=True, write=False, selector='{"a":1}')


async def test_a_listing_with_its_right_is_whole(api: Any, database: str) -> None:
    friend = await _friend(api, database)
    await api.owner.post(f"{database}/_bulk_docs", {"docs": [{} for _ in range(1200)]})
    assert len((await friend.get(f"{database}/_all_docs")).json()["rows"]) == 1200

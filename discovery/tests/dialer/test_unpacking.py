"""An answer of some hundred bytes must not become hundreds of megabytes here."""

from __future__ import annotations

import gzip
import ssl
from typing import Any

import httpx
import pytest

from discovery.core.addresses import Address
from discovery.dialer import Ways, near, outward


@pytest.fixture(params=["outward", "near"])
def client(request: pytest.FixtureRequest) -> httpx.AsyncClient:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if request.param == "near":
        return near._client(context, Address.parse("127.0.0.1:1"), 1.0)
    return outward.client("https://hub", verify=context, ways=Ways(), peer="x", timeout=1.0)


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Everybody answers with a body of these codings."""
    body = b"fine"
    for _ in request.param.split(","):
        body = gzip.compress(body)

    async def handle(self: Any, asked: httpx.Request) -> httpx.Response:
        headers = {"content-encoding": request.param}
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(body))

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)


@pytest.mark.parametrize("packed", ["gzip,gzip"], indirect=True)
async def test_what_was_packed_twice_is_refused(client: httpx.AsyncClient, packed: None) -> None:
    async with client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")


@pytest.mark.parametrize("packed", ["gzip"], indirect=True)
async def test_what_was_packed_once_is_read(client: httpx.AsyncClient, packed: None) -> None:
    async with client:
        assert (await client.get("/")).content == b"fine"

"""Connections to the announcement listeners of hubs nearby, in two steps.

First without a name: what is announced, and by which certificate.  Then, where that was genuine,
by mutual TLS with this certificate as the only trust anchor, so that the handshake fails before our
own certificate is sent to anybody else (design/discovery.md, "From beacon to connection").
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import httpx
from django.conf import settings

from acl.core.certs import key_of, parse
from discovery.core.addresses import Address
from discovery.core.beacons import LONGEST
from discovery.core.errors import UnreachableError, WrongKeyError
from discovery.dialer import Session, drained
from discovery.dialer.broken import BROKEN
from discovery.dialer.unpacking import Transport

PATH: Final = "/NotificationBeacons"
_SECONDS = 5.0
_LIMITS = httpx.Limits(max_connections=8, max_keepalive_connections=8)


class Fetched(NamedTuple):
    """What a listener has handed out; empty beacons: it announces nothing now."""

    beacons: bytes
    certificate: bytes
    """That it has shown, DER."""


async def fetch(address: Address) -> Fetched:
    """Return what is announced there, without saying who asks; raises UnreachableError."""
    try:
        async with (
            _client(_anonymous(), address, _SECONDS) as client,
            client.stream("GET", PATH, headers={"Accept": "application/octet-stream"}) as answer,
        ):
            shown = answer.extensions["network_stream"].get_extra_info("ssl_object")
            certificate = shown.getpeercert(binary_form=True)
            beacons = await _read(answer)
            return Fetched(beacons, certificate)
    except BROKEN as error:
        raise UnreachableError from error


async def _read(answer: httpx.Response) -> bytes:
    if answer.status_code == 204:
        return b""
    if answer.status_code != 200:
        raise UnreachableError
    beacons = b""
    async for piece in answer.aiter_raw():
        beacons += piece
        if len(beacons) > LONGEST:
            raise UnreachableError
    return beacons


async def ask(address: Address, certificate: bytes, path: str, body: bytes) -> bytes:
    """Post something without saying who asks, to the listener of this certificate alone.

    Returns the answer; raises UnreachableError, also for a refusal.
    """
    try:
        async with _client(_only(certificate), address, _SECONDS) as client:
            return await _posted(client, path, body)
    except BROKEN as error:
        raise UnreachableError from error


async def tell(to: Session, path: str, body: bytes) -> None:
    """Post something in a session; raises UnreachableError."""
    try:
        await _posted(to.client, path, body)
    except BROKEN as error:
        raise UnreachableError from error


async def _posted(client: httpx.AsyncClient, path: str, body: bytes) -> bytes:
    headers = {"Content-Type": "application/json"}
    async with client.stream("POST", path, content=body, headers=headers) as answer:
        return await _read(answer)


@contextlib.asynccontextmanager
async def session(
    key: str, address: Address, certificate: bytes, *, timeout: float = 30
) -> AsyncIterator[Session]:
    """Give a session with the hub of this device key, by its listener's certificate.

    Whose certificate it is has been proven before, by the beacon.  Raises UnreachableError, and
    WrongKeyError where another certificate is shown: nothing was sent then.
    """
    client = _client(_pinned(certificate), address, timeout)
    try:
        await _connect(client)
        leaf = key_of(parse(certificate))
        yield Session(client, leaf, (leaf, key), address)
    finally:
        await client.aclose()


async def _connect(client: httpx.AsyncClient) -> None:
    try:
        async with client.stream("GET", "/_up") as answer:
            await drained(answer)
    except BROKEN as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise WrongKeyError from error
        raise UnreachableError from error


def _anonymous() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.options |= ssl.OP_NO_TICKET
    return context


def _pinned(certificate: bytes) -> ssl.SSLContext:
    context = _only(certificate)
    folder = settings.HUB_DATA
    context.load_cert_chain(folder / "device.crt", folder / "device.key")
    return context


def _only(certificate: bytes) -> ssl.SSLContext:
    context = _anonymous()
    context.verify_mode = ssl.CERT_REQUIRED
    # The certificate is compared as it is; what a modern one should say beside does not matter.
    context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=certificate)
    return context


def _client(context: ssl.SSLContext, address: Address, timeout: float) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"https://{address}",
        transport=Transport(verify=context, trust_env=False, limits=_LIMITS),
        timeout=httpx.Timeout(timeout, connect=min(timeout, _SECONDS)),
        trust_env=False,
        follow_redirects=False,
        headers={"User-Agent": "thali"},
    )

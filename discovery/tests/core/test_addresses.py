"""Addresses: what is one, and what kind of way it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.core import addresses
from discovery.core.addresses import Address
from discovery.core.errors import AddressError

ONION = "a" * 56 + ".onion"


@pytest.mark.parametrize(
    ("text", "kind", "host", "port"),
    [
        ("127.0.0.1:6984", "loopback", "127.0.0.1", 6984),
        ("[::1]:1", "loopback", "::1", 1),
        ("localhost:6984", "loopback", "localhost", 6984),
        (" 192.168.1.20:6984 ", "lan", "192.168.1.20", 6984),
        ("[fe80::1]:6984", "lan", "fe80::1", 6984),
        ("kitchen:6984", "lan", "kitchen", 6984),
        ("kitchen.local:6984", "lan", "kitchen.local", 6984),
        ("8.8.8.8:65535", "internet", "8.8.8.8", 65535),
        ("Hub.Example:443", "internet", "hub.example", 443),
        (f"{ONION}:6984", "tor", ONION, 6984),
    ],
)
def test_an_address_is_read(text: str, kind: str, host: str, port: int) -> None:
    assert Address.parse(text) == (kind, host, port)
    assert str(Address.parse(text)) == text.strip().lower()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kitchen",
        "kitchen:0",
        "kitchen:65536",
        "kitchen:06984",
        "http://kitchen:1",
        "a b:1",
        "-a:1",
        "a..b:1",
        "1.2.3:1",
        "0.0.0.0:1",
        "[::]:1",
        "224.0.0.1:1",
        "::1:6984",
        "[127.0.0.1]:1",
        "short.onion:1",
        f"www.{ONION}:1",
        f"{'a.' * 200}example:1",
    ],
)
def test_what_is_not_an_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        Address.parse(text)


@given(st.text())
def test_no_text_does_harm(text: str) -> None:
    try:
        found = Address.parse(text)
    except AddressError:
        return
    assert Address.parse(str(found)) == found


def test_what_is_near_comes_first_and_once() -> None:
    texts = [f"{ONION}:1", "8.8.8.8:1", "10.0.0.2:1", "10.0.0.1:1", "127.0.0.1:1", "10.0.0.2:1"]
    ordered = addresses.nearest_first(map(Address.parse, texts))
    assert list(map(str, ordered)) == [
        "127.0.0.1:1",
        "10.0.0.2:1",
        "10.0.0.1:1",
        "8.8.8.8:1",
        f"{ONION}:1",
    ]

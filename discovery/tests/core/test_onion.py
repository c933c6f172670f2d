"""Onion addresses, what tor is told, and what it answers."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from discovery.core import onion
from discovery.core.errors import AddressError, NotAuthorized, NotInTor, TorFailed
from discovery.core.onion import Torrc, Uploads

# Tor Project's own site, whose address is well known.
KNOWN = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion"
TORRC = Torrc("/data/tor", "/data/tor/control", "/data/tor/socks", "/data/tor/log", 7)


def test_an_address_is_its_key() -> None:
    assert onion.address_of(onion.key_of(KNOWN)) == KNOWN


@given(st.binary(min_size=32, max_size=32))
def test_every_key_has_one_address(key: bytes) -> None:
    address = onion.address_of(key)
    assert len(address) == 62
    assert onion.key_of(address.upper().replace(".ONION", ".onion")) == key


@given(st.integers(0, 55), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_wrong_letter_is_noticed(place: int, letter: str) -> None:
    changed = KNOWN[:place] + letter + KNOWN[place + 1 :]
    if changed != KNOWN:
        with pytest.raises(AddressError):
            onion.key_of(changed)


@pytest.mark.parametrize("text", ["", "abc.onion", "1" * 56, KNOWN[:-7] + "!.onion", "ü" * 56])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        onion.key_of(text)


@pytest.mark.parametrize(
    ("host", "is_onion"),
    [(KNOWN, True), ("x.onion", True), ("x.ONION.", True), ("onion", True), ("a.b.onion", True),
     ("onion.example", False), ("myonion", False), ("127.0.0.1", False), ("", False)],
)  # fmt: skip
def test_what_belongs_to_tor_is_known(host: str, is_onion: bool) -> None:
    assert onion.is_onion(host) == is_onion


@given(st.binary(min_size=32, max_size=32))
def test_the_service_key_is_that_of_the_address(seed: bytes) -> None:
    scalar = base64.b64decode(onion.service_key(seed).removeprefix("ED25519-V3:"))
    assert len(scalar) == 64
    assert scalar[32:] == hashlib.sha512(seed).digest()[32:]
    assert scalar[0] & 7 == 0 and scalar[31] & 0xC0 == 0x40
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert onion.key_of(onion.address_of(raw)) == raw


def test_torrc_names_all_that_tor_needs() -> None:
    text = TORRC.text()
    assert 'SocksPort unix:"/data/tor/socks" ExtendedErrors OnionTrafficOnly\n' in text
    assert 'ControlSocket "/data/tor/control"\n' in text
    assert "CookieAuthentication 1\n" in text
    assert "auto" not in text


def test_torrc_opens_a_port_for_applications_only_where_they_may() -> None:
    text = Torrc(**{**vars(TORRC), "for_applications": True}).text()
    assert "SocksPort 127.0.0.1:auto IsolateDestAddr" in text


def test_torrc_lets_everything_through_where_everything_goes_through_tor() -> None:
    text = Torrc(**{**vars(TORRC), "onions_only": False}).text()
    assert "OnionTrafficOnly" not in text


def test_a_path_cannot_break_out_of_its_line() -> None:
    text = Torrc(**{**vars(TORRC), "data": 'a "b\\ c'}).text()
    assert r'DataDirectory "a \"b\\ c"' in text


def test_a_service_for_everybody_names_no_clients() -> None:
    command = onion.add_onion(bytes(32), "127.0.0.1:5", None)
    assert " Flags=DiscardPK Port=6984,127.0.0.1:5" in command
    assert "V3Auth" not in command


def test_a_service_for_contacts_names_each_once() -> None:
    keys = [onion.client_key(bytes([n]) * 32) for n in (1, 2, 1)]
    assert all(onion.is_client_key(key) for key in keys)
    command = onion.add_onion(bytes(32), "127.0.0.1:5", keys)
    assert "Flags=DiscardPK,V3Auth" in command
    assert command.count("ClientAuthV3=") == 2


def test_a_service_never_names_more_clients_than_tor_can_publish() -> None:
    keys = [onion.client_key(n.to_bytes(32)) for n in range(400)]
    assert onion.add_onion(bytes(32), "x:1", keys).count("ClientAuthV3=") == onion.MOST_CLIENTS


@pytest.mark.parametrize(
    ("reply", "percent", "said"),
    [
        ('NOTICE BOOTSTRAP PROGRESS=50 TAG=x SUMMARY="Loading"', 50, "Loading"),
        ('NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done"', 100, "Done"),
        ('WARN BOOTSTRAP PROGRESS=10 SUMMARY="Conn" WARNING="No route to host"', 10,
         "No route to host"),
        ("", 0, ""),
        ("PROGRESS=abc", 0, ""),
        ("PROGRESS=999", 100, ""),
    ],
)  # fmt: skip
def test_how_far_tor_is(reply: str, percent: int, said: str) -> None:
    assert onion.bootstrap(reply) == (percent, said)


def test_listeners_are_read() -> None:
    assert onion.listeners('"unix:/a b/socks" "127.0.0.1:9150"') == [
        "unix:/a b/socks",
        "127.0.0.1:9150",
    ]
    assert onion.listeners('"broken') == []


def test_published_is_what_every_directory_has_taken() -> None:
    uploads = Uploads()
    assert not uploads.are_complete
    for directory in "AB":
        uploads.saw("UPLOAD", directory)
    uploads.saw("UPLOADED", "A")
    assert not uploads.are_complete
    uploads.saw("UPLOADED", "B")
    assert uploads.are_complete
    uploads.saw("UPLOAD", "A")
    assert not uploads.are_complete


def test_a_directory_that_refuses_does_not_hold_up_the_others() -> None:
    uploads = Uploads()
    uploads.saw("UPLOAD", "A")
    uploads.saw("FAILED", "A")
    assert not uploads.are_complete
    uploads.saw("UPLOAD", "B")
    uploads.saw("UPLOADED", "B")
    assert uploads.are_complete


def test_pauses_grow_and_end() -> None:
    pauses = [onion.pause(n) for n in range(20)]
    assert pauses == sorted(pauses)
    assert pauses[0] <= 1 and pauses[-1] == 60


def test_every_answer_of_socks_has_words() -> None:
    assert isinstance(onion.socks_error(0xF0), NotInTor)
    assert isinstance(onion.socks_error(0xF4), NotAuthorized)
    assert isinstance(onion.socks_error(0x99), TorFailed)
    assert all(onion.socks_error(code).reason for code in range(256))

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.core import advert
from discovery.core.advert import LONGEST_STREAM, PAGE, Advert, BadAdvert

TOKENS = st.binary(min_size=8, max_size=8)


@given(TOKENS, st.booleans())
def test_an_advert_says_what_was_meant_and_fits_into_the_air(token: bytes, pairing: bool) -> None:
    data = advert.pack(Advert(token, pairing))
    assert advert.parse(data) == Advert(token, pairing)
    flags, head, uuid = 3, 2, 16
    assert flags + head + uuid + len(data) <= 31


def test_the_layout_is_as_written() -> None:
    assert advert.pack(Advert(b"\x07" * 8, True)) == b"\x01\x01" + b"\x07" * 8
    assert advert.pack(Advert(b"\x07" * 8)) == b"\x01\x00" + b"\x07" * 8


@pytest.mark.parametrize("size", [0, 7, 9])
def test_a_token_of_another_size_is_not_sent(size: int) -> None:
    with pytest.raises(ValueError, match="8 bytes"):
        advert.pack(Advert(bytes(size)))


@given(st.binary(max_size=64))
def test_bytes_of_strangers_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadAdvert):
        read = advert.parse(data)
        assert data[0] == 1 and len(data) == 10 and read.token == data[2:]
    with contextlib.suppress(BadAdvert):
        beacons, envelopes = advert.unframe(data)
        assert beacons and advert.frame(beacons, envelopes) == data
    with contextlib.suppress(BadAdvert):
        assert advert.write_offset(advert.read_offset(data)) == data


def test_a_later_version_and_other_sizes_are_refused() -> None:
    good = advert.pack(Advert(b"\x07" * 8))
    for bad in (b"\x02" + good[1:], good[:-1], good + b"\0", b""):
        with pytest.raises(BadAdvert):
            advert.parse(bad)
    assert advert.parse(b"\x01\xfe" + good[2:]) == Advert(b"\x07" * 8)


@given(st.binary(max_size=3 * PAGE), st.integers(0, 65_535))
def test_pages_read_until_one_is_not_full_are_the_stream(stream: bytes, beyond: int) -> None:
    read = b""
    while True:
        offset = advert.read_offset(advert.write_offset(len(read)))
        page = advert.page(stream, offset)
        assert len(page) <= 512
        read += page
        if advert.is_last(page):
            break
    assert read == stream
    assert advert.page(stream, len(stream) + beyond) == b""


def test_a_stream_is_bounded() -> None:
    beacons, envelopes = b"b" * 4096, b"e" * (LONGEST_STREAM - 4098)
    assert advert.unframe(advert.frame(beacons, envelopes)) == (beacons, envelopes)
    with pytest.raises(ValueError, match="at most"):
        advert.frame(beacons, envelopes + b"e")
    for bad in (b"", b"\0", b"\0\0", b"\0\x02b", b"\0\x01" + b"b" * LONGEST_STREAM):
        with pytest.raises(BadAdvert):
            advert.unframe(bad)

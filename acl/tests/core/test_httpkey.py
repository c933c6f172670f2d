"""httpkey and thaligroup URLs: taken whole or refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from acl.core import keys
from acl.core.errors import KeyFormatError
from acl.core.httpkey import HttpKey, ThaliGroup

KEY = keys.key_hash(b"somebody")
MODULUS = (1 << 2047) + 1
URL = f"httpkey://hub.example:6984/sha256:{KEY}/notes/a%2Fb?x=1/2#there"

segments = st.text("abcXYZ019-._~!$&'()*+,;=:@", max_size=8).filter(lambda s: s not in (".", ".."))
paths = st.lists(segments, max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts))
tails = st.none() | st.text("abc/?&=%20", max_size=8).filter(lambda s: "%" not in s)
hosts = st.sampled_from(["a.example", "localhost", "127.0.0.1", "[::1]", "x" * 56 + ".onion"])
ports = st.sampled_from(["", ":1", ":443", ":65535"])


def test_the_parts_are_read() -> None:
    url = HttpKey.parse(URL)
    assert (url.host, url.port, url.key) == ("hub.example", 6984, KEY)
    assert (url.path, url.query, url.fragment) == ("/notes/a%2Fb", "x=1/2", "there")


@pytest.mark.slow
@given(hosts, ports, st.binary(min_size=1).map(keys.key_hash), paths, tails, tails)
def test_a_url_reads_back(
    host: str, port: str, key: str, path: str, query: str | None, fragment: str | None
) -> None:
    url = HttpKey(host + port, "sha256", key, path, query, fragment)
    assert HttpKey.parse(str(url)) == url


@given(st.text(max_size=80))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(KeyFormatError):
        HttpKey.parse(text)
    with pytest.raises(KeyFormatError):
        ThaliGroup.parse(text)


@given(st.integers(0, len(URL) - 1), st.characters())
def test_a_changed_character_is_refused_or_kept(where: int, character: str) -> None:
    changed = URL[:where] + character + URL[where + 1 :]
    try:
        url = HttpKey.parse(changed)
    except KeyFormatError:
        return
    assert str(url) == changed


def test_an_rsa_key_has_the_hash_of_its_spki() -> None:
    url = HttpKey.parse(f"httpkey://hub.example/rsapublickey:65537.{MODULUS}/db")
    spki = rsa.RSAPublicNumbers(65537, MODULUS).public_key()
    der = spki.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert url.key == keys.key_hash(der)
    assert url.port is None


def test_the_largest_rsa_key_is_read() -> None:
    modulus = (1 << 16383) + 1
    digits = []
    while modulus:
        modulus, last = divmod(modulus, 10**1000)
        digits.append(f"{last:01000d}")
    text = "".join(reversed(digits)).lstrip("0")
    url = HttpKey.parse(f"httpkey://hub.example/rsapublickey:65537.{text}")
    assert keys.is_key_hash(url.key)


@pytest.mark.parametrize(
    "key",
    [
        f"md5:{KEY}",
        f"SHA256:{KEY}",
        f"sha256:{KEY}A",
        f"sha256:{KEY[:-1]}=",
        "sha256:",
        f"rsapublickey:65537.{MODULUS >> 1 | 1}",
        f"rsapublickey:0.{MODULUS}",
        f"rsapublickey:65536.{MODULUS}",
        f"rsapublickey:065537.{MODULUS}",
        f"rsapublickey:65537.0{MODULUS}",
        f"rsapublickey:65537,{MODULUS}",
        f"rsapublickey:65537.{MODULUS}.1",
        f"rsapublickey:65537.-{MODULUS}",
        "rsapublickey:65537." + "9" * 6000,
        f"rsapublickey:{'9' * 40}.{MODULUS}",
    ],
)
def test_a_key_that_is_not_understood_is_refused(key: str) -> None:
    with pytest.raises(KeyFormatError):
        HttpKey.parse(f"httpkey://hub.example/{key}/db")


@pytest.mark.parametrize(
    "authority",
    [
        "",
        "user@hub.example",
        "hub.example:",
        "hub.example:0",
        "hub.example:080",
        "hub.example:65536",
        "HUB.example",
        "hub..example",
        "-hub.example",
        "hub.example.",
        "127.1",
        "0127.0.0.1",
        "::1",
        "[::01]",
        "[hub.example]",
        "hüb.example",
        "hub%2eexample",
        "a" * 64 + ".example",
    ],
)
def test_an_authority_that_could_be_read_in_two_ways_is_refused(authority: str) -> None:
    with pytest.raises(KeyFormatError):
        HttpKey.parse(f"httpkey://{authority}/sha256:{KEY}/db")


@pytest.mark.parametrize(
    "tail", ["/../x", "/.", "/a b", "/ü", "/%zz", "/%2", '/"', "\n", "/a\0", "?a b", "#a#b", "x"]
)
def test_a_path_that_is_not_encoded_is_refused(tail: str) -> None:
    with pytest.raises(KeyFormatError):
        HttpKey.parse(f"httpkey://hub.example/sha256:{KEY}{tail}")


def test_a_group_has_a_url_of_each_member() -> None:
    url = ThaliGroup.parse(f"thaligroup:/sha256:{KEY}/Chess%20club/httpkeysimple/games?a=b")
    other = keys.key_hash(b"other")
    assert (url.owner, url.group) == (KEY, "Chess club")
    assert [str(one) for one in url.expand([("a.example", KEY), ("b.onion:443", other)])] == [
        f"httpkey://a.example/sha256:{KEY}/games?a=b",
        f"httpkey://b.onion:443/sha256:{other}/games?a=b",
    ]


@given(st.text(min_size=1, max_size=20).filter(lambda s: s.isprintable()))
def test_a_group_url_reads_back(name: str) -> None:
    url = ThaliGroup("sha256", KEY, name, "/games")
    assert ThaliGroup.parse(str(url)) == url


@pytest.mark.parametrize("group", ["", "a/b", "%FF", "%41", "%2f", "a+b c"])
def test_a_group_name_has_one_spelling(group: str) -> None:
    with pytest.raises(KeyFormatError):
        ThaliGroup.parse(f"thaligroup:/sha256:{KEY}/{group}/httpkeysimple/games")


def test_a_member_that_is_no_address_is_refused() -> None:
    url = ThaliGroup("sha256", KEY, "g", "/games")
    with pytest.raises(KeyFormatError):
        url.expand([("evil.example/sha256:x?", KEY)])

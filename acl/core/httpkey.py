"""httpkey and thaligroup URLs: addresses that name the key which has to answer.

    httpkey://AUTHORITY/KEYTYPE:VALUE/PATH?QUERY#FRAGMENT
    thaligroup:/KEYTYPE:VALUE/GROUP/httpkeysimple/PATH?QUERY#FRAGMENT

Key types: `rsapublickey:EXPONENT.MODULUS` (decimal, as Thali wrote it) and `sha256:HASH` of the
SubjectPublicKeyInfo.  A URL is taken whole or refused: there is one spelling of each, so that two
programs which read it can never understand different keys.  An unknown key type is refused here,
before any connection is made (design/identity-and-tls.md, "httpkey URLs").
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from urllib.parse import quote, unquote

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from acl.core.errors import KeyFormatError
from acl.core.keys import PREFIX, accepted_key_type, is_key_hash, key_hash

RSA: Final = "rsapublickey"
SHA256: Final = "sha256"

_LONGEST = 16_384
_DIGITS = 5_000  # Of an RSA modulus of 16,384 bits, the largest there is.
_PCHAR = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_TAIL = (
    rf"(?P<path>(?:/{_PCHAR}*)*)"
    rf"(?:\?(?P<query>(?:{_PCHAR}|[/?])*))?(?:\#(?P<fragment>(?:{_PCHAR}|[/?])*))?"
)
_KEY = r"(?P<key_type>[a-z0-9]+):(?P<value>[A-Za-z0-9._-]+)"
_HTTPKEY = re.compile(rf"httpkey://(?P<authority>[^/?#]+)/{_KEY}{_TAIL}")
_GROUP = re.compile(rf"thaligroup:/{_KEY}/(?P<group>{_PCHAR}+)/httpkeysimple{_TAIL}")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[1-9][0-9]*")


@dataclass(frozen=True)
class HttpKey:
    """An httpkey URL.  `query` and `fragment` are None where they are missing, not empty."""

    authority: str
    key_type: str
    value: str
    path: str = ""
    query: str | None = None
    fragment: str | None = None

    @classmethod
    def parse(cls, text: str) -> HttpKey:
        """Read a URL; raises KeyFormatError."""
        parts = _matched(_HTTPKEY, text, "an httpkey URL")
        _check_authority(parts["authority"] or "")
        _check_key(parts["key_type"] or "", parts["value"] or "")
        _check_path(parts["path"] or "")
        return cls(**parts)  # type: ignore[arg-type]

    def __str__(self) -> str:
        tail = _tail(self.path, self.query, self.fragment)
        return f"httpkey://{self.authority}/{self.key_type}:{self.value}{tail}"

    @cached_property
    def key(self) -> str:
        """The key hash that the peer must show."""
        return _hash_of(self.key_type, self.value)

    @property
    def host(self) -> str:
        """The host, of an IPv6 address without its brackets."""
        return _split_authority(self.authority)[0]

    @property
    def port(self) -> int | None:
        """The port, or None where the URL names none."""
        return _split_authority(self.authority)[1]


@dataclass(frozen=True)
class ThaliGroup:
    """A thaligroup URL: the same path at every member of a group.  `group` is decoded."""

    key_type: str
    value: str
    group: str
    path: str = ""
    query: str | None = None
    fragment: str | None = None

    @classmethod
    def parse(cls, text: str) -> ThaliGroup:
        """Read a URL; raises KeyFormatError."""
        parts = _matched(_GROUP, text, "a thaligroup URL")
        _check_key(parts["key_type"] or "", parts["value"] or "")
        _check_path(parts["path"] or "")
        parts["group"] = _decoded_group(parts["group"] or "")
        return cls(**parts)  # type: ignore[arg-type]

    def __str__(self) -> str:
        tail = _tail(self.path, self.query, self.fragment)
        group = quote(self.group, safe="")
        return f"thaligroup:/{self.key_type}:{self.value}/{group}/httpkeysimple{tail}"

    @cached_property
    def owner(self) -> str:
        """The key hash of the group's owner."""
        return _hash_of(self.key_type, self.value)

    def expand(self, members: Iterable[tuple[str, str]]) -> list[HttpKey]:
        """Return one httpkey URL for each (authority, key hash); raises KeyFormatError."""
        return [self._at(authority, key) for authority, key in members]

    def _at(self, authority: str, key: str) -> HttpKey:
        url = HttpKey(authority, SHA256, key, self.path, self.query, self.fragment)
        return HttpKey.parse(str(url))


def _matched(pattern: re.Pattern[str], text: str, what: str) -> dict[str, str | None]:
    match = pattern.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise KeyFormatError(f"This is not {what}.")
    return {**match.groupdict()}


def _check_authority(authority: str) -> None:
    host, port = _split_authority(authority)
    if port is not None and port > 65_535:
        raise KeyFormatError("The port in an httpkey URL is at most 65535.")
    if ":" in host or host.replace(".", "").isdigit():
        _check_address(host)
    elif not all(_LABEL.fullmatch(label) for label in host.split(".")) or len(host) > 253:
        raise KeyFormatError("The host in an httpkey URL is not a host name.")


def _check_address(host: str) -> None:
    try:
        canonical = str(ipaddress.ip_address(host))
    except ValueError:
        canonical = ""
    if canonical != host:
        raise KeyFormatError("The host in an httpkey URL is not an IP address as it is written.")


def _split_authority(authority: str) -> tuple[str, int | None]:
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise KeyFormatError("An httpkey URL names a host in small letters, and perhaps a port.")
    host, port = match["host"], match["port"]
    if host.startswith("[") != (":" in host):
        raise KeyFormatError("Only IPv6 addresses stand in brackets.")
    return host.strip("[]"), int(port) if port else None


def _check_key(key_type: str, value: str) -> None:
    if key_type == SHA256:
        if not is_key_hash(value):
            raise KeyFormatError(f"{PREFIX} is followed by 43 characters of base64url.")
    elif key_type == RSA:
        _rsa_key(value)
    else:
        raise KeyFormatError(f"The key type {key_type} is not known here; {SHA256} and {RSA} are.")


def _hash_of(key_type: str, value: str) -> str:
    if key_type == SHA256:
        return value
    spki = _rsa_key(value).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return key_hash(spki)


def _rsa_key(value: str) -> rsa.RSAPublicKey:
    exponent, _, modulus = value.partition(".")
    decimal = _NUMBER.fullmatch(exponent) and _NUMBER.fullmatch(modulus)
    if not decimal or len(exponent) > 10 or len(modulus) > _DIGITS:
        raise KeyFormatError("An RSA key reads EXPONENT.MODULUS, two decimal numbers.")
    try:
        key = rsa.RSAPublicNumbers(int(exponent), _large(modulus)).public_key()
    except ValueError as error:
        raise KeyFormatError("These two numbers are not an RSA key.") from error
    if not accepted_key_type(key):
        raise KeyFormatError("An RSA key has at least 2048 bits.")
    return key


def _large(digits: str) -> int:
    # int() refuses more than 4,300 digits at once, for good reasons that the bound above meets.
    head, tail = digits[:-2_500], digits[-2_500:]
    shift: int = 10 ** len(tail)
    return int(head or "0") * shift + int(tail)


def _check_path(path: str) -> None:
    if {".", ".."} & set(path.split("/")):
        raise KeyFormatError("The path in a URL that names a key has no . or .. in it.")


def _decoded_group(group: str) -> str:
    try:
        decoded = unquote(group, errors="strict")
    except UnicodeDecodeError as error:
        raise KeyFormatError("The group's name is not UTF-8.") from error
    if quote(decoded, safe="") != group:
        raise KeyFormatError("The group's name is not percent-encoded as RFC 3986 writes it.")
    return decoded


def _tail(path: str, query: str | None, fragment: str | None) -> str:
    query = "" if query is None else f"?{query}"
    fragment = "" if fragment is None else f"#{fragment}"
    return f"{path}{query}{fragment}"

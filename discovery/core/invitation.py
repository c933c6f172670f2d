"""Invitations: one link for both directions, as a QR code, in a mail, or in a `.thali` file.

    httpkey://ADDRESS:PORT/sha256:KEY/#s=SECRET&e=EXPIRY&l=ADDRESS:PORT&n=NAME

The link names the key that has to answer.  The secret stands in the fragment, which is never sent,
so it is in no request line and in no log; `e` is in seconds, base 36 (design/pairing.md, "QR").
`p=device` says that whoever follows the link becomes a device of the inviter.

Written strictly, read tolerantly: mail programs wrap lines, quote them and put words around.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote

from acl.core.errors import KeyFormatError
from acl.core.httpkey import SHA256, HttpKey
from discovery.core import commitment as values
from discovery.core.errors import InvitationError, InvitationExpired, MessageError

FRIEND: Final = "friend"
DEVICE: Final = "device"
PURPOSES: Final = (FRIEND, DEVICE)
MOST_ADDRESSES: Final = 4
_LONGEST_NAME = 64
_LONGEST_TEXT = 65_536
_MOST_WRAPPED = 6
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LINK = re.compile(r"httpkey://[^\s<>\"]+", re.IGNORECASE)
_WRAP = re.compile(r"=?[ \t]*\r?\n(?:[ \t]*>)*[ \t]*")
_END = ".,;:!?)]}'*_"


@dataclass(frozen=True)
class Invitation:
    """What an invitation says.  `key` is a key hash, addresses read `host:port`, the best first."""

    key: str
    addresses: tuple[str, ...]
    secret: bytes
    expires: datetime.datetime
    name: str = ""
    purpose: str = FRIEND

    def check(self, now: datetime.datetime) -> None:
        """Raise InvitationExpired when it is too late."""
        if now >= self.expires:
            raise InvitationExpired


def link(invitation: Invitation) -> str:
    """Return the link, for a QR code or a mail."""
    first, *others = invitation.addresses[:MOST_ADDRESSES]
    expires = _base36(int(invitation.expires.timestamp()))
    parts = [f"s={values.encoded(invitation.secret)}", f"e={expires}"]
    parts += [f"l={quote(one, safe=':.')}" for one in others]
    if invitation.purpose != FRIEND:
        parts.append(f"p={invitation.purpose}")
    if invitation.name:
        parts.append(f"n={quote(invitation.name, safe='')}")
    return str(HttpKey(first, SHA256, invitation.key, "/", None, "&".join(parts)))


def file(invitation: Invitation) -> str:
    """Return the text of a `.thali` file."""
    what = "make your hub one of my devices" if invitation.purpose == DEVICE else "connect our hubs"
    return (
        f"This is an invitation by {invitation.name or 'a Thali hub'} to {what}.\n"
        "Open your own hub, choose “Accept an invitation”, and paste all of this text there.\n"
        f"It works once, until {invitation.expires:%Y-%m-%d %H:%M} UTC.\n\n"
        f"{link(invitation)}\n"
    )


def read(text: str) -> Invitation:
    """Return the invitation in a text, with whatever stands around it; raises InvitationError."""
    if len(text) > _LONGEST_TEXT:
        raise InvitationError
    for candidate in _candidates(text):
        try:
            return _parsed(candidate)
        except (KeyFormatError, MessageError, ValueError, OverflowError):
            continue
    raise InvitationError


def _candidates(text: str) -> Iterator[str]:
    """Yield what may be the link: as it stands, then with more and more lines joined to it."""
    start = _LINK.search(text)
    if start is None:
        return
    rest = text[start.start() :]
    for _ in range(_MOST_WRAPPED):
        found = _LINK.match(rest)
        if found is not None:
            yield found[0]
            yield found[0].rstrip(_END)
        rest = _WRAP.sub("", rest, count=1)


def _parsed(text: str) -> Invitation:
    url = HttpKey.parse("httpkey" + text[7:])
    pairs = parse_qsl(url.fragment or "", strict_parsing=True, errors="strict", max_num_fields=32)
    given = dict(reversed(pairs))  # Of several, the first.
    if url.path.strip("/") or url.query is not None or url.port is None:
        raise MessageError
    others = [value for name, value in pairs if name == "l"]
    return Invitation(
        url.key,
        tuple([url.authority, *others][:MOST_ADDRESSES]),
        values.decoded(given.get("s"), values.SECRET),
        datetime.datetime.fromtimestamp(int(given.get("e", ""), 36), datetime.UTC),
        _name(given),
        _purpose(given),
    )


def _name(given: Mapping[str, str]) -> str:
    name = given.get("n", "").strip()
    return name[:_LONGEST_NAME] if name.isprintable() else ""


def _purpose(given: Mapping[str, str]) -> str:
    # A purpose that is not known here may ask for anything.
    purpose = given.get("p", FRIEND)
    if purpose not in PURPOSES:
        raise MessageError
    return purpose


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"

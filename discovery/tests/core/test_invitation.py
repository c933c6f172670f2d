"""Invitations: written strictly, read with whatever a mail program does to them."""

from __future__ import annotations

import datetime
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl.core.keys import key_hash
from discovery.core import invitation as invitations
from discovery.core.errors import InvitationError, InvitationExpired
from discovery.core.invitation import Invitation

KEY = key_hash(b"somebody")
EXPIRES = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)
GIVEN = Invitation(
    KEY, ("192.168.1.20:6984", "[fe80::1]:6984"), b"s" * 16, EXPIRES, "Ada Lovelace", "friend"
)
names = st.text(
    st.characters(exclude_categories=["C", "Zs", "Zl", "Zp"], exclude_characters="/"), max_size=64
)


@given(
    st.binary(min_size=16, max_size=16),
    st.datetimes(datetime.datetime(2020, 1, 1), datetime.datetime(2100, 1, 1)),
    names,
    st.sampled_from(invitations.PURPOSES),
)
def test_a_link_reads_back(
    secret: bytes, expires: datetime.datetime, name: str, purpose: str
) -> None:
    exact = expires.replace(microsecond=0, tzinfo=datetime.UTC)
    given_ = Invitation(KEY, GIVEN.addresses, secret, exact, name, purpose)
    assert invitations.read(invitations.link(given_)) == given_


def test_the_secret_stands_in_the_fragment_only() -> None:
    link = invitations.link(GIVEN)
    before, _, fragment = link.partition("#")
    assert before == f"httpkey://192.168.1.20:6984/sha256:{KEY}/"
    assert fragment.startswith("s=c3Nzc3Nzc3Nzc3Nzc3Nzcw&e=")


def test_a_link_is_short_enough_for_a_qr_code_of_57_modules() -> None:
    onion = Invitation(KEY, ("x" * 56 + ".onion:6984", "192.168.1.20:6984"), b"s" * 16, EXPIRES)
    assert len(invitations.link(onion)) <= 213  # Version 10, level M, bytes.


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda link: f"\n  {link}  \n",
        lambda link: f"Hello!\nHere it is: <{link}>. Bye.",
        lambda link: f"See {link}, please.",
        lambda link: "\n".join(textwrap.wrap(link, 76, break_on_hyphens=False)),
        lambda link: "\r\n".join(textwrap.wrap(link, 60, break_on_hyphens=False)),
        lambda link: "> " + "\n> ".join(textwrap.wrap(link, 72, break_on_hyphens=False)),
        lambda link: "=\n".join(textwrap.wrap(link, 75, break_on_hyphens=False)),
        lambda link: link.replace("httpkey", "HTTPKEY", 1),
        lambda link: link + "&future=thing",
    ],
)
def test_a_link_is_found_in_what_a_mail_program_makes_of_it(wrapped: object) -> None:
    found = invitations.read(wrapped(invitations.link(GIVEN)))  # type: ignore[operator]
    assert (found.key, found.secret, found.expires) == (KEY, b"s" * 16, EXPIRES)


def test_a_thali_file_says_what_it_is_and_reads_back() -> None:
    text = invitations.file(GIVEN)
    assert "Ada Lovelace" in text
    assert "2026-05-01 12:00 UTC" in text
    assert invitations.read(text) == GIVEN


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "hello",
        "https://example.org/#s=1",
        f"httpkey://a.example:1/sha256:{KEY}/",
        f"httpkey://a.example:1/sha256:{KEY}/#e=1",
        f"httpkey://a.example:1/sha256:{KEY}/#s=short&e=1",
        f"httpkey://a.example:1/sha256:{KEY}/#s=c3Nzc3Nzc3Nzc3Nzc3Nzcw&e=",
        f"httpkey://a.example:1/sha256:{KEY}/#s=c3Nzc3Nzc3Nzc3Nzc3Nzcw&e=zzzzzzzzzzzzz",
        f"httpkey://a.example/sha256:{KEY}/#s=c3Nzc3Nzc3Nzc3Nzc3Nzcw&e=t0",
        f"httpkey://a.example:1/sha256:{KEY}/db#s=c3Nzc3Nzc3Nzc3Nzc3Nzcw&e=t0",
        f"httpkey://a.example:1/sha256:{KEY}/#s=c3Nzc3Nzc3Nzc3Nzc3Nzcw&e=t0&p=owner",
        "httpkey://a.example:1/md5:abc/#s=c3Nzc3Nzc3Nzc3Nzc3Nzcw&e=t0",
        "x" * 100_000,
    ],
)
def test_what_is_no_invitation_is_refused(bad: str) -> None:
    with pytest.raises(InvitationError):
        invitations.read(bad)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(InvitationError):
        invitations.read(text)


@given(st.data())
def test_a_damaged_link_is_read_or_refused(data: st.DataObject) -> None:
    link = invitations.link(GIVEN)
    at = data.draw(st.integers(0, len(link) - 1))
    damaged = link[:at] + data.draw(st.characters()) + link[at + 1 :]
    try:
        found = invitations.read(damaged)
    except InvitationError:
        return
    assert len(found.secret) == 16


def test_an_invitation_expires() -> None:
    GIVEN.check(EXPIRES - datetime.timedelta(seconds=1))
    with pytest.raises(InvitationExpired):
        GIVEN.check(EXPIRES)

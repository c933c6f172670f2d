"""Tokens, where they stand in a request, and sessions."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl.core import tokens

TOKEN = tokens.spelled(bytes(range(32)))
DIGEST = tokens.digest_of(TOKEN)
KEY = b"k" * 32


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_a_token_is_known_for_one_wherever_it_stands() -> None:
    assert tokens.stands_in(f"/db/_changes?token={TOKEN}&since=0".encode())
    assert not tokens.stands_in(b"/db/thali_notes?since=0")
    assert not tokens.stands_in(b"")


def test_what_is_kept_of_a_token_is_not_the_token() -> None:
    assert len(DIGEST) == 64
    assert TOKEN not in DIGEST
    assert tokens.digest_of(TOKEN + "x") != DIGEST


@pytest.mark.parametrize(
    "header",
    [_basic(f"notes:{TOKEN}"), _basic(f":{TOKEN}"), f"Bearer {TOKEN}", f"bearer  {TOKEN}"],
)
def test_a_token_comes_as_the_password_of_any_name_or_as_bearer(header: str) -> None:
    assert tokens.of_authorization(header) == TOKEN


def test_a_password_may_hold_colons() -> None:
    assert tokens.of_authorization(_basic("a:b:c")) == "b:c"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Bearer",
        "Bearer  ",
        "Digest x",
        TOKEN,
        _basic("nothing"),
        "Basic /w==",
    ],
)
def test_a_header_that_carries_no_secret_is_seen_through(header: str) -> None:
    assert tokens.of_authorization(header) is None


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_no_header_breaks_the_reading(text: str) -> None:
    tokens.of_authorization(text)
    tokens.of_authorization(f"Basic {text}")
    tokens.of_cookies(text)
    assert tokens.digest_of_session(text, 0, KEY) is None


def test_the_session_is_found_among_other_cookies() -> None:
    assert tokens.of_cookies("a=b; AuthSession=x=; c=d") == "x="
    assert tokens.of_cookies("a=b; XAuthSession=x") is None
    assert tokens.of_cookies("AuthSession=") is None


def test_a_session_names_its_token_until_it_ends() -> None:
    text = tokens.session(DIGEST, 1000, KEY)
    assert tokens.digest_of_session(text, 999.9, KEY) == DIGEST
    assert tokens.digest_of_session(text, 1000, KEY) is None


def test_a_session_of_another_hub_is_none() -> None:
    assert tokens.digest_of_session(tokens.session(DIGEST, 1000, b"other"), 0, KEY) is None


@pytest.mark.parametrize("place", range(72))
def test_a_session_that_was_changed_anywhere_is_none(place: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(tokens.session(DIGEST, 1000, KEY)))
    raw[place] ^= 1
    changed = base64.urlsafe_b64encode(raw).decode()
    assert tokens.digest_of_session(changed, 0, KEY) is None

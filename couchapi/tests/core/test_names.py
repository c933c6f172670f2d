"""Names are CouchDB's, and a path leads to them in one way only."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core import names
from couchapi.core.errors import (
    BadRequest,
    DatabaseNameTooLong,
    IllegalDatabaseName,
    IllegalDocid,
)

_SEGMENTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@pytest.mark.parametrize("name", ["a", "a_$()+-/0", "friends/anna", "z" * 238])
def test_couchdbs_alphabet_is_allowed(name: str) -> None:
    assert names.check_database_name(name) == name
    assert names.is_database_name(name)


@pytest.mark.parametrize("name", ["", "A", "1a", "_a", "_users", "a.b", "a\n", "é", "a b", "/a"])
def test_other_database_names_are_refused_with_their_name(name: str) -> None:
    assert not names.is_database_name(name)
    with pytest.raises(IllegalDatabaseName) as refused:
        names.check_database_name(name)
    assert refused.value.reason.startswith(f"Name: '{name}'. Only lowercase characters (a-z)")
    assert refused.value.word == "illegal_database_name"


def test_a_long_database_name_is_refused_in_its_own_words() -> None:
    with pytest.raises(DatabaseNameTooLong) as refused:
        names.check_database_name("z" * 239)
    assert refused.value.word == "database_name_too_long"


def test_system_databases_are_known() -> None:
    assert names.is_system_database("_users")
    assert not names.is_system_database("users")


@pytest.mark.parametrize("docid", ["a", "_design/a", "_local/a", "a_b", "ä/ö", "x" * 2000])
def test_document_ids_are_taken_as_they_are(docid: str) -> None:
    assert names.check_docid(docid) == docid


@pytest.mark.parametrize(
    ("docid", "reason"),
    [
        ("", "Document id must not be empty"),
        (7, "Document id must be a string"),
        ("_a", "Only reserved document ids may start with underscore."),
        ("_design", "Only reserved document ids may start with underscore."),
        ("_design/", "Illegal document id `_design/`"),
        ("_local/", "Illegal document id `_local/`"),
        ("a\0", "Document id must not contain NUL"),
        ("_local/a\0", "Document id must not contain NUL"),
        ("ä" * 1001, "Document id is too long"),
    ],
)
def test_bad_document_ids_are_refused(docid: object, reason: str) -> None:
    with pytest.raises(IllegalDocid) as refused:
        names.check_docid(docid)
    assert refused.value.reason == reason


def test_design_and_local_documents_are_told_apart() -> None:
    assert names.is_design("_design/a")
    assert not names.is_design("design/a")
    assert names.is_local("_local/a")
    assert not names.is_local("_design/a")


@pytest.mark.parametrize("name", ["", "_a", "a\0", "ä" * 1001])
def test_bad_attachment_names_are_refused(name: str) -> None:
    with pytest.raises(BadRequest):
        names.check_attachment_name(name)


def test_an_attachment_name_may_hold_slashes() -> None:
    assert names.attachment_name(["a", "b.txt"]) == "a/b.txt"


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        (b"/", ()),
        (b"", ()),
        (b"*", ()),
        (b"/db", ("db",)),
        (b"/db/", ("db",)),
        (b"//db//doc", ("db", "doc")),
        (b"/a%2Fb/doc", ("a/b", "doc")),
        (b"/a%2fb/doc", ("a/b", "doc")),
        (b"/db/a%2Fb", ("db", "a/b")),
        (b"/db/a+b", ("db", "a+b")),
        (b"/db/a%2Bb%20c", ("db", "a+b c")),
        (b"/db/%252F", ("db", "%2F")),
        (b"/db/%C3%A4", ("db", "ä")),
        (b"/db/\xc3\xa4", ("db", "ä")),
        (b"/db/doc/a/b", ("db", "doc", "a", "b")),
        (b"/db/_design/x", ("db", "_design/x")),
        (b"/db/_design%2Fx", ("db", "_design/x")),
        (b"/db/_design%2fx/_view/v", ("db", "_design/x", "_view", "v")),
        (b"/db/_design/x/att", ("db", "_design/x", "att")),
        (b"/db/_design/x%2Fy", ("db", "_design/x/y")),
        (b"/db/_local/x%3D%3D", ("db", "_local/x==")),
        (b"/db/_local%2Fx", ("db", "_local/x")),
        (b"/db/_design", ("db", "_design")),
        (b"/db/doc/_design/x", ("db", "doc", "_design", "x")),
        (b"/_users/_design/_auth", ("_users", "_design/_auth")),
        (b"/_node/_local/_config", ("_node", "_local", "_config")),
        (b"/db/doc?rev=1-a", ("db", "doc")),
        (b"http://hub.example:6984/db/doc", ("db", "doc")),
        (b"HTTPS://[::1]:6984", ()),
        (b"/db/..", ("db", "..")),
        (b"/db/a%00", ("db", "a\0")),
    ],
)
def test_paths_are_cut_before_they_are_decoded(raw: bytes, segments: tuple[str, ...]) -> None:
    assert names.route(raw) == segments


@pytest.mark.parametrize(
    "raw", [b"/a%", b"/a%4", b"/a%zz", b"/%ff", b"/\xff", b"/%ed%a0%80", b"db"]
)
def test_paths_that_are_not_percent_encoded_utf8_are_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        names.route(raw)


@given(st.lists(_SEGMENTS, max_size=4))
def test_encoded_segments_come_back(segments: list[str]) -> None:
    raw = "".join("/" + quote(segment, safe="") for segment in segments)
    expected = list(segments)
    if len(segments) > 2 and segments[1] in ("_design", "_local") and segments[0][0] != "_":
        expected[1:3] = [f"{segments[1]}/{segments[2]}"]
    assert names.route(raw.encode()) == tuple(expected)


@given(st.binary(max_size=20))
def test_any_bytes_are_a_path_or_a_bad_request(raw: bytes) -> None:
    try:
        segments = names.route(b"/" + raw)
    except BadRequest:
        return
    assert all(segment for segment in segments)
